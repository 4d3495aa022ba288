"""One mask update and one masked step, of this project and of its peers.

    python benchmarks/peers.py                          (this project, and torch.nn.utils.prune)
    python benchmarks/peers.py --install build/peers    (the others too, each in an environment made there from PyPI)

Every tool prunes the same plain encoder (6 layers of 384, 36 matrices, 10.6 M weights, fp32, in two threads) in a
process of its own. What is compared are ratios taken inside each process: an update to 90 % against a copy of the same
36 matrices, and a training step with masks against one without, in turns. An update is all that a tool does at an
event: scores, threshold, masks, zeros. `dense`: from no zeros; `late`: from 89 %, the state near the end of a schedule.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import venv
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from timing import timed
from torch import nn

TARGET, LATE = 0.9, 0.89
#: peer -> what its environment holds beside torch; none: it needs no environment
ENVIRONMENTS: dict[str, list[str]] = {
    "recipelang": [],
    "torch.nn.utils.prune": [],
    "sparseml": ["sparseml[torch]==1.8.0", "sparsezoo<1.9", "setuptools<81"],
    "nncf": ["nncf==3.4.0"],
    "neural-compressor": ["neural-compressor==2.6", "setuptools<81", "six"],
}


class Layer(nn.Module):
    def __init__(self, width: int = 384, heads: int = 12) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (m(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for m in (self.query, self.key, self.value))
        attended = nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x = self.norm1(x + self.out(attended))
        return self.norm2(x + self.down(nn.functional.gelu(self.up(x))))


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.ModuleList(Layer() for _ in range(6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


def linears(model: nn.Module) -> list[tuple[str, nn.Linear]]:
    return [(n, m) for n, m in model.named_modules() if isinstance(m, nn.Linear)]


# ------------------------------------------------------------------------ tools
class Tool:
    """One tool on one model. `prune` is an event; the other two are what it asks of a training step."""

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, scope: str) -> None:
        raise NotImplementedError

    def prune(self, sparsity: float) -> None:
        raise NotImplementedError

    def before_optimizer(self) -> None: ...

    def after_optimizer(self) -> None: ...

    def masks(self) -> list[torch.Tensor]:
        """What is not zero, for a tool that masks where a forward pass hides it."""
        return []


class Recipelang(Tool):
    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, scope: str) -> None:
        from plans import acting, block

        names = [f"{n}.weight" for n, _ in linears(model)]
        self.at = {LATE: 0, TARGET: 1}
        self.prunes, self.state = acting(model, optimizer, block(model, names, scope, [LATE, TARGET]))

    def prune(self, sparsity: float) -> None:
        self.state.step = self.at[sparsity]
        self.prunes.on_step_start(self.state)

    def before_optimizer(self) -> None:
        self.state.masks.apply_gradients()


class TorchPrune(Tool):
    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, scope: str) -> None:
        self.modules = [(m, "weight") for _, m in linears(model)]
        self.scope, self.sparsity = scope, 0.0

    def prune(self, sparsity: float) -> None:
        from torch.nn.utils import prune

        share = (sparsity - self.sparsity) / (1 - self.sparsity)  # its amounts are of what is left
        if self.scope == "global":
            prune.global_unstructured(self.modules, prune.L1Unstructured, amount=share)
        else:
            for module, name in self.modules:
                prune.l1_unstructured(module, name, amount=share)
        self.sparsity = sparsity


class SparseML(Tool):
    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, scope: str) -> None:
        from sparseml.pytorch.sparsification.pruning import GlobalMagnitudePruningModifier, MagnitudePruningModifier

        kind = GlobalMagnitudePruningModifier if scope == "global" else MagnitudePruningModifier
        names = [f"{n}.weight" for n, _ in linears(model)]
        self.model, self.optimizer = model, optimizer
        self.modifier = kind(
            params=names, init_sparsity=0.0, final_sparsity=TARGET, start_epoch=0.0, end_epoch=1.0, update_frequency=0.5
        )
        self.modifier.initialize(model, epoch=0.0)
        self.held = self.modifier.module_masks
        self.held.enabled = True

    def prune(self, sparsity: float) -> None:
        self.held.pre_optim_step_update()
        self.held.update_param_masks(target=[sparsity] * len(self.held.layers))

    def before_optimizer(self) -> None:
        self.modifier.optimizer_pre_step(self.model, self.optimizer, 0.1, 100)

    def after_optimizer(self) -> None:
        self.modifier.optimizer_post_step(self.model, self.optimizer, 0.1, 100)


class NNCF(Tool):
    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, scope: str) -> None:
        import nncf

        mode = nncf.PruneMode
        self.mode = mode.UNSTRUCTURED_MAGNITUDE_GLOBAL if scope == "global" else mode.UNSTRUCTURED_MAGNITUDE_LOCAL
        self.model = nncf.prune(model, self.mode, ratio=0.01, examples_inputs=torch.zeros(1, 8, 384))

    def prune(self, sparsity: float) -> None:
        from nncf.torch.function_hook.pruning.magnitude.algo import update_pruning_ratio

        update_pruning_ratio(self.model, self.mode, sparsity)

    def masks(self) -> list[torch.Tensor]:
        return [b for n, b in self.model.named_buffers() if n.endswith("binary_mask")]


class NeuralCompressor(Tool):
    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, scope: str) -> None:
        from neural_compressor.compression.pruner import prepare_pruning
        from neural_compressor.training import WeightPruningConfig

        config = WeightPruningConfig(
            target_sparsity=TARGET,
            pruning_type="magnitude",
            pattern="1x1",
            pruning_scope="global" if scope == "global" else "local",
            op_names=[".*"],
            start_step=10**6,
            end_step=2 * 10**6,
            pruning_frequency=1,
            max_sparsity_ratio_per_op=0.999,
        )
        self.pruner = prepare_pruning(model, config, optimizer).pruners[0]

    def prune(self, sparsity: float) -> None:
        pruner = self.pruner
        pruner.criterion.on_step_begin()
        pruner.masks = pruner.pattern.get_masks(pruner.criterion.scores, sparsity, pruner.masks)
        pruner.mask_weights()

    def before_optimizer(self) -> None:
        self.pruner.on_before_optimizer_step()

    def after_optimizer(self) -> None:
        self.pruner.on_after_optimizer_step()


TOOLS: dict[str, type[Tool]] = {
    "recipelang": Recipelang,
    "torch.nn.utils.prune": TorchPrune,
    "sparseml": SparseML,
    "nncf": NNCF,
    "neural-compressor": NeuralCompressor,
}


# -------------------------------------------------------------------- measuring
def update(tool: type[Tool], scope: str, late: bool, repeats: int) -> tuple[float, float, float]:
    """Median seconds of an update, of a copy of the same matrices, and the sparsity reached."""
    updates, copies = [], []
    reached = 0.0
    for _ in range(repeats):
        model = Encoder()
        it = tool(model, torch.optim.AdamW(model.parameters(), lr=1e-4), scope)
        if late:
            it.prune(LATE)
        weights = [p for n, p in model.named_parameters() if p.numel() >= 384 * 384 and "mask" not in n]
        into = [torch.empty_like(w) for w in weights]
        copies.append(timed(partial(copy, weights, into)))
        updates.append(timed(partial(it.prune, TARGET)))
        copies.append(timed(partial(copy, weights, into)))
        reached = sparsity(it.masks() or seen_by_forward(model))
    return statistics.median(updates), statistics.median(copies), reached


def copy(tensors: Sequence[torch.Tensor], into: list[torch.Tensor]) -> None:
    for a, b in zip(into, tensors, strict=True):
        a.copy_(b.detach())


def sparsity(tensors: list[torch.Tensor]) -> float:
    return sum(int((t == 0).sum()) for t in tensors) / sum(t.numel() for t in tensors)


def seen_by_forward(model: nn.Module) -> list[torch.Tensor]:
    """The matrices that a forward pass multiplies by: some tools mask only there."""
    seen: list[torch.Tensor] = []
    original = nn.functional.linear

    def spy(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        seen.append(weight)
        return original(x, weight, bias)

    nn.functional.linear = spy  # type: ignore[assignment]
    try:
        with torch.no_grad():
            model(torch.zeros(1, 8, 384))
    finally:
        nn.functional.linear = original
    return seen


def steps(tool: type[Tool], rounds: int) -> tuple[float, float, float]:
    """Median paired difference of a masked and a dense step, its bootstrap half interval, and a dense step, in seconds."""
    x = torch.randn(8, 128, 384)
    dense, masked = Encoder(), Encoder()
    plain = torch.optim.AdamW(dense.parameters(), lr=1e-5)
    theirs = torch.optim.AdamW(masked.parameters(), lr=1e-5)
    it = tool(masked, theirs, "uniform")
    it.prune(TARGET)
    masked = getattr(it, "model", masked)

    def step(model: nn.Module, optimizer: torch.optim.Optimizer, tool: Tool | None) -> Callable[[], None]:
        def run() -> None:
            model(x).square().mean().backward()
            if tool is not None:
                tool.before_optimizer()
            optimizer.step()
            if tool is not None:
                tool.after_optimizer()
            optimizer.zero_grad(set_to_none=True)

        return run

    runs = step(dense, plain, None), step(masked, theirs, it)
    for run in (*runs, *runs):
        run()
    pairs = []
    for i in range(rounds):
        times = [0.0, 0.0]
        for k in (0, 1) if i % 2 else (1, 0):
            times[k] = timed(runs[k])
        pairs.append(times)
    differences = torch.tensor([b - a for a, b in pairs])
    draws = differences[torch.randint(rounds, (2_000, rounds), generator=torch.Generator().manual_seed(0))]
    low, high = draws.median(dim=1).values.quantile(torch.tensor([0.025, 0.975])).tolist()
    return float(differences.median()), (high - low) / 2, statistics.median(a for a, _ in pairs)


def measure(name: str, repeats: int, rounds: int) -> None:
    tool = TOOLS[name]
    result: dict[str, object] = {}
    for scope in ("uniform", "global"):
        for late in (False, True):
            result[f"{scope} {'late' if late else 'dense'}"] = update(tool, scope, late, repeats)
    result["step"] = steps(tool, rounds)
    print(f"\n{json.dumps(result)}")


# ---------------------------------------------------------------------- the table
def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--install", type=Path, metavar="FOLDER", help="make an environment for each peer here")
    parser.add_argument("--only", nargs="+", choices=list(TOOLS), default=list(TOOLS))
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--one", choices=list(TOOLS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        return measure(arguments.one, arguments.repeats, arguments.rounds)
    print(f"update to 90 %, as copies of the same matrices; a masked step less a dense one; torch {torch.__version__}")
    cases = ("uniform dense", "uniform late", "global dense", "global late")
    print(f"{'tool':22}" + "".join(f"{c:>15}" for c in cases) + f"{'masked step':>22}{'reached':>10}")
    for name in arguments.only:
        python = interpreter(name, arguments.install)
        if python is None:
            print(f"{name:22} not measured: it needs an environment of its own, `--install FOLDER`")
            continue
        command = [python, __file__, "--one", name, "--repeats", str(arguments.repeats)]
        done = subprocess.run(
            [*command, "--rounds", str(arguments.rounds)], capture_output=True, text=True, env=environment()
        )
        if done.returncode:
            print(f"{name:22} failed: {done.stderr.strip().splitlines()[-1:]}")
            continue
        print(row(name, json.loads(done.stdout.strip().splitlines()[-1]), cases), flush=True)


def row(name: str, result: dict[str, list[float]], cases: tuple[str, ...]) -> str:
    ratios = "".join(f"{result[c][0] / result[c][1]:>15.1f}" for c in cases)
    difference, half, dense = result["step"]
    step = f"{difference / dense:+.1%} ± {half / dense:.1%}"
    return f"{name:22}{ratios}{step:>22}{result[cases[-1]][2]:>10.2%}"


def environment() -> dict[str, str]:
    return {**os.environ, "NM_DISABLE_ANALYTICS": "True", "OMP_PROC_BIND": "true", "OMP_PLACES": "cores"}


def interpreter(name: str, folder: Path | None) -> str | None:
    """The Python of a tool's environment, made when it is not there yet."""
    packages = ENVIRONMENTS[name]
    if not packages:
        return sys.executable
    if folder is None:
        return None
    home = folder / name
    python = str(home / "bin" / "python")
    if not (home / ".done").exists():
        venv.create(home, with_pip=True)
        for wanted in (["torch==2.13.0"], packages):
            subprocess.run([python, "-m", "pip", "install", "--quiet", *wanted], check=True)
        (home / ".done").touch()
    return python


if __name__ == "__main__":
    main()

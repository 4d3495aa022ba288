"""One oBERT event at 70 % over the 36 encoder matrices of a 6 x 384 encoder (10.6 M weights).

Against the published form, in which each of the m gradients makes a rank-one
(Woodbury) update of all inverse blocks: as published, and with the fastest calls
found for the same update. The gradients are there already: their sampling counts
for none. Ours is the whole event (matrices, inversion, scores, selection, update of
the survivors); the rank-one form is its inverse alone, timed on a slice of the
blocks that no cache holds and of the gradients, and scaled up. Peak memory is above
weights and gradients, each in a process of its own, the rank-one form over all
blocks and two gradients.

    python benchmarks/obert_event.py [--gradients 1024] [--block 50] [--repeats 1] [--device cpu]
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from recipelang.modifiers.prune import make
from recipelang.pruning import fisher, patterns
from recipelang.pruning.passes import chunk, passes

SPARSITY, DAMP = 0.7, 1e-7
SHAPES = ([(384, 384)] * 4 + [(1536, 384), (384, 1536)]) * 6
#: blocks and gradients that the rank-one form is timed on
SLICE_BLOCKS, SLICE_GRADIENTS = 12_000, 32


class Gradients:
    """Windows of one row of noise: as many different gradients as wanted, none of them copied."""

    def __init__(self, weights: list[torch.nn.Parameter], count: int) -> None:
        self.weights = weights
        self.sizes = [w.numel() for w in weights]
        self.total = sum(self.sizes)
        noise = 1e-3 * torch.randn(self.total + 97 * count, generator=torch.Generator().manual_seed(1))
        self.noise = noise.to(weights[0].device)

    def flat(self, i: int) -> torch.Tensor:
        return self.noise[97 * i : 97 * i + self.total]

    def draw(self, batches: int, size: int, dense: bool = False) -> Iterator[None]:
        for i in range(batches):
            for weight, grad in zip(self.weights, self.flat(i).split(self.sizes), strict=True):
                weight.grad = grad.view(weight.shape)
            yield


def tensors(device: str) -> list[torch.nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [torch.nn.Parameter((torch.randn(s, generator=generator) * 0.05).to(device)) for s in SHAPES]


def event(weights: list[torch.nn.Parameter], gradients: Gradients, count: int, block: int) -> None:
    args = {"block": block, "gradients": count, "damp": DAMP}
    score = make("obert", args, [str(i) for i in range(len(weights))], 0)
    score.prepare(weights, gradients.draw)
    with torch.no_grad():
        live = [torch.ones_like(w, dtype=torch.bool) for w in weights]
        zeros = [round(SPARSITY * gradients.total)]
        keeps = patterns.choose("unstructured", (0, 0), "global", score.scores(weights), zeros, live)
        score.compensate(weights, keeps)


Update = Callable[[torch.Tensor, torch.Tensor, int], None]


def as_published(inverse: torch.Tensor, g: torch.Tensor, m: int) -> None:
    v = torch.einsum("bij,bj->bi", inverse, g)
    v /= (m + torch.einsum("bi,bi->b", g, v)).sqrt_().unsqueeze(1)
    inverse.baddbmm_(v.unsqueeze(2), v.unsqueeze(1), alpha=-1)


def tuned(inverse: torch.Tensor, g: torch.Tensor, m: int) -> None:
    v = torch.bmm(g.unsqueeze(1), inverse).squeeze(1)
    v /= (m + (g * v).sum(1)).sqrt_().unsqueeze(1)
    inverse.addcmul_(v.unsqueeze(2), v.unsqueeze(1), value=-1)


def rank_one(update: Update, gradients: Gradients, count: int, block: int, blocks: int, m: int) -> torch.Tensor:
    """The inverse of the first `blocks` blocks after `count` updates."""
    noise = gradients.noise
    inverse = (torch.eye(block, dtype=noise.dtype, device=noise.device) / DAMP).repeat(blocks, 1, 1)
    for i in range(count):
        update(inverse, gradients.flat(i)[: blocks * block].view(blocks, block), m)
    return inverse


def timed(run: Callable[[], object]) -> float:
    synchronize = torch.cuda.synchronize if torch.cuda.is_available() else lambda: None
    synchronize()
    start = time.perf_counter()
    run()
    synchronize()
    return time.perf_counter() - start


def peak(what: str, options: argparse.Namespace) -> float:
    """GB above weights and gradients, measured in a fresh process."""
    command = [sys.executable, __file__, "--peak", what, "--device", options.device]
    command += ["--gradients", str(options.gradients), "--block", str(options.block)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def print_peak(what: str, count: int, block: int, device: str) -> None:
    weights = tensors(device)
    gradients = Gradients(weights, count)
    before = highest(device)
    if what == "ours":
        event(weights, gradients, min(count, 2 * chunk(block)), block)
    else:
        rank_one(as_published if what == "published" else tuned, gradients, 2, block, gradients.total // block, count)
    print(highest(device) - before)


def highest(device: str) -> float:
    """The most memory this process ever had, in GB (Linux; `ru_maxrss` would count the process that started it)."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 1e9
    found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) * 1024 / 1e9


def same(gradients: Gradients, block: int) -> float:
    """The largest relative difference between the two diagonals, over a few blocks and the slice's gradients."""
    few = Gradients([torch.nn.Parameter(torch.zeros(200 * block, device=gradients.noise.device))], SLICE_GRADIENTS)
    pieces = passes([200 * block], block, 200)[0]
    mine = fisher.inverse(few.weights, pieces, few.draw(SLICE_GRADIENTS, 0), block, DAMP)
    few.noise = few.noise.double()
    exact = rank_one(as_published, few, SLICE_GRADIENTS, block, 200, SLICE_GRADIENTS)
    first, second = (i.diagonal(dim1=1, dim2=2) for i in (mine, exact))
    return float(((first - second) / second).abs().max())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--gradients", type=int, default=1024)
    parser.add_argument("--block", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--peak", choices=["ours", "published", "tuned"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    count, block = options.gradients, options.block
    if options.peak:
        return print_peak(options.peak, count, block, options.device)
    weights = tensors(options.device)
    gradients = Gradients(weights, count)
    blocks, part = min(SLICE_BLOCKS, gradients.total // block), min(SLICE_GRADIENTS, count)
    scale = gradients.total / block / blocks * count / part
    times: dict[str, list[float]] = {"published": [], "tuned": [], "ours": []}
    for _ in range(options.repeats):
        for name, update in (("published", as_published), ("tuned", tuned)):
            run = lambda u=update: rank_one(u, gradients, part, block, blocks, count)  # noqa: E731
            times[name].append(scale * timed(run))
        times["ours"].append(timed(lambda: event(weights, gradients, count, block)))
    seconds = {name: statistics.median(t) for name, t in times.items()}
    print(f"{gradients.total:,} weights, {count} gradients, blocks of {block}; {options.device}", end=", ")
    print(f"{torch.get_num_threads()} threads; torch {torch.__version__}")
    print(f"rank-one forms timed on {blocks:,} blocks and {part} gradients, scaled by {scale:,.0f}")
    print(f"largest relative difference of a diagonal to the rank-one form in fp64: {same(gradients, block):.1e}")
    print(f"{'':22} {'seconds':>8} {'peak GB':>8} {'/ ours':>7}")
    for name, label in (("ours", "ours"), ("published", "rank-one, published"), ("tuned", "rank-one, tuned")):
        print(f"{label:22} {seconds[name]:8.1f} {peak(name, options):8.2f} {seconds[name] / seconds['ours']:6.1f}x")


if __name__ == "__main__":
    main()

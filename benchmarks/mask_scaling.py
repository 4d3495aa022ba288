"""One exact mask update at 90 % over 1 M to 1 G weights: does the cost grow with the weights, and what memory does it take?

    python benchmarks/mask_scaling.py [--sizes 1 4 16 64 256] [--repeats 5]

Matrices of 1024 x 1024, all pruned already to 89 % (the state of a late event), updated by what the engine runs at an
event. Each size is a process of its own. Time is a ratio to a plain copy of the same matrices in the same process;
memory is the rise of the highest resident size during the update, as a share of weights and masks (Linux only).
`--sizes` are millions of weights; 1 G takes some 15 GB.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from timing import timed

SIDE = 1024


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 4, 16, 64, 256], metavar="MILLIONS")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        return one(arguments.one[0], int(arguments.one[1]), arguments.repeats)
    print(
        f"{'scope':8} {'weights':>10} {'update ms':>10} {'ns/weight':>10} {'copy ms':>8} {'update/copy':>12} {'memory':>8}"
    )
    for scope in ("uniform", "global"):
        for size in arguments.sizes:
            command = [sys.executable, __file__, "--repeats", str(arguments.repeats), "--one", scope, str(size)]
            subprocess.run(command, check=True)


def one(scope: str, matrices: int, repeats: int) -> None:
    import torch
    from plans import acting, block

    model = torch.nn.Module()
    generator = torch.Generator().manual_seed(0)
    for i in range(matrices):
        weight = torch.nn.Parameter(torch.randn(SIDE, SIDE, generator=generator), requires_grad=False)
        model.register_parameter(f"w{i}", weight)
    sparsities = [0.89, *(0.89 + 0.01 * (i + 1) / repeats for i in range(repeats))]
    plan = block(model, [n for n, _ in model.named_parameters()], scope, sparsities)
    prune, state = acting(model, torch.optim.SGD(model.parameters(), lr=0.1), plan)
    prune.on_step_start(state)
    times, peaks = [], []
    for state.step in range(1, len(sparsities)):
        seconds, peak = measured(lambda: prune.on_step_start(state))
        times.append(seconds)
        peaks.append(peak)
    into = torch.empty(SIDE, SIDE)
    copies = [timed(lambda: [into.copy_(p) for p in model.parameters()]) for _ in range(repeats)]
    update, copy = statistics.median(times), statistics.median(copies)
    weights = matrices * SIDE * SIDE
    print(
        f"{scope:8} {weights:>10,} {update * 1e3:>10.1f} {update / weights * 1e9:>10.2f} {copy * 1e3:>8.1f}"
        f" {update / copy:>12.1f} {max(peaks) / (5 * weights):>8.1%}",
        flush=True,
    )


def measured(run: Callable[[], object]) -> tuple[float, int]:
    """Seconds, and by how much the resident size rose above what it was."""
    Path("/proc/self/clear_refs").write_text("5")  # forgets the highest size so far
    before = status("VmRSS")
    seconds = timed(run)
    return seconds, status("VmHWM") - before


def status(key: str) -> int:
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(key))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main()

"""One oBERT event at 70 % over the 36 encoder matrices of a 6 x 384 encoder (10.6 M weights).

Against the published form, in which each of the m gradients makes a rank-one
(Woodbury) update of all inverse blocks. The gradients are there already: their
sampling counts for neither. Ours is the whole event (matrices, inversion, scores,
selection, update of the survivors); the rank-one form is its inverse alone, timed
on a slice of the blocks that no cache holds and of the gradients, and scaled up.
Peak memory is above weights and gradients, each in a process of its own, the
rank-one form over all blocks and two gradients.

    python benchmarks/obert_event.py [--gradients 1024] [--block 50] [--repeats 1]
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

import torch

from recipelang.pruning import fisher, patterns
from recipelang.pruning.scores import make

SPARSITY, DAMP = 0.7, 1e-7
SHAPES = ([(384, 384)] * 4 + [(1536, 384), (384, 1536)]) * 6
#: blocks and gradients that the rank-one form is timed on
SLICE_BLOCKS, SLICE_GRADIENTS = 12_000, 32


class Gradients:
    """Windows of one row of noise: as many different gradients as wanted, none of them copied."""

    def __init__(self, weights: list[torch.nn.Parameter], count: int) -> None:
        self.weights = weights
        self.total = sum(w.numel() for w in weights)
        self.noise = 1e-3 * torch.randn(self.total + 97 * count, generator=torch.Generator().manual_seed(1))

    def flat(self, i: int) -> torch.Tensor:
        return self.noise[97 * i : 97 * i + self.total]

    def draw(self, count: int, size: int) -> Iterator[None]:
        for i in range(count):
            for weight, grad in zip(self.weights, self.flat(i).split([w.numel() for w in self.weights]), strict=True):
                weight.grad = grad.view(weight.shape)
            yield


def tensors() -> list[torch.nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [torch.nn.Parameter(torch.randn(s, generator=generator) * 0.05) for s in SHAPES]


def event(weights: list[torch.nn.Parameter], gradients: Gradients, count: int, block: int) -> None:
    args = {"block": block, "gradients": count, "damp": DAMP}
    score = make("obert", args, [str(i) for i in range(len(weights))], 0)
    score.prepare(weights, gradients.draw)
    with torch.no_grad():
        live = [torch.ones_like(w, dtype=torch.bool) for w in weights]
        zeros = [round(SPARSITY * gradients.total)]
        score.compensate(weights, patterns.choose("unstructured", (0, 0), "global", score.scores(weights), zeros, live))


def rank_one(gradients: Gradients, count: int, block: int, blocks: int, m: int) -> torch.Tensor:
    """The inverse of the first `blocks` blocks after `count` updates."""
    inverse = (torch.eye(block) / DAMP).repeat(blocks, 1, 1)
    for i in range(count):
        g = gradients.flat(i)[: blocks * block].view(blocks, block)
        v = torch.bmm(inverse, g.unsqueeze(2))
        v /= (m + (g * v.squeeze(2)).sum(1)).sqrt_().view(-1, 1, 1)
        inverse.baddbmm_(v, v.transpose(1, 2), alpha=-1)
    return inverse


def peak(what: str, count: int, block: int) -> float:
    """GB above weights and gradients, measured in a fresh process."""
    command = [sys.executable, __file__, "--peak", what, "--gradients", str(count), "--block", str(block)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def print_peak(what: str, count: int, block: int) -> None:
    weights = tensors()
    gradients = Gradients(weights, count)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if what == "ours":
        event(weights, gradients, min(count, 2 * fisher.chunk(block)), block)
    else:
        rank_one(gradients, 2, block, gradients.total // block, count)
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e6)


def same(gradients: Gradients, block: int) -> float:
    """The largest relative difference between the two diagonals, over a few blocks and the slice's gradients."""
    weights = [torch.nn.Parameter(torch.zeros(200 * block))]
    few = Gradients(weights, SLICE_GRADIENTS)
    few.noise = gradients.noise
    pieces = fisher.passes([200 * block], block, 200)[0]
    mine = fisher.inverse(weights, pieces, few.draw(SLICE_GRADIENTS, 0), block, DAMP).diagonal(dim1=1, dim2=2)
    few.noise = few.noise.double()
    exact = rank_one(few, SLICE_GRADIENTS, block, 200, SLICE_GRADIENTS).diagonal(dim1=1, dim2=2)
    return float(((mine - exact) / exact).abs().max())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--gradients", type=int, default=1024)
    parser.add_argument("--block", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--peak", choices=["ours", "rank-one"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    count, block = options.gradients, options.block
    if options.peak:
        return print_peak(options.peak, count, block)
    weights = tensors()
    gradients = Gradients(weights, count)
    blocks = min(SLICE_BLOCKS, gradients.total // block)
    part = min(SLICE_GRADIENTS, count)
    times: dict[str, list[float]] = {"ours": [], "rank-one": []}
    for _ in range(options.repeats):
        start = time.perf_counter()
        rank_one(gradients, part, block, blocks, count)
        middle = time.perf_counter()
        event(weights, gradients, count, block)
        times["rank-one"].append((middle - start) * (gradients.total / block / blocks) * (count / part))
        times["ours"].append(time.perf_counter() - middle)
    ours, theirs = (statistics.median(times[n]) for n in ("ours", "rank-one"))
    print(f"{gradients.total:,} weights, {count} gradients, blocks of {block}; {torch.get_num_threads()} threads")
    print(f"rank-one timed on {blocks:,} blocks and {part} gradients, scaled up")
    print(f"largest relative difference of a diagonal to the rank-one form in fp64: {same(gradients, block):.1e}")
    print(f"{'':10} {'seconds':>8} {'peak GB':>8}")
    print(f"{'ours':10} {ours:8.1f} {peak('ours', count, block):8.2f}")
    print(f"{'rank-one':10} {theirs:8.1f} {peak('rank-one', count, block):8.2f}")
    print(f"rank-one/ours: {theirs / ours:.1f} x")


if __name__ == "__main__":
    main()

"""One exact mask update at 90 % over the 36 encoder matrices of a 6 x 384 encoder (10.6 M weights).

Against a plain `torch.kthvalue` + compare, and a plain copy of the same tensors
(the floor), all in this run, from dense weights and from weights already 89 or
90 % zero: the state of every later update. An update is scoring, selection, new
masks, and zeroing the weights.

    python benchmarks/mask_update.py [--repeats 15]
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable

import torch
from timing import timed

from recipelang.pruning import selection
from recipelang.pruning.masks import Masks
from recipelang.pruning.scores import magnitude

SPARSITY = 0.9
#: sparsity before the update
BEFORE = {"89% zero": 0.89, "90% zero": 0.9, "90% zero, masks unknown": 0.9}
STATES = ("dense", *BEFORE)


def tensors(seed: int) -> list[torch.nn.Parameter]:
    generator = torch.Generator().manual_seed(seed)
    shapes = [(384, 384)] * 4 + [(1536, 384), (384, 1536)]
    return [torch.nn.Parameter(torch.randn(s, generator=generator) * 0.05) for _ in range(6) for s in shapes]


def ours(weights: list[torch.nn.Parameter], masks: Masks, scope: str, sparsity: float = SPARSITY) -> None:
    with torch.no_grad():
        names = [str(i) for i in range(len(weights))]
        live = [masks.live(n, w) for n, w in zip(names, weights, strict=True)]
        zeros = counts(weights, scope, sparsity)
        if scope == "uniform":
            keeps = selection.uniform(magnitude.scores(weights), zeros, live)
        else:
            keeps = selection.smallest(magnitude.scores(weights), zeros[0], live)
        for name, w, k in zip(names, weights, keeps, strict=True):
            masks.set(name, w, k)


def counts(weights: list[torch.nn.Parameter], scope: str, sparsity: float) -> list[int]:
    sizes = [w.numel() for w in weights]
    return [round(sparsity * n) for n in sizes] if scope == "uniform" else [round(sparsity * sum(sizes))]


def plain(weights: list[torch.nn.Parameter], scope: str) -> None:
    """What one would write by hand: not exact under ties."""
    with torch.no_grad():
        if scope == "uniform":
            for w in weights:
                s = w.abs()
                w.mul_(s > s.flatten().kthvalue(round(SPARSITY * s.numel())).values)
            return
        scores = [w.abs() for w in weights]
        flat = torch.cat([s.flatten() for s in scores])
        threshold = flat.kthvalue(round(SPARSITY * flat.numel())).values
        for w, s in zip(weights, scores, strict=True):
            w.mul_(s > threshold)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=15)
    repeats = parser.parse_args().repeats
    print(f"{torch.get_num_threads()} threads, {repeats} repeats, medians in ms; torch {torch.__version__}")
    print(f"{'scope':8} {'state':24} {'ours':>7} {'kthvalue':>9} {'copy':>6} {'ours/kthvalue':>14} {'ours/copy':>10}")
    for scope in ("uniform", "global"):
        for state in STATES:
            times: dict[str, list[float]] = {"ours": [], "plain": [], "copy": []}
            for repeat in range(repeats):
                for name, run in variants(scope, state, repeat):
                    times[name].append(timed(run))
            a, b, c = (statistics.median(times[n]) * 1e3 for n in ("ours", "plain", "copy"))
            print(f"{scope:8} {state:24} {a:7.1f} {b:9.1f} {c:6.2f} {a / b:14.2f} {a / c:10.1f}")


def variants(scope: str, state: str, seed: int) -> list[tuple[str, Callable[[], None]]]:
    """The three, each on its own copy of the same weights, in an order that changes with the seed."""
    mine, theirs, floor = tensors(seed), tensors(seed), tensors(seed)
    masks = Masks()
    if state != "dense":
        before = BEFORE[state]
        ours(mine, masks, scope, before)
        ours(theirs, Masks(), scope, before)
        generator = torch.Generator().manual_seed(seed + 1)
        with torch.no_grad():  # training went on: the live weights moved, the zeros stayed
            for w, v in zip(mine, theirs, strict=True):
                noise = 0.01 * torch.randn(w.shape, generator=generator)
                w.add_(noise * (w != 0))
                v.copy_(w)
        if state == "90% zero, masks unknown":
            masks = Masks()
    into = [torch.empty_like(w) for w in floor]

    def copy() -> None:
        with torch.no_grad():
            for a, b in zip(into, floor, strict=True):
                a.copy_(b)

    order = [("ours", lambda: ours(mine, masks, scope)), ("plain", lambda: plain(theirs, scope)), ("copy", copy)]
    return order if seed % 2 else order[::-1]


if __name__ == "__main__":
    main()

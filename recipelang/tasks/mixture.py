"""Rows of several sources in given shares: which source, and which of its rows, every position of the training takes.

Positions count the rows that steps draw, from 0. They come in rounds: shares of 70% and 30% make rounds of ten, of which
seven take a row of the first source and three one of the second, in an order that is drawn. Each source is passed over
again and again, each time in another order. All of it follows from the seed and the position alone, so that a resumed
run draws the very next row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from recipelang.tasks.encoding import IGNORED
from recipelang.tasks.task import Features

#: a seed for what is drawn, by names: `engine.seeds.stream` of a stage
Draw = Callable[..., int]
#: positions of a round: shares in ten-thousandths of a percent make as many
LONGEST = 1_000_000
_TOGETHER = 4096  # positions, whose rounds are drawn from one seed


def parts_of(shares: Sequence[Fraction]) -> tuple[int, ...]:
    """Rows of each source in a round, of shares that add up to 1.

    >>> parts_of([Fraction(7, 10), Fraction(3, 10)])
    (7, 3)
    """
    whole = math.lcm(*(s.denominator for s in shares))
    return tuple(int(s * whole) for s in shares)


@dataclass(frozen=True)
class Mixture:
    names: tuple[str, ...]
    parts: tuple[int, ...]  # rows of each source in a round
    items: tuple[int, ...]  # rows that each source has

    @property
    def round(self) -> int:
        return sum(self.parts)

    def rows(self, first: int, behind: int, draw: Draw | None) -> np.ndarray:
        """What positions `first..behind-1` take, int64, rows of all sources numbered one behind the other.

        Without a `draw`, sources take turns as evenly as their shares allow, and rows come in their own order.
        """
        many = -(-_TOGETHER // self.round)  # rounds
        begin, end = first // (many * self.round), -(-behind // (many * self.round))
        source = np.concatenate([self._sources(n, many, draw) for n in range(begin, end)])
        found = np.empty(len(source), np.int64)
        for i, (name, part, items) in enumerate(zip(self.names, self.parts, self.items, strict=True)):
            there = source == i
            at = begin * many * part + np.arange(there.sum())
            found[there] = sum(self.items[:i]) + self._in_passes(name, at, items, draw)
        skipped = begin * many * self.round
        return found[first - skipped : behind - skipped]

    def _sources(self, number: int, many: int, draw: Draw | None) -> np.ndarray:
        """The sources of `many` rounds."""
        if draw is None:
            turns = np.concatenate([(np.arange(part) + 0.5) / part for part in self.parts])
            one = np.repeat(np.arange(len(self.parts)), self.parts)[np.argsort(turns, kind="stable")]
            return np.tile(one, many)
        drawn = np.random.default_rng(draw("mix", number)).random((many, self.round))
        return np.repeat(np.arange(len(self.parts)), self.parts)[np.argsort(drawn, axis=1, kind="stable")].reshape(-1)

    @staticmethod
    def _in_passes(name: str, at: np.ndarray, items: int, draw: Draw | None) -> np.ndarray:
        """Of one source the rows that are taken as the `at`-th, from 0; `at` ascends."""
        if draw is None:
            return at % items
        found = np.empty_like(at)
        for number in range(int(at[0]) // items, int(at[-1]) // items + 1) if len(at) else ():
            some = slice(*np.searchsorted(at, [number * items, (number + 1) * items]).tolist())
            order = np.random.default_rng(draw("mix", name, number)).permutation(items)
            found[some] = order[at[some] - number * items]
        return found


def shared(count: int, parts: Sequence[int]) -> tuple[int, ...]:
    """So many rows divided by shares, the largest remainders rounded up.

    >>> shared(10, (2, 1))
    (7, 3)
    """
    exact = [Fraction(count * part, sum(parts)) for part in parts]
    found = [int(e) for e in exact]
    rest = sorted(range(len(parts)), key=lambda i: (found[i] - exact[i], i))
    for i in rest[: count - sum(found)]:
        found[i] += 1
    return tuple(found)


@dataclass(frozen=True)
class Mixed:
    """Model inputs of several sources, numbered one behind the other."""

    sources: tuple[Features, ...]
    mixture: Mixture

    def __len__(self) -> int:
        return sum(map(len, self.sources))

    @property
    def lengths(self) -> np.ndarray:
        return np.concatenate([s.lengths for s in self.sources])

    @property
    def width(self) -> int:
        return max(s.width for s in self.sources)

    @property
    def sequences(self) -> int:
        return max(s.sequences for s in self.sources)

    def inputs(self) -> tuple[np.ndarray, ...]:
        return tuple(array for s in self.sources for array in s.inputs())

    def batch(self, rows: Sequence[int] | np.ndarray, width: int | None = None, draw: int = 0) -> dict[str, np.ndarray]:
        """Every source's rows as it gives them, side by side in one batch, padded to the widest."""
        rows = np.asarray(rows)
        begins = np.cumsum([0, *map(len, self.sources)])
        source = np.searchsorted(begins, rows, side="right") - 1
        found: list[tuple[np.ndarray, dict[str, np.ndarray]]] = []
        for i, features in enumerate(self.sources):
            places = np.flatnonzero(source == i)
            if len(places):
                found.append((places, features.batch(rows[places] - begins[i], width, draw + i)))
        return side_by_side(found, self.sources[0])


def side_by_side(
    found: Sequence[tuple[np.ndarray, dict[str, np.ndarray]]], features: Features
) -> dict[str, np.ndarray]:
    """Batches as one, each at its places and padded as it would be by itself; `features` of one of them."""
    pad = int(getattr(features, "pad_id", 0))
    if len(found) == 1:
        return found[0][1]
    return {name: _beside([(at, b[name]) for at, b in found], _filled(name, pad)) for name in found[0][1]}


def _filled(name: str, pad: int) -> int:
    """What stands behind the end of a row."""
    return {"input_ids": pad, "labels": IGNORED}.get(name, 0)


def _beside(parts: Sequence[tuple[np.ndarray, np.ndarray]], fill: int) -> np.ndarray:
    """Arrays whose first axis is that of the rows at these places, as one."""
    shape = np.max([array.shape[1:] for _, array in parts], axis=0).astype(int).tolist()
    out = np.full((sum(len(at) for at, _ in parts), *shape), fill, parts[0][1].dtype)
    for places, array in parts:
        inside: list[Any] = [slice(n) for n in array.shape[1:]]
        out[(places, *inside)] = array
    return out

"""Did you mean: the nearest of a few candidates.

`instead` is the one owner of when a word may be replaced without asking.
Distance is Damerau-Levenshtein (optimal string alignment); at most a third of
the word may differ, and at least one letter always may.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from recipelang.source.diagnostic import Edit, Fix
from recipelang.source.text import Span

#: a longer word is no slip of the finger, and a longer name is not suggested for one
LONGEST = 80
#: of all candidates that are compared in one report: about a fifth of a second
LETTERS = 100_000


class _Work:
    left: float = math.inf


def distance(a: str, b: str) -> int:
    """Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`.

    One column of the table at a time, as two bits a letter of `a` (Hyyrö, "A bit-vector algorithm for computing
    Levenshtein and Damerau edit distances", 2003): `rises` and `falls` are where a cell is one more, one less, than the
    cell above it.

    >>> distance("sparsty", "sparsity"), distance("adma", "adam")
    (1, 1)
    """
    if not a or not b:
        return len(a) + len(b)
    places: dict[str, int] = {}
    for i, letter in enumerate(a):
        places[letter] = places.get(letter, 0) | 1 << i
    full, last = (1 << len(a)) - 1, 1 << len(a) - 1
    rises, falls, level, before, far = full, 0, 0, 0, len(a)
    for letter in b:
        here = places.get(letter, 0)
        swapped = ((~level & here) << 1) & before
        level = ((((here & rises) + rises) ^ rises) | here | falls | swapped) & full
        more = falls | (full & ~(level | rises))
        less = level & rises
        far += (more & last > 0) - (less & last > 0)
        more, less = (more << 1 | 1) & full, less << 1 & full
        rises, falls, before = less | (full & ~(level | more)), more & level, here
    return far


@contextmanager
def limited_work() -> Iterator[None]:
    """Within this so many letters are compared, then nothing is suggested: a text can hold thousands of slips."""
    before, _Work.left = _Work.left, LETTERS
    try:
        yield
    finally:
        _Work.left = before


def nearest(word: str, candidates: Iterable[str], n: int = 3) -> list[str]:
    """Up to `n` candidates close enough to be meant: nearest first; of equals, one of the same letters."""
    if len(word) > LONGEST or _Work.left < 0:
        return []
    folded = word.lower()
    limit = max(1, len(word) // 3)
    scored = []
    for c in set(candidates):
        near = c != word and len(c) <= LONGEST and abs(len(c) - len(word)) <= limit
        _Work.left -= 1 + len(c) * near
        if _Work.left < 0:
            return []
        if not near:
            continue
        apart = distance(folded, c.lower())
        if apart <= limit and apart < max(len(word), len(c)):
            scored.append((apart, sorted(c.lower()) != sorted(folded), c[:1] != word[:1], abs(len(c) - len(word)), c))
    return [c for *_, c in sorted(scored)][:n]


def closest(word: str, *groups: Iterable[str]) -> str | None:
    """The nearest of the first group that has one: what fits best comes first, unless a later one is much nearer."""
    best: str | None = None
    for candidates in groups:
        for found in nearest(word, candidates, 1):
            if best is None or distance(word.lower(), found.lower()) + 1 < distance(word.lower(), best.lower()):
                best = found
    return best


def instead(word: str, near: str | None, span: Span, others: Iterable[str] = (), sign: str = "") -> tuple[Fix, ...]:
    """The fix that writes `near`, with the sign before it, for `word`; `others` might have been meant as well."""
    if near is None:
        return ()
    rivals = [near, *(other for other in nearest(word, others) if other != near)]
    edit = Edit(span, sign + near)
    return (Fix(f"write `{sign}{near}`", (edit,), "safe" if _clear(word, rivals) else "unsafe"),)


def _clear(word: str, near: list[str]) -> bool:
    """Whether the nearest candidate is plainly what was meant: one slip away, and the only one that is.

    A short word is one slip away from too much, and digits are no slip: `f2` is not a misspelt `f1`.
    """
    first = near[0]
    if max(len(word), len(first)) < 4 or _digits(word) != _digits(first):
        return False
    return distance(word.lower(), first.lower()) <= 1 and not any(
        distance(word.lower(), other.lower()) <= 1 for other in near[1:]
    )


def _digits(word: str) -> str:
    return "".join(c for c in word if c.isdigit())

"""Did you mean: the nearest of a few candidates.

`instead` is the one owner of when a word may be replaced without asking.
Distance is Damerau-Levenshtein (optimal string alignment); at most a third of
the word may differ, and at least one letter always may.
"""

from __future__ import annotations

from collections.abc import Iterable

from recipelang.source.diagnostic import Edit, Fix
from recipelang.source.text import Span


def distance(a: str, b: str) -> int:
    """Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`.

    >>> distance("sparsty", "sparsity"), distance("adma", "adam")
    (1, 1)
    """
    rows = [list(range(len(b) + 1))]
    for i, x in enumerate(a, 1):
        row = [i]
        for j, y in enumerate(b, 1):
            best = min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                best = min(best, rows[-2][j - 2] + 1)
            row.append(best)
        rows.append(row)
    return rows[-1][-1]


def nearest(word: str, candidates: Iterable[str], n: int = 3) -> list[str]:
    """Up to `n` candidates close enough to be meant: nearest first; of equals, one of the same letters."""
    folded = word.lower()
    limit = max(1, len(word) // 3)
    scored = [
        (
            distance(folded, c.lower()),
            sorted(c.lower()) != sorted(folded),
            c[:1] != word[:1],
            abs(len(c) - len(word)),
            c,
        )
        for c in set(candidates)
        if c != word and abs(len(c) - len(word)) <= limit
    ]
    return [c for d, *_, c in sorted(scored) if d <= limit and d < max(len(word), len(c))][:n]


def closest(word: str, *groups: Iterable[str]) -> str | None:
    """The nearest of the first group that has one: what fits best comes first, unless a later one is much nearer."""
    best: str | None = None
    for candidates in groups:
        for found in nearest(word, candidates, 1):
            if best is None or distance(word.lower(), found.lower()) + 1 < distance(word.lower(), best.lower()):
                best = found
    return best


def respelling(word: str, span: Span, candidates: Iterable[str]) -> tuple[Fix, ...]:
    """The fix that writes the nearest candidate at `span`; none when nothing is near."""
    candidates = list(candidates)
    return instead(word, closest(word, candidates), span, candidates)


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

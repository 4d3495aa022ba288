"""Did you mean: the nearest of a few candidates.

Distance is Damerau-Levenshtein (optimal string alignment); at most a third of
the word may differ, and at least one letter always may.
"""

from __future__ import annotations

from collections.abc import Iterable


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
    """The nearest of the first group that has one: what fits best comes first."""
    for candidates in groups:
        if found := nearest(word, candidates, 1):
            return found[0]
    return None

"""Entities in tags, and their F1, as the evaluation of CoNLL-2000 and -2003 defines them and seqeval does by default.

Tags are `O`, or a letter and a kind: `B-PER` begins an entity, `I-PER` goes on with it; `E` (or `L`) ends one, and `S`
(or `U`) is a whole one. An entity counts when its kind, its first and its last word are right.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_SAME = {"L": "E", "U": "S"}
_LETTERS = "BIESLU"


def is_tag(tag: str) -> bool:
    return tag == "O" or (tag[:1] in _LETTERS and (len(tag) == 1 or tag[1] == "-"))


def entities(tags: Sequence[str]) -> list[tuple[str, int, int]]:
    """Kind, first word, word behind the last.

    A tag that does not follow from the one before it begins an entity all the same: `I-PER` after `O` or `B-LOC`.

    >>> entities(["B-PER", "I-PER", "O", "I-LOC", "B-LOC"])
    [('PER', 0, 2), ('LOC', 3, 4), ('LOC', 4, 5)]
    """
    found: list[tuple[str, int, int]] = []
    begun = 0
    letter, kind = "O", ""
    for at, tag in enumerate([*tags, "O"]):
        now, _, its = (tag or "O").partition("-")  # of a word nothing is said: no entity
        now = _SAME.get(now, now)
        new = now in "BSO" or letter in "ESO" or its != kind
        if new and letter != "O":
            found.append((kind, begun, at))
        if new:
            begun = at
        letter, kind = now, its
    return found


def f1(said: Iterable[Sequence[str]], right: Iterable[Sequence[str]]) -> float:
    """Over all sentences together (micro average); 0 where there are no entities at all."""
    hits = wrong = 0
    for a, b in zip(said, right, strict=True):
        ours, theirs = set(entities(a)), set(entities(b))
        hits += len(ours & theirs)
        wrong += len(ours ^ theirs)
    return 2 * hits / (2 * hits + wrong) if hits else 0.0


def completed(tags: Iterable[str]) -> tuple[str, ...]:
    """A kind that begins in one split may go on in another: every kind with every letter that there is.

    What are no tags of entities stay as they are, in their order.
    """
    tags = tuple(tags)
    given = set(tags)
    if not all(map(is_tag, given)):
        return tags
    pairs = [t.split("-", 1) for t in given if "-" in t]
    letters, kinds = {p[0] for p in pairs}, {p[1] for p in pairs}
    return tuple(sorted(given | {f"{letter}-{kind}" for letter in letters for kind in kinds}))

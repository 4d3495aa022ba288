"""The terms of a distillation for two models: pairs of layers, widths that a projection must bridge. E073, E080."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

from recipelang.kinds.terms import INNER
from recipelang.planning.facts import ModelFacts
from recipelang.planning.types import Segment, TermPlan
from recipelang.source import fail
from recipelang.tasks import task_of
from recipelang.values.composite import LayerPairs, Schedule, Term

Segments = Callable[[Schedule], tuple[Segment, ...]]


def plan_term(term: Term, student: ModelFacts, teacher: ModelFacts, segments: Segments, steps: int) -> TermPlan:
    """`segments` puts a weight on the steps of the stage."""
    plain = (Segment(shape="constant", start=1, end=1, first=0, last=steps - 1),)
    weight = plain if term.weight is None else segments(term.weight)
    if term.name not in INNER:
        if task_of(student.task).gives == "embeddings" and _width(student) != _width(teacher):
            notes = [f"teacher {_width(teacher)}, student {_width(student)} numbers in an embedding"]
            help = "match `hidden` instead, or choose a teacher with embeddings of the same width"
            raise fail("E080", "teacher and student have embeddings of different widths", help=help, notes=notes)
        kind: Literal["number", "output"] = "number" if task_of(student.task).gives == "number" else "output"
        return TermPlan(kind=kind, output=term.name, weight=weight)
    pairs = tuple(dict.fromkeys(_pairs(term, student.layers, teacher.layers)))
    widths = None
    if term.name == "hidden" and _width(student) != _width(teacher):
        widths = (_width(student), _width(teacher))
    if term.name == "attention" and _heads(student) != _heads(teacher):
        notes = [f"teacher {_heads(teacher)}, student {_heads(student)} heads"]
        help = "match `hidden` instead, or choose a teacher with the same number of heads"
        raise fail("E080", "teacher and student have different numbers of attention heads", help=help, notes=notes)
    return TermPlan(kind=term.name, layers=pairs, widths=widths, weight=weight)  # type: ignore[arg-type]


def at_same_depth(layer: int, layers: int, teacher_layers: int) -> int:
    """The teacher's layer for a student's: evenly spaced, the last for the last.

    >>> [at_same_depth(i, 4, 6) for i in range(4)], [at_same_depth(i, 6, 12) for i in range(6)]
    ([1, 2, 4, 5], [1, 3, 5, 7, 9, 11])
    """
    return -(-(layer + 1) * teacher_layers // layers) - 1


def _pairs(term: Term, ours: int, theirs: int) -> Iterator[tuple[int, int]]:
    everything = LayerPairs(0, -1) if term.name == "attention" else LayerPairs(-1, -1)
    for pairs in term.layers or (everything,):
        first, last = _layer(pairs.first, ours, "student"), _layer(pairs.last, ours, "student")
        if first > last:
            raise fail(
                "E073",
                f"the layer range `{pairs.first}..{pairs.last}` runs backwards",
                help="write the lower layer first",
            )
        for layer in range(first, last + 1):
            if pairs.teacher is None:
                yield layer, at_same_depth(layer, ours, theirs)
            else:
                yield layer, _layer(pairs.teacher, theirs, "teacher")


def _layer(number: int, layers: int, whose: str) -> int:
    if not -layers <= number < layers:
        help = f"it has layers 0..{layers - 1}; -1 is the last"
        raise fail("E073", f"layer {number} lies outside the {whose}", help=help)
    return number % layers


def _width(facts: ModelFacts) -> int:
    return int(facts.config.get("hidden_size") or facts.config["dim"])


def _heads(facts: ModelFacts) -> int:
    return int(facts.config.get("num_attention_heads") or facts.config["n_heads"])

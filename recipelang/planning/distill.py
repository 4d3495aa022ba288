"""A teacher for a student, and the terms of their distillation: pairs of layers, widths to bridge. E073, E080, E271, E272."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from recipelang.kinds.terms import INNER, REVERSE, SQUAREHEAD
from recipelang.planning import numbers
from recipelang.planning.facts import ModelFacts, read_model_facts
from recipelang.planning.families import label_count, label_names
from recipelang.planning.types import Segment, TermPlan
from recipelang.planning.weights import check_weights
from recipelang.source import RecipeError, fail
from recipelang.spec.blocks import StageSpec
from recipelang.tasks import task_of
from recipelang.tasks.config_defaults import token_types
from recipelang.tasks.pooling import pooling_of
from recipelang.values.composite import LayerPairs, Schedule, Term

Segments = Callable[[Schedule], tuple[Segment, ...]]

#: what a task gives -> how `modifiers/distill_terms.py` compares it with a teacher's
COMPARED: dict[str, Literal["number", "output"]] = {
    "scores": "output",
    "words": "output",
    "embeddings": "output",
    "number": "number",
}


def read_teacher(path: Path, student: ModelFacts, longest: int) -> ModelFacts:
    """`longest`: tokens of the longest input. E080 for one that a student of these data and this task cannot learn from."""
    task = task_of(student.task)
    facts = read_model_facts(path, task.name)
    theirs, ours = facts.config.get("vocab_size"), student.config.get("vocab_size")
    if theirs != ours:
        help, notes = "choose a teacher with the student's tokenizer", [f"teacher {theirs}, student {ours} tokens"]
        raise fail("E080", "teacher and student have different vocabularies", help=help, notes=notes)
    theirs, ours = (token_types(f.config) for f in (facts, student))
    if 0 < theirs < ours:  # a teacher without a table is not given the types
        notes = [f"teacher {theirs}, student {ours} kinds: the two texts of a pair need two"]
        help = "choose a teacher of the student's family"
        raise fail("E080", "the teacher has fewer token types than the student", help=help, notes=notes)
    one_number, embeds = (task.gives == what for what in ("number", "embeddings"))
    named = any(facts.config.get(field) for field in ("id2label", "num_labels"))
    if not facts.has_head and (one_number or not named):  # so that no labels are compared that nobody gave
        raise _no_head(task.name)
    if one_number:
        numbers.gives_one_number(facts, "teacher")
    if embeds:
        pooling_of(facts.path)
    theirs, ours = (1 if embeds else label_count(f.config) for f in (facts, student))
    if theirs != ours:
        help, notes = "choose a teacher of the same task", [f"teacher {theirs}, student {ours} labels"]
        raise fail("E080", "teacher and student have different labels", help=help, notes=notes)
    if not embeds:
        _same_order(label_names(facts.config), label_names(student.config))
    if not facts.has_head:
        raise _no_head(task.name)
    if longest > facts.max_positions:
        notes = [f"the teacher accepts {facts.max_positions:,} tokens, windows have {longest:,}"]
        raise fail("E080", "the teacher cannot read windows this long", help="shorten `max_length`", notes=notes)
    check_weights(facts)
    return facts


def _no_head(task: str) -> RecipeError:
    help = "name a model fine-tuned for this task, or `stage.NAME`: a new head would teach noise"
    return fail("E080", f"the teacher has no head for {task}", help=help)


def _same_order(teacher: Sequence[str], student: Sequence[str]) -> None:
    """Two models that call the same classes by other numbers teach each other nonsense."""
    theirs, ours = ([n.casefold() for n in names] for names in (teacher, student))
    if set(theirs) == set(ours) and theirs != ours:
        notes = [f"teacher {', '.join(teacher)}; student {', '.join(student)}"]
        help = "choose a teacher that was trained on this data"
        raise fail("E080", "teacher and student have their labels in different orders", help=help, notes=notes)


def plan_term(term: Term, student: ModelFacts, teacher: ModelFacts, segments: Segments, steps: int) -> TermPlan:
    """`segments` puts a weight on the steps of the stage."""
    plain = (Segment(shape="constant", start=1, end=1, first=0, last=steps - 1),)
    weight = plain if term.weight is None else segments(term.weight)
    if term.name == REVERSE:
        if not task_of(student.task).softmax:
            notes = [f"the outputs of {student.task} are no probabilities"]
            help = "write `on = logits`: it compares what this task has"
            raise fail("E272", f"`{REVERSE}` needs outputs that are distributions", help=help, notes=notes)
        return TermPlan(kind="reverse", output="logits", weight=weight)
    if term.name not in INNER:
        if task_of(student.task).gives == "embeddings" and _width(student) != _width(teacher):
            notes = [f"teacher {_width(teacher)}, student {_width(student)} numbers in an embedding"]
            help = "match `hidden` instead, or choose a teacher with embeddings of the same width"
            raise fail("E080", "teacher and student have embeddings of different widths", help=help, notes=notes)
        return TermPlan(kind=COMPARED[task_of(student.task).gives], output=term.name, weight=weight)
    pairs = tuple(dict.fromkeys(_pairs(term, student.layers, teacher.layers)))
    widths = None
    if term.name in ("hidden", SQUAREHEAD) and _width(student) != _width(teacher):
        widths = (_width(student), _width(teacher))
    if term.name == "attention" and _heads(student) != _heads(teacher):
        notes = [f"teacher {_heads(teacher)}, student {_heads(student)} heads"]
        help = "match `hidden` instead, or choose a teacher with the same number of heads"
        raise fail("E080", "teacher and student have different numbers of attention heads", help=help, notes=notes)
    return TermPlan(kind=term.name, layers=pairs, widths=widths, weight=weight)  # type: ignore[arg-type]


def check_whole(spec: StageSpec) -> bool:
    """E271 for a batch in parts where a term is a ratio over all of it."""
    whole = any(term.name == SQUAREHEAD for d in spec.distills for term in d.on)
    if whole and spec.micro_batch not in (None, spec.batch):
        notes = ["it divides a sum over the batch by another: sums over its parts have other ratios"]
        help = "remove `micro_batch`, or match `hidden`, which is a mean over items: `hidden(0..-1)`"
        raise fail("E271", f"`{SQUAREHEAD}` needs the whole batch in one forward pass", help=help, notes=notes)
    return True


def at_same_depth(layer: int, layers: int, teacher_layers: int) -> int:
    """The teacher's layer for a student's: evenly spaced, the last for the last.

    >>> [at_same_depth(i, 4, 6) for i in range(4)], [at_same_depth(i, 6, 12) for i in range(6)]
    ([1, 2, 4, 5], [1, 3, 5, 7, 9, 11])
    """
    return -(-(layer + 1) * teacher_layers // layers) - 1


def _pairs(term: Term, ours: int, theirs: int) -> Iterator[tuple[int, int]]:
    everything = LayerPairs(-1, -1) if term.name == "hidden" else LayerPairs(0, -1)
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

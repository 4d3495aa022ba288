"""L082: what a stage learns from is what it is measured on."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.lint.subject import Finding, Subject
from recipelang.spec.blocks import DataSpec, EvaluateSpec

CODE, NAME, LEVEL, NEEDS = "L082", "evaluated-on-train", "deny", "recipe"


def check(it: Subject) -> Iterator[Finding]:
    stages = [stage for stage in it.recipe.stages if stage.mode == "train"]
    learnt = {place for stage in stages for place in read_by(it.recipe.data[stage.data])}
    for evaluation in it.recipe.evaluations:
        if measured(it, evaluation) in learnt:
            yield Finding(
                *where(it, evaluation, "trained on"),
                "evaluate on examples that no stage has seen: the model may have memorised these",
            )


def measured(it: Subject, evaluation: EvaluateSpec) -> tuple[str, str]:
    if evaluation.source is not None:
        return _located(evaluation.source, evaluation.split)
    return place(it.recipe.data[evaluation.data], evaluation.split)


def where(it: Subject, evaluation: EvaluateSpec, what: str) -> tuple[str, str]:
    """At the `split`, where it is `train`; otherwise two splits are one file, and that is said where they are named."""
    message = f"`{evaluation.name}` evaluates on data the model was {what}"
    data = f"data.{evaluation.data}" if evaluation.data else "data"
    own = f"{data}.{evaluation.split}"
    if evaluation.split != "train" and evaluation.source is None and own in it.recipe.spans:
        return own, message
    at = f"evaluate.{evaluation.name}.{'split' if evaluation.split == 'train' else 'source'}"
    return at, message


def read_by(data: DataSpec) -> set[tuple[str, str]]:
    """What a stage reads of a data set."""
    return {_located(m.source, "train") for m in data.mixes} or {place(data, "train")}


def place(data: DataSpec, split: str) -> tuple[str, str]:
    """Where the examples of a split come from, as the plan finds them."""
    own = getattr(data, split, None) if split in ("train", "validation", "test") else None
    if own is None:
        return _located(data.source or "", split)
    if data.source is not None and "://" not in own and "." not in own and "/" not in own:
        return _located(data.source, own)
    return _located(own, split)


def _located(reference: str, split: str) -> tuple[str, str]:
    """A file has no splits: it is the same under every name."""
    return (reference, split) if "://" in reference else (reference, "")

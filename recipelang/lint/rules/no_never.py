"""L003: nothing is protected."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.lint.subject import Finding, Subject
from recipelang.lint.walk import attribute
from recipelang.source import Edit, Fix, Span
from recipelang.values import selector as sel

CODE, NAME, LEVEL, NEEDS = "L003", "no-never", "warn", "recipe"
_NEVER = "never = @embeddings | @head"
#: roles of matrices inside the layers: what they select cannot meet `_NEVER`
_INSIDE = ("encoder", "attention", "ffn", "query", "key", "value")


def check(it: Subject) -> Iterator[Finding]:
    for stage in it.recipe.stages:
        for prune in stage.prunes:
            if prune.never is None:
                path = f"stage.{stage.name}.prune.{prune.name}"
                yield Finding(
                    path,
                    "this block protects no tensors",
                    f"add `{_NEVER}`: a later change of `targets` that reaches them is then an error",
                    _fix(it, path) if _stays_inside(prune.targets) else None,
                )


def _stays_inside(targets: sel.Selector) -> bool:
    match targets:
        case sel.Role():
            return targets.name in _INSIDE
        case sel.And():
            return any(map(_stays_inside, targets.items))
        case sel.Or():
            return all(map(_stays_inside, targets.items))
        case sel.Except():
            return _stays_inside(targets.left)
    return False


def _fix(it: Subject, path: str) -> Fix | None:
    """On a line of its own below `targets`, with its `=` in line; beside it where attributes share the line."""
    targets = attribute(it.tree, f"{path}.targets")
    if targets is None:
        return None
    file = it.source.file(targets.span)
    line, column = file.position(targets.span.start)
    text = file.line(line)
    end = targets.span.start - (column - 1) + len(text)
    last = text[targets.span.end - targets.span.start + column - 1 :].split("#")[0].strip()
    if text[: column - 1].strip() or last or targets.span.end > end:
        return Fix("protect embeddings and head", (Edit(Span(targets.span.end, targets.span.end), f", {_NEVER}"),))
    before = it.source.slice(Span(targets.span.start, targets.value.span.start)).partition("=")[0]
    aligned = before != "targets "  # `sparsity` is longer: where `=` stand in line, more than one space comes before it
    name = "never".ljust(len(before)) if aligned else "never "
    line_end = "\r\n" if it.source.slice(Span(end, end + 1)) == "\r" else "\n"
    added = f"{line_end}{text[: column - 1]}{name}{_NEVER.removeprefix('never ')}"
    return Fix("protect embeddings and head", (Edit(Span(end, end), added),))

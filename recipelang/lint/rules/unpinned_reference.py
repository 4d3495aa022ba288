"""L050: a model or data set may be another one tomorrow."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.lint.subject import Finding, Subject
from recipelang.lint.walk import is_unpinned, written

CODE, NAME, LEVEL, NEEDS = "L050", "unpinned-reference", "warn", "recipe"


def check(it: Subject) -> Iterator[Finding]:
    said: set[str] = set()
    for path, reference, revision in _references(it):
        if is_unpinned(reference, revision) and reference not in said:
            said.add(reference)
            message = f"`{reference}` does not pin a version"
            help = f"add the commit: `{reference.partition('@')[0]}@COMMIT`"
            yield Finding(written(it.tree, path, reference) or path, message, help)


def _references(it: Subject) -> Iterator[tuple[str, str, str | None]]:
    yield "model.base", it.recipe.model.base, it.recipe.model.revision
    for label, data in it.recipe.data.items():
        for name in ("source", "train", "validation", "test"):
            yield f"data.{label}.{name}" if label else f"data.{name}", getattr(data, name) or "", None
        for mix in data.mixes:
            yield f"{f'data.{label}' if label else 'data'}.mix.{mix.name}.source", mix.source, None
    for evaluation in it.recipe.evaluations:
        yield f"evaluate.{evaluation.name}.source", evaluation.source or "", None

"""What the recipes of the library are for, from their texts alone."""

from __future__ import annotations

from functools import cached_property

from recipelang.lint.walk import attribute
from recipelang.loading.files import bundled, library_names
from recipelang.loading.read import check_all
from recipelang.source import Diagnostics, Source
from recipelang.source.frozen import frozen
from recipelang.spec.check import study_of
from recipelang.spec.metrics import TASKS
from recipelang.syntax import parse, tree as t


@frozen
class Entry:
    """One recipe. `task` is empty for values that any task can use, and `study` for a study."""

    name: str
    task: str
    summary: str
    tags: tuple[str, ...] = ()

    @cached_property
    def searched(self) -> str:
        return " ".join((self.name, self.task, self.summary, *self.tags)).lower()

    def form(self) -> dict[str, object]:
        """As JSON."""
        return {"name": self.name, "task": self.task, "summary": self.summary, "tags": list(self.tags)}


def entries() -> list[Entry]:
    """Every recipe, tasks in the order of the language, then what fits any task, then studies."""
    order = [*TASKS, "", "study"]
    found = [_entry(f"lib://{name}") for name in library_names()]
    return sorted(found, key=lambda e: (order.index(e.task) if e.task in order else len(order), e.name))


def _entry(name: str) -> Entry:
    return described(name, bundled(name))


def described(name: str, source: Source) -> Entry:
    """What a text says of itself; its task, where it builds on others, is what comes out of all of them."""
    tree = parse(source, Diagnostics()).recipe
    assert tree is not None
    docs = (tree.doc, *(s.doc for s in tree.statements if not isinstance(s, t.Param | t.Let)), _changed(tree, source))
    first = " ".join(next(filter(None, docs), "").split()).partition(". ")[0].rstrip(".:")
    tags = attribute(tree, "meta.tags")
    items = tags.value.items if tags is not None and isinstance(tags.value, t.ListOf) else ()
    words = tuple(item.plain for item in items if isinstance(item, t.Text))
    return Entry(name, "study" if study_of(tree) is not None else _task(tree, source), first, words)


def _changed(tree: t.Recipe, source: Source) -> str:
    """Of a recipe that says nothing of itself: what it builds on, with the values that it sets."""
    base = next((s.reference.plain for s in tree.statements if isinstance(s, t.Extends)), "")
    values = [
        " ".join(source.slice(s.span).split()).removeprefix("set ") for s in tree.statements if isinstance(s, t.Set)
    ]
    with_ = f", {', '.join(values)}" if values else ""
    return f"`{base.removeprefix('./').removesuffix('.recipe')}`{with_}" if base else ""


def _task(tree: t.Recipe, source: Source) -> str:
    """The task of its model: as it is written, else what comes out of all that it builds on."""
    written = attribute(tree, "model.task")
    if written is not None and isinstance(written.value, t.Path) and written.value.text in TASKS:
        return written.value.text
    recipe = check_all(source, {}).recipe
    return recipe.model.task if recipe is not None else ""

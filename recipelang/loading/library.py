"""What the recipes of the library are for, from their texts alone."""

from __future__ import annotations

from functools import cached_property

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
    source = bundled(name)
    tree = parse(source, Diagnostics()).recipe
    assert tree is not None
    docs = (tree.doc, *(s.doc for s in tree.statements if not isinstance(s, t.Param | t.Let)), _changed(tree, source))
    first = " ".join(next(filter(None, docs), "").split()).partition(". ")[0].rstrip(".:")
    tags = _value(tree, "meta", "tags")
    words = tuple(_plain(item) for item in tags.items if isinstance(item, t.Text)) if isinstance(tags, t.ListOf) else ()
    return Entry(name, "study" if study_of(tree) is not None else _task(tree, source), first, words)


def _changed(tree: t.Recipe, source: Source) -> str:
    """Of a recipe that says nothing of itself: what it builds on, with the values that it sets."""
    base = next((_plain(s.reference) for s in tree.statements if isinstance(s, t.Extends)), "")
    values = [
        " ".join(source.slice(s.span).split()).removeprefix("set ") for s in tree.statements if isinstance(s, t.Set)
    ]
    with_ = f", {', '.join(values)}" if values else ""
    return f"`{base.removeprefix('./').removesuffix('.recipe')}`{with_}" if base else ""


def _task(tree: t.Recipe, source: Source) -> str:
    """The task of its model: as it is written, else what comes out of all that it builds on."""
    value = _value(tree, "model", "task")
    if isinstance(value, t.Path) and value.text in TASKS:
        return value.text
    recipe = check_all(source, {}).recipe
    return recipe.model.task if recipe is not None else ""


def _value(tree: t.Recipe, block: str, name: str) -> t.Expr | None:
    for s in tree.statements:
        for a in s.body if isinstance(s, t.Block) and s.kind == block else ():
            if isinstance(a, t.Attribute) and a.name == name:
                return a.value
    return None


def _plain(text: t.Text) -> str:
    return "".join(part for part in text.parts if isinstance(part, str))

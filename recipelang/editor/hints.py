"""What an editor shows between the words: the values of expressions."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.editor.document import Document
from recipelang.source import Span
from recipelang.source.frozen import frozen
from recipelang.spec.effective import shown
from recipelang.spec.recipe import Recipe
from recipelang.syntax import tree as t

#: a longer value says less beside the line than by hovering
_MOST = 40


@frozen
class Hint:
    """A text to show behind an offset, and why."""

    offset: int
    text: str
    why: str


def hints(document: Document, within: Span) -> list[Hint]:
    """Of every attribute whose value is computed: its value. Only lines in the span, and only of a recipe without errors."""
    recipe = document.checked.recipe
    if recipe is None:
        return []
    return [h for h in _values(document, recipe) if within.start <= h.offset <= within.end]


def _values(document: Document, recipe: Recipe) -> Iterator[Hint]:
    specs = {"": recipe.top, **dict(recipe.blocks())}
    for path, statement in _attributes(document.statements, ""):
        block, _, name = path.rpartition(".")
        spec = specs.get(block)
        if spec is None or name not in spec.attributes() or not _is_computed(statement.value):
            continue
        value = shown(spec, name)
        if len(value) <= _MOST and value != " ".join(document.source.slice(statement.value.span).split()):
            yield Hint(statement.value.span.end, f"= {value}", f"the value of `{name}`")


def _attributes(body: tuple[t.Statement, ...], path: str) -> Iterator[tuple[str, t.Attribute]]:
    for s in body:
        if isinstance(s, t.Patch):
            s = s.block
        if isinstance(s, t.Block):
            yield from _attributes(s.body, ".".join(filter(None, (path, s.kind, *s.labels))))
        elif isinstance(s, t.Attribute) and s.operator == "=":
            yield f"{path}.{s.name}".lstrip("."), s


def _is_computed(expr: t.Expr) -> bool:
    """Whether it holds a name that may stand for a value, or arithmetic."""
    return any(
        isinstance(node, t.If) or (isinstance(node, t.Binary) and node.operator in "+-*/") or isinstance(node, t.Path)
        for node in t.inside(expr)
    ) and not (isinstance(expr, t.Path) and expr.names[0] == "stage")

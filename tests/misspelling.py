"""Every word of a recipe, and one slip of the finger in it."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

from recipelang.methods import METHODS
from recipelang.schedules.shapes import SHAPES
from recipelang.source import Diagnostic, Span
from recipelang.spec.blocks import BLOCKS
from recipelang.spec.claims import FUNCTIONS
from recipelang.spec.figures import BASE, NAMES, RUNTIMES, SETTINGS
from recipelang.spec.optimizers import OPTIMIZERS
from recipelang.spec.params import TYPES
from recipelang.syntax import grammar, tree as t
from recipelang.syntax.tokens import KEYWORDS, span_of
from recipelang.values.quantities import UNITS
from recipelang.values.selector import ROLES
from tests.reading import parsed

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def _vocabulary() -> frozenset[str]:
    """Every word that the language gives a meaning: writing one for another is no slip of the finger."""
    specs = [spec for table in BLOCKS.values() for spec in table.values()]
    attributes = {name for spec in specs for name in spec.attributes()}
    symbols = {s for spec in specs for a in spec.attributes().values() for s in a.kind.symbols}
    signatures = [*METHODS.values(), *OPTIMIZERS.values()]
    arguments = {a.name for s in signatures for a in s.arguments} | {
        n for shape in SHAPES.values() for n in shape.arguments
    }
    kinds = {kind for table in BLOCKS.values() for kind in table}
    return frozenset(
        KEYWORDS
        | attributes
        | symbols
        | arguments
        | kinds
        | {"over", "every", "updates", "rewind", "at", "ends", "after", "last", "layers"}
    ).union(UNITS, ROLES, SHAPES, TYPES, FUNCTIONS, NAMES, RUNTIMES, SETTINGS, (BASE, "start", "end", "one_of"))


VOCABULARY = _vocabulary()


@dataclass(frozen=True)
class Word:
    span: Span
    text: str
    #: `use`, or where a name is given to something: `definition`, `label`, `option` (of a `one_of`)
    role: str = "use"
    #: how many errors a slip in it makes: none where nothing uses what is renamed
    errors: int = 1


def words(text: str) -> list[Word]:
    """Names, keywords, units, roles, and names inside strings; not the strings."""
    result, _ = parsed(text)
    assert result.recipe is not None
    given = _given(result.recipe)
    found: list[Word] = []
    for token in grammar.lex(text):
        at = span_of(token)
        if token.type == "ROLE":
            found.append(Word(Span(at.start + 1, at.end), str(token)[1:]))
        elif token.type == "NAME" or str(token) in KEYWORDS:
            found.append(given.get(at) or Word(at, str(token)))
        elif token.type in ("STRING", "MLSTRING"):
            for path in re.finditer(r"(?<!\\)\$\{([\w.]+)\}", str(token)):
                for part in re.finditer(r"\w+", path[1]):
                    start = at.start + path.start(1) + part.start()
                    found.append(Word(Span(start, start + len(part[0])), part[0]))
    return found


def _given(recipe: t.Recipe) -> dict[Span, Word]:
    """The places where a name is given to something."""
    paths = [e for e in _expressions(recipe.statements) if isinstance(e, t.Path)]
    alone = {p.text for p in paths}
    parts = {name for p in paths if len(p.names) > 1 for name in p.names}
    values = {
        a.value.text for a in _flat(recipe.statements) if isinstance(a, t.Attribute) and isinstance(a.value, t.Path)
    }
    compared = {
        side.text
        for e in _expressions(recipe.statements)
        if isinstance(e, t.Binary) and e.operator in ("==", "!=")
        for side in (e.left, e.right)
        if isinstance(side, t.Path)
    }
    found: list[Word] = []
    for s in _flat(recipe.statements):
        match s:
            case t.Param() | t.Let():
                found.append(Word(s.name_span, s.name, "definition", int(s.name in alone)))
            case t.Use():
                found.append(Word(s.alias_span, s.alias, "definition", int(s.alias in parts)))
            case t.Block():
                used = alone if s.kind == "data" else parts
                found += [
                    Word(span, label, "label", int(label in used))
                    for span, label in zip(s.label_spans, s.labels, strict=True)
                ]
        if isinstance(s, t.Param) and isinstance(s.type, t.Call):
            default = {s.default.text} if isinstance(s.default, t.Path) else set()
            for option in (a.value for a in s.type.arguments):
                if isinstance(option, t.Path):
                    used = option.text in default | compared or s.name in values
                    found.append(Word(option.span, option.text, "option", int(used)))
    return {word.span: word for word in found}


def _flat(statements: tuple[t.Statement, ...]) -> Iterator[t.Statement]:
    for statement in statements:
        yield statement
        if isinstance(statement, t.Block):
            yield from _flat(statement.body)
        elif isinstance(statement, t.Patch):  # its labels are uses: they must exist
            yield from (s for s in _flat((statement.block,)) if not isinstance(s, t.Block))


def _expressions(statements: tuple[t.Statement, ...]) -> Iterator[t.Expr]:
    """Every expression of a recipe but the types of parameters."""
    for s in _flat(statements):
        match s:
            case t.Attribute() | t.Let() | t.Set():
                yield from t.inside(s.value)
            case t.Claim():
                yield from t.inside(s.condition)
            case t.Param():
                for part in (s.within, s.default):
                    if part is not None:
                        yield from t.inside(part)


def slip(word: str, rng: random.Random, taken: frozenset[str]) -> str:
    """One letter left out, put in, replaced or swapped with its neighbour; never a word of its own."""
    while True:
        i = rng.randrange(len(word))
        match rng.choice(("delete", "insert", "replace", "swap")):
            case "delete":
                new = word[:i] + word[i + 1 :]
            case "insert":
                new = word[:i] + rng.choice(LETTERS) + word[i:]
            case "replace":
                new = word[:i] + rng.choice(LETTERS) + word[i + 1 :]
            case _:
                new = word[:i] + word[i + 1 : i + 2] + word[i] + word[i + 2 :]
        if new != word and re.fullmatch(r"[A-Za-z_]\w*", new) and new not in taken:
            return new


def suggestion(d: Diagnostic) -> str | None:
    """The first word that a finding proposes."""
    for text in d.help:
        if m := re.search(r"did you mean `@?([^`]*)`", text):
            return m[1]
    return None

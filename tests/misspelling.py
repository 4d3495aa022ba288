"""Every word of a recipe, and one slip of the finger in it."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

from recipelang.schedules.kinds import SHAPES
from recipelang.source import Diagnostic, Span
from recipelang.spec.blocks import BLOCKS
from recipelang.spec.claims import FUNCTIONS, LATER_FUNCTIONS
from recipelang.spec.methods import LATER_METHODS, METHODS, OPTIMIZERS
from recipelang.spec.params import TYPES
from recipelang.spec.selector import ROLES
from recipelang.syntax import grammar, tree as t
from recipelang.syntax.tokens import KEYWORDS, span_of
from recipelang.values.quantities import UNITS
from tests.reading import parsed

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def _vocabulary() -> frozenset[str]:
    """Every word that the language gives a meaning: writing one for another is no slip of the finger."""
    specs = [spec for table in BLOCKS.values() for spec in table.values()]
    attributes = {name for spec in specs for name in spec.attributes()}
    symbols = {s for spec in specs for a in spec.attributes().values() for s in a.kind.symbols}
    signatures = [*METHODS.values(), *OPTIMIZERS.values()]
    arguments = {a.name for s in signatures for a in s.arguments} | {n for ns in SHAPES.values() for n in ns}
    kinds = {kind for table in BLOCKS.values() for kind in table}
    return frozenset(
        KEYWORDS | attributes | symbols | arguments | kinds | {"over", "every", "updates", "rewind", "at", "layers"}
    ).union(UNITS, ROLES, SHAPES, TYPES, FUNCTIONS, LATER_FUNCTIONS, LATER_METHODS, ("start", "end", "one_of"))


VOCABULARY = _vocabulary()


@dataclass(frozen=True)
class Word:
    span: Span
    text: str
    #: `definition`, `option` (of a `one_of`), `label`, or `use`
    role: str
    #: how it stands, for a table of failures: `NAME (`, `@NAME`, ...
    kind: str


def words(text: str) -> list[Word]:
    """Names, keywords, units, roles, and names inside strings; not the strings."""
    found: list[Word] = []
    result, _ = parsed(text)
    assert result.recipe is not None
    places = dict(_definitions(result.recipe.statements))
    tokens = [token for token in grammar.lex(text) if token.type not in ("WS", "COMMENT")]
    for i, token in enumerate(tokens):
        at = span_of(token)
        after = tokens[i + 1].type if i + 1 < len(tokens) else "$END"
        before = tokens[i - 1].type if i else "$START"
        if token.type == "ROLE":
            found.append(Word(Span(at.start + 1, at.end), str(token)[1:], "use", "role"))
        elif token.type == "NAME" or str(token) in KEYWORDS:
            kind = "keyword" if token.type != "NAME" else f"{before} NAME {after}"
            found.append(Word(at, str(token), places.get(at, "use"), kind))
        elif token.type in ("STRING", "MLSTRING"):
            for m in re.finditer(r"(?<!\\)\$\{([\w.]+)\}", str(token)):
                for part in re.finditer(r"\w+", m[1]):
                    start = at.start + m.start(1) + part.start()
                    found.append(Word(Span(start, start + len(part[0])), part[0], "use", "in a string"))
    return found


def _definitions(statements: tuple[t.Statement, ...]) -> Iterator[tuple[Span, str]]:
    for statement in statements:
        match statement:
            case t.Param():
                yield statement.name_span, "definition"
                if isinstance(statement.type, t.Call):
                    for argument in statement.type.arguments:
                        yield argument.value.span, "option"
            case t.Let():
                yield statement.name_span, "definition"
            case t.Block():
                for span in statement.label_spans:
                    yield span, "label"
                yield from _definitions(statement.body)


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

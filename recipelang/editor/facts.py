"""What is known of a word of the language, as Markdown of a few lines: for hovering and beside what completion offers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from recipelang.kinds.base import Kind
from recipelang.kinds.choice import Choice, Signature
from recipelang.kinds.plain import ListOf, OrNone
from recipelang.kinds.schedule import ARGUMENTS, ScheduleOf
from recipelang.kinds.text import chosen
from recipelang.methods.declaration import Method
from recipelang.reference.attributes import default, header, says
from recipelang.reference.markdown import block, code, table
from recipelang.schedules.shapes import SHAPES
from recipelang.spec.attribute import Attr, Spec
from recipelang.spec.claims import CLAIMS, FUNCTIONS
from recipelang.spec.figures import FIGURES
from recipelang.spec.metrics import MEASURES
from recipelang.spec.params import TYPES
from recipelang.spec.vocabulary import CALLED
from recipelang.values.composite import PATTERNS
from recipelang.values.quantities import DIMENSIONS, UNITS
from recipelang.values.selector import ROLES

LANGUAGE = "recipe"

#: words that begin a statement, each with what follows it and what it does
STATEMENTS = {
    "recipe": ('recipe 1 "${1:name}"', "the first line of a file: version of the language, name of the recipe"),
    "extends": ('extends "${1:./base.recipe}"', "build on another recipe and change it"),
    "use": ('use "${1:lib://lib/scaling}" as ${2:lib}', "import definitions of another recipe under a name"),
    "param": ("param ${1:name}: ${2:ratio} = ${3:90%}", "a value that `-p NAME=VALUE` sets"),
    "let": ("let ${1:name} = ${2:value}", "name a value"),
    "set": ("set ${1:name} = ${2:value}", "fix the value of an inherited parameter"),
    "patch": ("patch ${1:stage NAME} {\n  $0\n}", "change an inherited block"),
    "unset": ("unset ${1:path}", "remove an inherited block or attribute"),
    **{word: (f"{word} $0", when) for word, when in CLAIMS.items()},
}


def of_block(kind: str, spec: type[Spec]) -> str:
    """What a block is, and the attributes that it takes."""
    needed = ", ".join(map(code, spec.required()))
    others = ", ".join(code(name) for name in spec.attributes() if name not in spec.required())
    lines = (f"Required: {needed}." if needed else "", f"Optional: {others}." if others else "")
    return "\n\n".join(filter(None, (code(header(kind, spec)), " ".join((spec.__doc__ or "").split()), *lines)))


def of_attribute(name: str, attribute: Attr, spec: type[Spec]) -> str:
    """Type, default and description of an attribute, with an example."""
    kind = attribute.kind
    within = f", {kind.within}" if kind.within else ""
    unset = default(name, attribute, spec)
    said = "**required**" if unset == "**required**" else f"default {unset}" if unset else ""
    head = " · ".join(filter(None, (f"{code(name)}: {code(kind.name)}{within}", said)))
    return "\n\n".join((head, says(attribute), block(f"{name} = {attribute.example}", LANGUAGE)))


def of_function(signature: Signature) -> str:
    """A method or an optimizer with its arguments."""
    rows = [(code(a.name), code(a.kind.text(a.default)), a.doc) for a in signature.arguments]
    found = [block(chosen(signature.default()), LANGUAGE), signature.sentence]
    if rows:
        found.append(table(("argument", "default", "description"), rows))
    if isinstance(signature, Method) and signature.sources:
        found.append(f"Source: {', '.join(signature.sources)}.")
    return "\n\n".join(found)


def of_shape(name: str) -> str:
    """A shape of schedules: what it does, its formula, an example."""
    shape = SHAPES[name]
    formula = f"From `a` to `b`, with x from 0 to 1 over the window: {code(shape.formula)}"
    return "\n\n".join((f"{code(name)}: {shape.doc}", formula, block(shape.example, LANGUAGE)))


def of_argument(function: str, name: str) -> str | None:
    """An argument of a method, an optimizer or a shape."""
    found = signature(function)
    for a in found.arguments if found is not None else ():
        if a.name == name:
            return f"{code(name)}: {code(a.kind.name)} · default {code(a.kind.text(a.default))}\n\n{a.doc}"
    if function in SHAPES and name in ARGUMENTS:
        kind, doc = ARGUMENTS[name]
        return f"{code(name)}: {code(kind)}\n\n{doc}"
    return None


def signature(name: str) -> Signature | None:
    """The method, scope, reconstruction or optimizer of a name."""
    for listed in CALLED:
        if name in listed:
            return listed[name]
    return None


def of_name(name: str) -> str | None:
    """A word that means the same wherever it stands in a value."""
    if (found := signature(name)) is not None:
        return of_function(found)
    if name in SHAPES:
        return of_shape(name)
    doc = words().get(name)
    return f"{code(name)}: {doc}" if doc else None


@cache
def words() -> Mapping[str, str]:
    """Metrics, functions of claims, types, units, roles with their `@`, and words that begin statements."""
    figures = {written.partition("(")[0]: doc for written, doc in FIGURES.items()}
    measured = {name: metric.doc for name, metric in MEASURES.items()}
    units = {name: DIMENSIONS[dimension] for name, (dimension, _) in UNITS.items() if len(name) > 1}
    types = {name: kind.doc for name, kind in TYPES.items()}
    roles = {f"@{name}": doc for name, doc in ROLES.items()}
    patterns = {name: doc for name, doc in PATTERNS.items() if name.isalpha()}
    statements = {name: doc for name, (_, doc) in STATEMENTS.items()}
    return {**types, **units, **patterns, **figures, **FUNCTIONS, **measured, **roles, **statements}


def inner(kind: Kind) -> Kind:
    """The kind of one value, where `none` or a list is possible too."""
    while isinstance(kind, OrNone | ListOf):
        kind = kind.inner
    return kind


def table_of(kind: Kind) -> Mapping[str, Signature]:
    """What may be called where a value of this kind stands, but for shapes."""
    kind = inner(kind)
    return kind.table if isinstance(kind, Choice) else {}


def shapes_of(kind: Kind) -> tuple[str, ...]:
    return tuple(SHAPES) if isinstance(inner(kind), ScheduleOf) else ()

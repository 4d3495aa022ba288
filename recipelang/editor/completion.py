"""What may be written where a cursor stands."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Literal

from recipelang.editor import facts
from recipelang.editor.context import Call, Context, context, spec_of
from recipelang.editor.document import Document
from recipelang.editor.names import Definition, definitions
from recipelang.kinds.base import Kind
from recipelang.kinds.measures import Count, PerEpoch, Size, Stretch
from recipelang.kinds.plain import Reference
from recipelang.kinds.schedule import ScheduleOf, arguments_of
from recipelang.kinds.tensors import Selector
from recipelang.loading.files import library_names
from recipelang.reference.attributes import default, header
from recipelang.schedules.shapes import SHAPES
from recipelang.source import Span
from recipelang.source.frozen import frozen
from recipelang.spec.attribute import Attr, Spec
from recipelang.spec.blocks import BLOCKS
from recipelang.spec.claims import FUNCTIONS
from recipelang.spec.figures import BASE, FIGURES, OF_STAGES
from recipelang.spec.metrics import MEASURES
from recipelang.spec.params import TYPES
from recipelang.spec.study_blocks import STUDY_BLOCKS
from recipelang.syntax import tree as t
from recipelang.values.quantities import UNITS
from recipelang.values.selector import ROLES

Sort = Literal["block", "attribute", "keyword", "value", "function", "role", "unit", "name", "type", "metric", "file"]

#: entries of a folder that are looked at
LIMIT = 500
#: files that may be data, by their ends
_DATA = (".json", ".jsonl", ".csv", ".tsv", ".parquet", ".txt", ".arrow")


@frozen
class Item:
    """One offer: what the list shows, what is written (`$0`, `${1:x}` are places to fill in), and what it is."""

    label: str
    sort: Sort
    span: Span
    text: str = ""
    detail: str = ""
    doc: str = ""
    snippet: bool = False


def complete(document: Document, offset: int) -> list[Item]:
    """Offers at an offset, the likeliest first; the editor matches them with what is written."""
    at = context(document, offset)
    match at.where:
        case "comment" | "name":
            found = _named(document, at)
        case "statement":
            found = _statements(document, at)
        case "type":
            found = (_item(at, name, "type", doc=kind.doc) for name, kind in TYPES.items())
        case "string":
            found = _strings(document, at)
        case "claim":
            found = _claims(document, at)
        case _:
            found = _values(document, at)
    return list({item.label: item for item in found}.values())


def _item(at: Context, label: str, sort: Sort, text: str = "", detail: str = "", doc: str = "") -> Item:
    written = text or label
    return Item(label, sort, at.span, written, detail, doc, snippet="$" in written)


def without_places(text: str) -> str:
    """A snippet as plain text, for an editor that has no places to fill in: up to the first of them."""
    start = re.search(r"\$\{?\d", text)
    head = text[: start.start()] if start else text
    return head.replace("\\$", "$").replace("\\}", "}").rstrip("\n ") + (" " if head.endswith((" ", "\n")) else "")


# -------------------------------------------------------------------- statements
def _statements(document: Document, at: Context) -> Iterator[Item]:
    if not at.blocks:
        if document.parsed.recipe is None or not document.text.lstrip().startswith("recipe"):
            text, doc = facts.STATEMENTS["recipe"]
            yield _item(at, "recipe", "keyword", text, doc=doc)
        table = STUDY_BLOCKS[""] if document.is_study else {**BLOCKS[""], **STUDY_BLOCKS[""]}
        yield from (_block(at, kind, spec) for kind, spec in table.items())
        for word, (text, doc) in facts.STATEMENTS.items():
            if word != "recipe":
                yield _item(at, word, "keyword", text, doc=doc)
    spec = spec_of(at.blocks)
    written = _written(document, at.span.start)
    if spec is not None:
        offered = {name: a for name, a in spec.attributes().items() if name not in written}
        yield from (_attribute(at, name, attribute, spec) for name, attribute in offered.items())
    for kind, inner in BLOCKS.get(at.blocks[-1], {}).items() if len(at.blocks) == 1 else ():
        yield _block(at, kind, inner)
    if at.blocks == ("vary",):  # attributes of a study's `vary` are the parameters of its recipe
        for found in definitions(document).values():
            if found.kind == "param":
                yield _item(at, found.name, "attribute", f"{found.name} = [$0]", found.detail, found.doc)


def _block(at: Context, kind: str, spec: type[Spec]) -> Item:
    name = {0: "", 1: " ${1:name}"}[spec.LABELS[0]]
    required = [f"  {n} = ${{{i}:{_first(spec.attributes()[n])}}}" for i, n in enumerate(spec.required(), 2)]
    lines = "\n".join([*required, "  $0"]) if required else "  $0"
    return _item(at, kind, "block", f"{kind}{name} {{\n{lines}\n}}", header(kind, spec), facts.of_block(kind, spec))


def _attribute(at: Context, name: str, attribute: Attr, spec: type[Spec]) -> Item:
    unset = default(name, attribute, spec).replace("**", "").replace("`", "")
    detail = attribute.kind.name + (f", {unset}" if unset == "required" else f" = {unset}" if unset else "")
    return _item(at, name, "attribute", f"{name} = ", detail, facts.of_attribute(name, attribute, spec))


def _first(attribute: Attr) -> str:
    return attribute.example.replace("$", "\\$").replace("}", "\\}")


def _written(document: Document, offset: int) -> set[str]:
    """Names of the attributes that the innermost block at an offset has already."""
    body: tuple[t.Statement, ...] = document.statements
    while block := next((s for s in body if isinstance(s, t.Block) and s.span.start < offset <= s.span.end), None):
        body = block.body
    return {s.name for s in body if isinstance(s, t.Attribute) and not s.span.start <= offset <= s.span.end}


# ------------------------------------------------------------------------ values
def _values(document: Document, at: Context) -> Iterator[Item]:
    kind = at.kind
    if at.before[0] == "NUMBER":
        yield from (_item(at, unit, "unit", doc=facts.words().get(unit, "")) for unit in _units(at, kind))
        return
    if at.word.startswith("@"):
        yield from _roles(at)
        return
    if "." in at.word:
        yield from _dotted(document, at)
        return
    call = next((c for c in reversed(at.calls) if c.function), None)
    if call is not None and (at.calls[-1].function or call.argument):
        yield from _arguments(at, call)
        inner = _argument_kind(call)
        if inner is not None:
            yield from _of_kind(at, inner)
    elif kind is not None:
        yield from _of_kind(at, kind)
    elif at.header[:1] != ("param",):  # of a `let`, whose kind its uses decide
        yield from (_shape(at, name) for name in SHAPES)
    if (kind is not None and "stage" in kind.name) or at.attribute == "teacher":
        yield _item(at, "stage", "name", "stage.", doc="the model that an earlier stage left")
    if at.attribute == "data":
        for found in definitions(document).values():
            if found.kind == "data":
                yield _name(at, found)
    if call is not None and call.argument == "over":
        yield _item(at, "start..end", "value", doc="the whole stage")
        yield _item(at, "start", "value", doc="the first step of the stage")
        yield _item(at, "end", "value", doc="the end of the stage")
    yield from _defined(document, at)


def _of_kind(at: Context, kind: Kind) -> Iterator[Item]:
    for name, signature in facts.table_of(kind).items():
        yield _item(at, name, "function", name, signature.doc, facts.of_function(signature))
    for name in facts.shapes_of(kind):
        yield _shape(at, name)
    for name in (*kind.symbols, *kind.words):
        yield _item(at, name, "value", doc=facts.words().get(name, ""))
    if isinstance(facts.inner(kind), Selector):
        yield from _roles(at)
        yield _item(
            at, "layers", "function", "layers(${1:0..3})", doc="the layers of these numbers, from 0; `-1` is the last"
        )


def _shape(at: Context, name: str) -> Item:
    example = {"constant": "constant(${1:90%})", "step": "step(${1:0%} -> ${2:90%}, at = ${3:2 epochs})"}
    text = example.get(name, f"{name}(${{1:a}} -> ${{2:b}}, over = ${{3:start..end}})")
    return _item(at, name, "function", text, SHAPES[name].doc, facts.of_shape(name))


def _arguments(at: Context, call: Call) -> Iterator[Item]:
    if call.argument is not None:
        return
    found = facts.signature(call.function)
    for a in found.arguments if found is not None else ():
        yield _item(at, a.name, "attribute", f"{a.name} = ", a.kind.name, a.doc)
    if call.function in SHAPES:
        for name, (kind, doc) in arguments_of(call.function).items():
            yield _item(at, name, "attribute", f"{name} = ", kind, doc)


def _argument_kind(call: Call) -> Kind | None:
    found = facts.signature(call.function)
    return next((a.kind for a in found.arguments if a.name == call.argument), None) if found is not None else None


def _roles(at: Context) -> Iterator[Item]:
    yield from (_item(at, f"@{name}", "role", doc=doc) for name, doc in ROLES.items())


def _units(at: Context, kind: Kind | None) -> tuple[str, ...]:
    """Those that fit; all where it is not known."""
    inner = facts.inner(kind) if kind is not None else None
    if (at.calls and at.calls[-1].argument in ("over", "at", "every", "rewind")) or isinstance(inner, Stretch):
        return ("epochs", "steps", "epoch", "step")
    if isinstance(inner, PerEpoch) or (at.calls and at.calls[-1].argument == "updates"):
        return ("per epoch",)
    if isinstance(inner, Count | Size):
        # the kind's own name is the unit's, `tokens` or `samples`; of sizes in bytes several are written
        return tuple(u for u in UNITS if u == inner.name or (isinstance(inner, Size) and UNITS[u][0] == "byte"))
    return () if isinstance(inner, ScheduleOf) else tuple(u for u in UNITS if len(u) > 1)


# ------------------------------------------------------------------------- names
def _defined(document: Document, at: Context) -> Iterator[Item]:
    for found in definitions(document).values():
        if found.kind in ("param", "let"):
            yield _name(at, found)
    for alias in document.libraries:
        yield _item(at, alias, "name", f"{alias}.", doc="definitions of another recipe")


def _name(at: Context, found: Definition) -> Item:
    return _item(at, found.name, "name", detail=found.detail, doc=found.doc)


def _dotted(document: Document, at: Context) -> Iterator[Item]:
    """What may follow the last dot; the label has all of it, since that is what an editor filters by."""
    before = at.word.rpartition(".")[0]
    first, *rest = before.split(".")
    known = definitions(document)
    named = {kind: [d.name for d in known.values() if d.kind == kind] for kind in ("stage", "evaluate", "let")}
    if first == "stage" and not rest:
        ends = named["stage"]
    elif first == "stage" and len(rest) == 1:
        ends = [*named["evaluate"], *OF_STAGES]
    elif first == BASE and not rest and first not in named["evaluate"]:
        ends = [*OF_STAGES]
    elif (first in named["evaluate"] and not rest) or (first == "stage" and rest[-1] in named["evaluate"]):
        ends = [*MEASURES, *(["dense"] if first != "stage" else [])]
    elif first in document.libraries:
        ends = [d.name for d in definitions(document.libraries[first]).values() if d.kind in ("let", "param")]
    else:
        ends = [d.name.removeprefix(f"{before}.") for d in known.values() if d.name.startswith(f"{before}.")]
    for end in ends:
        yield _item(at, f"{before}.{end}", "metric" if end in MEASURES else "name", doc=facts.words().get(end, ""))


def _claims(document: Document, at: Context) -> Iterator[Item]:
    if at.word.startswith("@"):
        yield from _roles(at)
    elif "." in at.word:
        yield from _dotted(document, at)
    elif at.before[0] == "NUMBER":
        yield from (_item(at, unit, "unit") for unit in UNITS if len(unit) > 1)
    elif at.header[:1] == ("require",):
        yield from _defined(document, at)
    else:
        for name, doc in FUNCTIONS.items():
            yield _item(at, name, "function", f"{name}($0)", doc=doc)
        for written, doc in FIGURES.items():
            name = written.partition("(")[0]
            yield _item(at, name, "function", f"{name}($0)", doc=doc)
        for found in definitions(document).values():
            if found.kind == "evaluate":
                yield _item(at, found.name, "name", f"{found.name}.", "measured here", found.doc)
        yield _item(at, "stage", "name", "stage.", doc="what was measured after a stage")
        if at.calls and at.calls[-1].argument == "over":
            yield _item(at, BASE, "value", doc="the model that the run starts with")
        else:
            yield _item(at, BASE, "name", f"{BASE}.", doc="sizes of the model as it came")
        yield from _roles(at)
        yield from _defined(document, at)


def _named(document: Document, at: Context) -> Iterator[Item]:
    """Behind `unset`, `set` and `patch` stand names of what is inherited."""
    word = at.header[0] if at.header else ""
    inherited = (d for other in document.chain[1:] for d in definitions(other).values())
    for found in inherited:
        if (word == "set" and found.kind == "param") or (word == "unset" and found.kind in ("stage", "evaluate")):
            yield _item(at, found.name if word == "set" else f"{found.kind}.{found.name}", "name", doc=found.doc)
        if word == "patch" and found.kind in ("stage", "evaluate", "data"):
            yield _item(
                at, f"{found.kind} {found.name}", "name", f"{found.kind} {found.name} {{\n  $0\n}}", doc=found.doc
            )


# ------------------------------------------------------------------------- strings
def _strings(document: Document, at: Context) -> Iterator[Item]:
    """Names of the library and recipes beside this one; models and data below its folder."""
    word, kind = (at.header[0] if at.header else ""), at.kind
    if word in ("extends", "use") or (at.blocks in (("study",), ("arm",)) and at.attribute == "of"):
        for name in library_names():
            yield _item(at, f"lib://{name}", "file", doc="a recipe of the library")
        yield from _files(document, at, (".recipe",), "./")
    elif kind is not None and isinstance(facts.inner(kind), Reference):
        wanted = () if kind.name == "model" else _DATA
        yield from _files(document, at, wanted, "")


def _files(document: Document, at: Context, ends: tuple[str, ...], prefix: str) -> Iterator[Item]:
    """Paths below the recipe's folder, one folder deep at a time. Without `ends`: folders of models."""
    typed = at.word.replace("\\", "/")
    folder = typed.rpartition("/")[0]
    inside = document.folder / (folder or ".")
    if "://" in typed or typed.startswith(("/", "~")) or not _is_below(inside, document.root):
        return
    try:
        entries = sorted(os.scandir(inside), key=lambda e: e.name)[:LIMIT]
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        path = f"{folder}/{entry.name}" if folder else prefix + entry.name
        if entry.is_dir():
            is_model = os.path.isfile(os.path.join(entry.path, "config.json"))
            yield _item(at, path if is_model and not ends else f"{path}/", "file", doc="a model" if is_model else "")
        elif ends and entry.name.endswith(ends) and entry.name != os.path.basename(document.source.name):
            yield _item(at, path, "file")


def _is_below(folder: os.PathLike[str], root: os.PathLike[str]) -> bool:
    try:
        return os.path.commonpath([os.path.realpath(folder), os.path.realpath(root)]) == os.path.realpath(root)
    except ValueError:
        return False

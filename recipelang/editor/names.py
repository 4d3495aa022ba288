"""Names that a recipe defines, and where each is written: for going to a definition, finding uses, and renaming.

Parameters and lets, stages, evaluations, data sets and aliases of libraries. A recipe shares the names of those it builds on.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from recipelang.editor.document import Document, studied
from recipelang.loading.files import read_source
from recipelang.source import RecipeError, Span
from recipelang.source.frozen import frozen
from recipelang.syntax import tree as t
from recipelang.syntax.tokens import KEYWORDS

#: blocks whose label is a name elsewhere
LABELLED = ("stage", "evaluate", "data")
#: recipes of a folder that are looked through for uses, and folders in which they are looked for
LIMIT, FOLDERS = 200, 1_000
#: documents whose names are kept: a text that has changed is another document
_REMEMBERED = 64

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@frozen
class Definition:
    """What a name stands for. `document` is the file that defines it, `span` the name in it."""

    kind: str
    name: str
    span: Span
    document: Document
    whole: Span
    doc: str = ""
    detail: str = ""


@frozen
class Occurrence:
    """A place at which a name is written. `library`: the alias that it is taken from."""

    kind: str
    name: str
    span: Span
    library: str = ""


@lru_cache(maxsize=_REMEMBERED)
def definitions(document: Document) -> Mapping[tuple[str, str], Definition]:
    """`(kind, name)` -> what the recipe or one that it builds on defines; the nearest counts."""
    found: dict[tuple[str, str], Definition] = {}
    for one in document.chain:
        for definition in _own(one):
            found.setdefault((definition.kind, definition.name), definition)
    return found


def _own(document: Document) -> Iterator[Definition]:
    text = document.source
    for s in document.statements:
        match s:
            case t.Param():
                detail = " ".join(text.slice(s.span).split())
                yield Definition("param", s.name, s.name_span, document, s.span, s.doc, detail)
            case t.Let():
                detail = " ".join(text.slice(s.span).split())
                yield Definition("let", s.name, s.name_span, document, s.span, s.doc, detail)
            case t.Use():
                yield Definition("use", s.alias, s.alias_span, document, s.span, s.doc, text.slice(s.span))
            case t.Block() if s.kind in LABELLED and s.labels:
                at = _inside_quotes(document, s.label_spans[0])
                yield Definition(s.kind, s.labels[0], at, document, s.span, s.doc, f"{s.kind} {s.labels[0]}")


# ------------------------------------------------------------------------- places
@lru_cache(maxsize=_REMEMBERED)
def occurrences(document: Document) -> tuple[Occurrence, ...]:
    """Every name in this file that something is defined for, definitions included, in the order of the text."""
    return tuple(sorted(_Walk(document).statements(document.statements, ""), key=lambda o: o.span))


def at(document: Document, offset: int) -> Occurrence | None:
    """The name at an offset."""
    return next((o for o in occurrences(document) if o.span.start <= offset <= o.span.end), None)


class _Walk:
    def __init__(self, document: Document) -> None:
        self.document = document
        self.known = definitions(document)

    def statements(self, body: Iterable[t.Statement], block: str) -> Iterator[Occurrence]:
        for s in body:
            match s:
                case t.Param():
                    yield Occurrence("param", s.name, s.name_span)
                    for expr in (s.type, s.within, s.default):
                        yield from self.expression(expr)
                case t.Let():
                    yield Occurrence("let", s.name, s.name_span)
                    yield from self.expression(s.value)
                case t.Use():
                    yield Occurrence("use", s.alias, s.alias_span)
                case t.Block():
                    yield from self.block(s)
                case t.Patch():
                    yield from self.block(s.block)
                case t.Set():
                    yield from self.reference(s.path)
                    yield from self.expression(s.value)
                case t.Unset():
                    yield from self.labelled(s.path)
                case t.Claim():
                    yield from self.expression(s.condition)
                    yield from self.expression(s.message)
                case t.Attribute() if block == "vary":
                    if ("param", s.name) in self.known:
                        yield Occurrence("param", s.name, s.name_span)
                    yield from self.expression(s.value)
                case t.Attribute() if s.name == "data" and isinstance(s.value, t.Path):
                    name = s.value.text
                    yield from [Occurrence("data", name, s.value.span)] if ("data", name) in self.known else []
                case t.Attribute():
                    yield from self.expression(s.value)

    def block(self, block: t.Block) -> Iterator[Occurrence]:
        if block.kind in LABELLED and block.labels and (block.kind, block.labels[0]) in self.known:
            yield Occurrence(block.kind, block.labels[0], _inside_quotes(self.document, block.label_spans[0]))
        yield from self.statements(block.body, block.kind)

    def expression(self, expr: t.Expr | None) -> Iterator[Occurrence]:
        for node in t.inside(expr) if expr is not None else ():
            if isinstance(node, t.Path):
                yield from self.reference(node)
            elif isinstance(node, t.Call) and len(node.function.names) > 1:
                yield from self.reference(node.function)

    def reference(self, path: t.Path) -> Iterator[Occurrence]:
        """What the parts of a name mean: a stage, an evaluation, an alias with a name of its library, a value."""
        names, spans = path.names, self.parts(path)
        if names[0] == "stage":
            if len(names) > 1 and ("stage", names[1]) in self.known:
                yield Occurrence("stage", names[1], spans[1])
            if len(names) > 2 and ("evaluate", names[2]) in self.known:
                yield Occurrence("evaluate", names[2], spans[2])
        elif len(names) > 1 and names[0] in self.document.libraries:
            yield Occurrence("use", names[0], spans[0])
            inside = definitions(self.document.libraries[names[0]])
            kind = next((k for k in ("let", "param") if (k, names[1]) in inside), None)
            if kind is not None:
                yield Occurrence(kind, names[1], spans[1], library=names[0])
        else:
            for kind in ("param", "let", "evaluate"):
                if (kind, names[0]) in self.known and (kind != "evaluate" or len(names) > 1):
                    yield Occurrence(kind, names[0], spans[0])
                    break

    def labelled(self, path: t.Path) -> Iterator[Occurrence]:
        if len(path.names) > 1 and (path.names[0], path.names[1]) in self.known:
            yield Occurrence(path.names[0], path.names[1], self.parts(path)[1])

    def parts(self, path: t.Path) -> list[Span]:
        """The place of each part of a name; all of it for each where it is written with spaces."""
        if self.document.source.slice(path.span) != path.text:
            return [path.span] * len(path.names)
        starts = [path.span.start + len(".".join(("", *path.names[:i]))) for i in range(len(path.names))]
        return [Span(start, start + len(name)) for start, name in zip(starts, path.names, strict=True)]


def _inside_quotes(document: Document, span: Span) -> Span:
    return Span(span.start + 1, span.end - 1) if document.source.slice(span)[:1] == '"' else span


# ---------------------------------------------------------------------- questions
def definition(document: Document, offset: int) -> Definition | None:
    """What the name at an offset stands for."""
    found = at(document, offset)
    return _meant(document, found) if found is not None else None


def _meant(document: Document, found: Occurrence) -> Definition | None:
    home = document.libraries[found.library] if found.library else document
    return definitions(home).get((found.kind, found.name))


def references(document: Document) -> Iterator[tuple[Span, Document]]:
    """Every other recipe that this one names and that can be read, with the place of its name."""
    named = [s.reference for s in document.statements if isinstance(s, t.Extends | t.Use)]
    named += studied(document.statements)
    for text in named:
        if (other := document.other(text.plain)) is not None:
            yield text.span, other


def referenced(document: Document, offset: int) -> Document | None:
    """The recipe whose name stands at an offset."""
    return next((other for span, other in references(document) if span.start <= offset <= span.end), None)


def uses(document: Document, offset: int) -> list[tuple[Document, Occurrence]]:
    """Every place that means what the name at an offset means: here, in what this builds on, in recipes that build on it."""
    found = definition(document, offset)
    if found is None:
        return []
    if found.kind == "use":
        return [(document, o) for o in occurrences(document) if (o.kind, o.name) == ("use", found.name)]
    every = [(one, o) for one in _related(document, found.document) for o in occurrences(one) if _means(one, o, found)]
    return sorted(every, key=lambda place: (place[0].source.name, place[1].span))


def _means(document: Document, o: Occurrence, wanted: Definition) -> bool:
    if (o.kind, o.name) != (wanted.kind, wanted.name):
        return False
    meant = _meant(document, o)
    if meant is None:
        return False
    # a parameter that a child narrows is the base's
    home = document.libraries[o.library] if o.library else document
    names = {_key(one) for one in home.chain} | {_key(one) for one in meant.document.chain}
    return _key(wanted.document) in names


def _related(document: Document, home: Document) -> list[Document]:
    """The file itself, those it builds on, and recipes of the folder that may build on the one that defines the name."""
    found = {_key(one): one for one in (*document.chain, home)}
    for path in _recipes(document.root):
        if _key_of(str(path)) in found:
            continue
        text = document.texts.get(os.path.abspath(path)) or text_of(path)
        if text is None or not re.search(r"\b(extends|use|of\s*=)", text, re.M):
            continue
        one = Document(str(path), text, document.texts)
        built_on = [*one.chain[1:], *one.libraries.values()]
        if any(_key(base) in (_key(home), _key(document)) for base in built_on):
            found[_key(one)] = one
    return list(found.values())


def _recipes(root: Path) -> Iterator[Path]:
    """`.recipe` files of the folder and below, without hidden folders and what runs wrote."""
    seen = 0
    for visited, (folder, inside, files) in enumerate(os.walk(root)):
        inside[:] = sorted(d for d in inside if not d.startswith(".") and d not in ("runs", "node_modules"))
        for name in sorted(files):
            if name.endswith(".recipe"):
                yield Path(folder) / name
                seen += 1
        if seen >= LIMIT or visited >= FOLDERS:
            return


def text_of(path: Path) -> str | None:
    """The text of a recipe's file, or none where it cannot be read."""
    try:
        return read_source(str(path)).text
    except RecipeError:
        return None


def _key(document: Document) -> str:
    return _key_of(document.source.name)


def _key_of(name: str) -> str:
    return name if "://" in name else os.path.realpath(name)


@frozen
class CannotRename(Exception):
    """Why a name stays as it is."""

    reason: str


def renamed(document: Document, offset: int, new: str) -> list[tuple[Document, Span]]:
    """The places to write a new name at.

    Raises:
        CannotRename: it is no name, it is taken, or a recipe that cannot be changed defines it.
    """
    found = definition(document, offset)
    if found is None:
        raise CannotRename("this is not a name that the recipe defines")
    if not _NAME.fullmatch(new) or new in KEYWORDS or new in ("start", "end", "stage"):
        raise CannotRename(f"`{new}` cannot be a name: write letters, digits and `_`, and no word of the language")
    places = uses(document, offset)
    for one in {id(place[0]): place[0] for place in places}.values():
        if "://" in one.source.name:
            raise CannotRename(f"`{found.name}` is defined in {one.source.name}, which cannot be changed here")
        known = definitions(one)
        taken = [found.kind] if found.kind in LABELLED else ["param", "let", "use", "evaluate"]
        if any((kind, new) in known for kind in taken):
            raise CannotRename(f"`{new}` is a name already")
    return [(one, o.span) for one, o in places]

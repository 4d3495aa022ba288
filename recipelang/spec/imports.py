"""The files of one recipe: bases by `extends`, libraries by `use`, overlays. Reads through a loader, never by itself."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from dataclasses import replace

from recipelang.source import Diagnostic, Diagnostics, Label, RecipeError, Source, Sources, Span
from recipelang.source.frozen import frozen
from recipelang.source.words import limit_text
from recipelang.syntax import MAX_STATEMENTS, MAX_TOKENS, Parsed, parse, size, tree as t

MAX_DEPTH = 8
MAX_FILES = 32
MAX_TOTAL = 1024 * 1024

#: a reference, and the file that names it -> the text, or `RecipeError`
Loader = Callable[[str, Source], Source]


@frozen
class File:
    """One file of a recipe. Spans of `tree` count from the file's base."""

    source: Source
    tree: t.Recipe


@frozen
class Edits(Source):
    """The changes of a study, as an overlay that may also remove: an overlay of a site only sets and patches."""


def no_imports(reference: str, by: Source) -> Source:
    """The loader where there is only one text."""
    raise RecipeError(Diagnostic("E046", f"`{reference}` cannot be read from here"))


class Imports:
    """Reads files for one recipe, within its limits, and places each behind the last in one row of offsets."""

    def __init__(self, root: Source, diagnostics: Diagnostics, load: Loader) -> None:
        self.diagnostics = diagnostics
        self.load = load
        self.files = [root]
        self.bytes = len(root.text)
        self.statements = self.tokens = 0
        self.full = False  # a limit is broken and told: nothing more is read

    @property
    def source(self) -> Source:
        first = self.files[0]
        return first if len(self.files) == 1 else Sources(first.name, first.text, 0, tuple(self.files))

    def chain(self, root: File) -> list[File] | None:
        """The file, its base, the base's base …; `None` when one of them cannot be read."""
        chain = [root]
        while (reference := self._extends(chain[-1])) is not None:
            if len(chain) > MAX_DEPTH:
                self._error("E041", f"`extends` chains more than {MAX_DEPTH} recipes", reference.span)
                return None
            base = self.read(reference, [file.source.name for file in chain])
            if base is None:
                return None
            chain.append(base)
        return chain

    def read(self, reference: t.Text, active: list[str]) -> File | None:
        """The file that a reference names. `active`: the files that wait for it."""
        if self.full:
            return None
        name = reference.plain
        if reference.parts not in ((), (name,)):
            self._error("E046", "a reference is a plain string", reference.span, "a reference cannot contain `${NAME}`")
            return None
        at = Label(self.source, reference.span)
        try:
            source = self.load(name, at.source)
        except RecipeError as error:
            for d in error.diagnostics:
                self.diagnostics.add(replace(d, primary=d.primary or at))
            return None
        if source.name in map(_normal, active):
            self._circle(source.name, active, reference.span)
            return None
        return self.place(source, reference.span)

    def place(self, source: Source, asked: Span | None = None) -> File | None:
        """Parse a text, and give it its place behind the others."""
        self.bytes += len(source.text)
        if len(self.files) >= MAX_FILES or self.bytes > MAX_TOTAL:
            self.full = True
            limit = f"{MAX_FILES} files" if len(self.files) >= MAX_FILES else limit_text(MAX_TOTAL)
            self._error("E042", f"this recipe is made of more than {limit}", asked)
            return None
        found = Diagnostics()
        parsed = parse(source, found, MAX_TOKENS - self.tokens)
        self.full = any(d.code == "E042" for d in found)
        if not self.count(parsed, asked):
            return None
        placed = replace(source, base=self.files[-1].end + 1)
        self.files.append(placed)
        self.diagnostics.extend([_moved(d, placed) for d in found])
        return File(placed, t.moved(parsed.recipe, placed.base)) if parsed.recipe is not None else None

    def count(self, parsed: Parsed, asked: Span | None = None) -> bool:
        """Whether all texts together are within the limits of one: many full libraries would take minutes to join."""
        statements, tokens = size(parsed)
        self.statements, self.tokens = self.statements + statements, self.tokens + tokens
        if self.statements <= MAX_STATEMENTS:
            return True
        self.full = True
        help = "include less from other files: their contents count as part of this recipe"
        self._error("E042", f"this recipe is made of more than {MAX_STATEMENTS:,} statements", asked, help)
        return False

    def _extends(self, file: File) -> t.Text | None:
        found = [s for s in file.tree.statements if isinstance(s, t.Extends)]
        for again in found[1:]:
            first = Label(self.source, found[0].span, "first given here")
            message, help = (
                "`extends` is given twice",
                "a recipe has one base; `use` imports definitions from other files",
            )
            self.diagnostics.say("E012", message, Label(self.source, again.span), (first,), help=help)
        return found[0].reference if found else None

    def _circle(self, name: str, active: list[str], span: Span) -> None:
        way = active[[_normal(a) for a in active].index(name) :]
        note = f"the cycle is {' -> '.join(posixpath.basename(n) for n in [*way, name])}"
        at = Label(self.source, span)
        help = "remove one of the references"
        self.diagnostics.say("E040", "these recipes include each other", at, notes=(note,), help=help)

    def _error(self, code: str, message: str, span: Span | None, help: str = "put the values in fewer files") -> None:
        at = Label(self.source, span) if span else None
        self.diagnostics.say(code, message, at, help=help)


def _normal(name: str) -> str:
    """One name a file; `//` of a scheme is no part of a path."""
    return name if "://" in name else posixpath.normpath(name)


def root(parsed: Parsed) -> File | None:
    return File(parsed.source, parsed.recipe) if parsed.recipe is not None else None


def _moved(d: Diagnostic, placed: Source) -> Diagnostic:
    """A finding of one text, at the text's place in the row."""

    def span(s: Span) -> Span:
        return Span(s.start + placed.base, s.end + placed.base)

    def label(at: Label) -> Label:
        return Label(placed, span(at.span), at.text)

    fixes = tuple(replace(f, edits=tuple(replace(e, span=span(e.span)) for e in f.edits)) for f in d.fixes)
    primary = label(d.primary) if d.primary else None
    return replace(d, primary=primary, secondary=tuple(map(label, d.secondary)), fixes=fixes)

"""A recipe that is open in an editor: its text as it stands there, and what the front half makes of it, once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path

from recipelang.loading.files import References
from recipelang.source import Diagnostics, RecipeError, Source, Span
from recipelang.spec.check import check, study_of
from recipelang.spec.recipe import Checked
from recipelang.syntax import Parsed, parse, tree as t


class Document:
    """One text. `name` is the path of its file; `texts` are all that are open, by their absolute paths."""

    def __init__(self, name: str, text: str, texts: Mapping[str, str] | None = None) -> None:
        self.source = Source(name, text)
        self.texts = texts or {}
        self._references = References(self.source)

    @property
    def text(self) -> str:
        return self.source.text

    @property
    def folder(self) -> Path:
        return Path(self.source.name).absolute().parent

    @property
    def root(self) -> Path:
        """The folder whose files a recipe may refer to."""
        return self._references.root

    @cached_property
    def parsed(self) -> Parsed:
        return parse(self.source, Diagnostics())

    @property
    def statements(self) -> tuple[t.Statement, ...]:
        return self.parsed.recipe.statements if self.parsed.recipe is not None else ()

    @property
    def is_study(self) -> bool:
        return study_of(self.parsed.recipe) is not None

    @cached_property
    def checked(self) -> Checked:
        return check(self.source, load=self.load)

    def load(self, reference: str, by: Source) -> Source:
        """What a recipe builds on: as it stands in the editor where it is open there. Never the network."""
        found = self._references.load(reference, by)
        text = self.texts.get(os.path.abspath(found.name)) if "://" not in found.name else None
        return found if text is None else Source(found.name, text)

    def other(self, reference: str) -> Document | None:
        """The recipe that a reference of this one names, or none where it cannot be read."""
        try:
            found = self.load(reference, self.source)
        except RecipeError:
            return None
        return Document(found.name, found.text, self.texts)

    @cached_property
    def chain(self) -> tuple[Document, ...]:
        """This recipe, its base, the base's base ...; it ends where one is missing, or comes a second time."""
        found = [self]
        while (base := found[-1].base) is not None and len(found) < 9:
            if any(base.source.name == one.source.name for one in found):
                break
            found.append(base)
        return tuple(found)

    @cached_property
    def base(self) -> Document | None:
        for statement in self.statements:
            if isinstance(statement, t.Extends):
                return self.other(statement.reference.plain)
        return self._studied

    @cached_property
    def _studied(self) -> Document | None:
        """The recipe that a study varies."""
        return next((other for text in studied(self.statements) if (other := self.other(text.plain))), None)

    @cached_property
    def libraries(self) -> dict[str, Document]:
        """Alias -> the recipe that `use` imports under it."""
        uses = (s for s in self.statements if isinstance(s, t.Use))
        read = ((s.alias, self.other(s.reference.plain)) for s in uses)
        return {alias: document for alias, document in read if document is not None}

    def word(self, offset: int) -> Span:
        """The name at an offset with its dots and its `@`; empty where none is."""
        start = end = min(max(offset, 0), len(self.text))
        while start and (self.text[start - 1].isalnum() or self.text[start - 1] in "_."):
            start -= 1
        while end < len(self.text) and (self.text[end].isalnum() or self.text[end] == "_"):
            end += 1
        if start and self.text[start - 1] == "@":
            start -= 1
        return Span(start, end)


def studied(statements: Iterable[t.Statement]) -> Iterator[t.Text]:
    """The names of the recipes of a study, its own first."""
    blocks = [s for s in statements if isinstance(s, t.Block) and s.kind in ("study", "arm")]
    for block in sorted(blocks, key=lambda block: block.kind != "study"):
        for a in block.body:
            if isinstance(a, t.Attribute) and a.name == "of" and isinstance(a.value, t.Text):
                yield a.value

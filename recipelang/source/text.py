"""Source text and positions in it. The only owner of line arithmetic.

Offsets are code points; a `Span` is half-open. Lines and columns are 1-based,
as a person counts them. A recipe made from several files has one row of
offsets for all of them: each file begins at its `base`, so that a span alone
says where something was written.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cached_property

from recipelang.source.frozen import frozen


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A half-open range `[start, end)` of offsets."""

    start: int
    end: int

    def to(self, other: Span) -> Span:
        """The smallest span that covers both."""
        return Span(min(self.start, other.start), max(self.end, other.end))


@frozen
class Source:
    """A named text. `name` is what messages show: a path, or `<stdin>`."""

    name: str
    text: str = field(repr=False)
    base: int = 0

    @property
    def end(self) -> int:
        return self.base + len(self.text)

    def file(self, span: Span) -> Source:
        """The one file that holds a span."""
        return self

    def slice(self, span: Span) -> str:
        """The text of a span."""
        return self.text[span.start - self.base : span.end - self.base]

    def own(self, span: Span) -> Span:
        """A span of this file, counted from its beginning."""
        return Span(span.start - self.base, span.end - self.base)

    @cached_property
    def _starts(self) -> list[int]:
        starts = [0]
        starts.extend(i + 1 for i, c in enumerate(self.text) if c == "\n")
        return starts

    def position(self, offset: int) -> tuple[int, int]:
        """`(line, column)` of an offset, both from 1.

        >>> Source("a", "one\\ntwo").position(5)
        (2, 2)
        """
        offset -= self.base
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1

    def line(self, number: int) -> str:
        """The text of one line, without its line end."""
        start = self._starts[number - 1]
        end = self._starts[number] - 1 if number < len(self._starts) else len(self.text)
        return self.text[start:end].rstrip("\r")

    def byte_offset(self, offset: int) -> int:
        """The same place counted in UTF-8 bytes, for machine-readable output."""
        return len(self.text[: offset - self.base].encode("utf-8", "replace"))


@frozen
class Sources(Source):
    """The files of one recipe, by their `base`. Its name and text are those of the first: the file that was asked for."""

    files: tuple[Source, ...] = ()

    @property
    def end(self) -> int:
        return self.files[-1].end

    def file(self, span: Span) -> Source:
        return self.files[bisect_right(self.files, span.start, key=lambda f: f.base) - 1]

    def slice(self, span: Span) -> str:
        return self.file(span).slice(span)

    def position(self, offset: int) -> tuple[int, int]:
        return self.file(Span(offset, offset)).position(offset)

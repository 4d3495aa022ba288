"""Offsets of a text as an editor counts them: lines and characters from 0, characters in the units agreed on."""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import cached_property
from typing import Literal, NamedTuple

Unit = Literal["utf-8", "utf-16", "utf-32"]

#: bytes of one unit
_BYTES: dict[Unit, int] = {"utf-8": 1, "utf-16": 2, "utf-32": 4}
_CODEC: dict[Unit, str] = {"utf-8": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}


class Place(NamedTuple):
    """A line, and the number of units before a character in it."""

    line: int
    character: int


class Lines:
    """Where the lines of a text begin. Any of `\\n`, `\\r\\n` and `\\r` ends one, as the protocol has it."""

    def __init__(self, text: str, unit: Unit = "utf-16") -> None:
        self.text = text
        self.unit: Unit = unit

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *(end.end() for end in re.finditer(r"\r\n|\r|\n", self.text))]

    def place(self, offset: int) -> Place:
        """The place of an offset in code points; one beyond the text is its end."""
        offset = min(max(offset, 0), len(self.text))
        line = bisect_right(self._starts, offset) - 1
        return Place(line, self._units(self.text[self._starts[line] : offset]))

    def offset(self, line: int, character: int) -> int:
        """The offset of a place; beyond the end of a line or of the text it is that end."""
        if line >= len(self._starts):
            return len(self.text)
        start = self._starts[max(line, 0)]
        end = self._starts[line + 1] if line + 1 < len(self._starts) else len(self.text)
        row = self.text[start:end].rstrip("\r\n")
        if row.isascii():
            return start + min(max(character, 0), len(row))
        seen = 0
        for index, char in enumerate(row):
            if seen >= character:
                return start + index
            seen += self._units(char)
        return start + len(row)

    def _units(self, text: str) -> int:
        if text.isascii():
            return len(text)
        return len(text.encode(_CODEC[self.unit], "surrogatepass")) // _BYTES[self.unit]

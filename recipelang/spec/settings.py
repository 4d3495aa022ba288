"""`recipelang.toml`: what a folder of recipes, or a machine, settles for all of them. E095 for what it cannot hold.

It is the nearest one above a recipe. Its tables: `[lint]`, levels of rules, and `[track]`, where runs are tracked.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from recipelang.source import Diagnostic, Label, RecipeError, Source, Span
from recipelang.source.frozen import frozen
from recipelang.source.suggest import closest
from recipelang.storage.reading import Unreadable, read_bytes

FILE = "recipelang.toml"
TABLES = ("lint", "track")
MAX_BYTES = 64 * 1024
#: in a line
_DOTS = 16


@frozen
class Settings:
    """Its tables as they stand; each is read by whoever knows what it may hold."""

    source: Source
    tables: Mapping[str, Mapping[str, Any]]

    def key(self, word: str, *, value: bool = False) -> Label:
        """Where a key is written, or its value; tomllib does not say."""
        pattern = rf"(?:^|[\[{{,.\s])[\"']?({re.escape(word)})[\"']?\s*(?:=\s*([^\s,}}]+)|[\].]|$)"
        match = re.search(pattern, self.source.text, re.MULTILINE)
        return Label(self.source, Span(*match.span(2 if value and match[2] else 1)) if match else Span(0, 0))


def settings_beside(folder: Path) -> Settings | None:
    """Those that hold for recipes in a folder."""
    file = next((p / FILE for p in (folder, *folder.parents) if (p / FILE).is_file()), None)
    return _read(file) if file else None


def wrong(at: Label, message: str, help: str = "", notes: Iterable[str] = ()) -> RecipeError:
    return RecipeError(Diagnostic("E095", message, at, notes=tuple(notes), help=(help,) if help else ()))


def _read(file: Path) -> Settings:
    try:
        data = read_bytes(file, MAX_BYTES)
    except Unreadable as error:
        raise error.coded("E095", help="this file holds only levels of rules and trackers") from None
    source = Source(file.name, data.decode("utf-8", "replace").replace("\r\n", "\n"))
    _not_deep(source)
    try:
        table = tomllib.loads(source.text)
    except (
        ValueError,
        RecursionError,
    ) as error:  # numbers of thousands of digits and impossible dates are no TOML error
        raise wrong(_at(source, str(error)), f"`{FILE}` is not TOML", notes=[str(error).lower()]) from None
    found = Settings(source, table)
    for word, rows in table.items():
        if word not in TABLES:
            near = closest(word, TABLES)
            help = f"did you mean `[{near}]`?" if near else "it has `[lint]` and `[track]`"
            raise wrong(found.key(word), f"`{FILE}` has no table `{word}`", help)
        if not isinstance(rows, dict):
            example = 'L020 = "deny"' if word == "lint" else 'to = ["mlflow"]'
            raise wrong(found.key(word), f"`{word}` must be a table", f"write `[{word}]`, then `{example}` below it")
    return found


def _not_deep(source: Source) -> None:
    """Settings are two names deep; a key of very many parts takes tomllib gigabytes."""
    start = 0
    for line in source.text.splitlines(keepends=True):
        if line.partition("#")[0].count(".") > _DOTS:
            raise wrong(Label(source, Span(start, start + len(line.rstrip()))), "this key has too many parts")
        start += len(line)


def _at(source: Source, message: str) -> Label:
    """The place that tomllib names at the end of its message."""
    match = re.search(r"line (\d+), column (\d+)", message)
    if match is None:
        return Label(source, Span(len(source.text), len(source.text)))
    before = source.text.splitlines(keepends=True)[: int(match[1]) - 1]
    offset = min(sum(map(len, before)) + int(match[2]) - 1, len(source.text))
    return Label(source, Span(offset, offset))

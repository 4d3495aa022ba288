"""Which rule has which level: the rules' own, then `recipelang.toml`, then the command line. E095 when it cannot be read."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import cast

from recipelang.lint.every_rule import CODES, DEFAULTS, LEVELS, Level, code_of
from recipelang.source import Diagnostic, Label, RecipeError, Source, Span, fail
from recipelang.source.suggest import closest
from recipelang.storage.reading import Unreadable, read_bytes

FILE = "recipelang.toml"
MAX_BYTES = 64 * 1024
#: in a line
_DOTS = 16


def levels_for(beside: Path, chosen: Mapping[str, Level]) -> dict[str, Level]:
    """Code -> level for recipes in a folder; `chosen` is what the command line said."""
    file = next((p / FILE for p in (beside, *beside.parents) if (p / FILE).is_file()), None)
    return {**DEFAULTS, **(_read(file) if file else {}), **chosen}


def choose(options: Mapping[Level, Iterable[str]]) -> dict[str, Level]:
    """`--deny`, `--warn` and `--allow`: each rule once."""
    chosen: dict[str, Level] = {}
    for level, words in options.items():
        for word in words:
            code = code_of(word)
            if code is None:
                raise fail("E095", f"there is no rule `{word}`", help=_meant(word))
            if chosen.setdefault(code, level) != level:
                message = f"`{word}` has two levels, `{chosen[code]}` and `{level}`"
                raise fail("E095", message, help="keep one of them")
    return chosen


def _read(file: Path) -> dict[str, Level]:
    try:
        data = read_bytes(file, MAX_BYTES)
    except Unreadable as error:
        raise error.coded("E095", help="this file holds only rule levels") from None
    source = Source(file.name, data.decode("utf-8", "replace").replace("\r\n", "\n"))
    _not_deep(source)
    try:
        table = tomllib.loads(source.text)
    except (
        ValueError,
        RecursionError,
    ) as error:  # numbers of thousands of digits and impossible dates are no TOML error
        raise _wrong(_at(source, str(error)), f"`{FILE}` is not TOML", notes=[str(error).lower()]) from None
    for word in table:
        if word != "lint":
            raise _wrong(_key(source, word), f"`{FILE}` has no table `{word}`", "it has `[lint]`")
    rules = table.get("lint", {})
    if not isinstance(rules, dict):
        raise _wrong(_key(source, "lint"), "`lint` must be a table", 'write `[lint]`, then `L020 = "deny"` below it')
    return dict(_level(source, word, level) for word, level in rules.items())


def _not_deep(source: Source) -> None:
    """Levels are two names deep; a key of very many parts takes tomllib gigabytes."""
    start = 0
    for line in source.text.splitlines(keepends=True):
        if line.partition("#")[0].count(".") > _DOTS:
            raise _wrong(Label(source, Span(start, start + len(line.rstrip()))), "this key has too many parts")
        start += len(line)


def _level(source: Source, word: str, level: object) -> tuple[str, Level]:
    code = code_of(word)
    if code is None:
        raise _wrong(_key(source, word), f"there is no rule `{word}`", _meant(word))
    if level not in LEVELS:
        near = closest(level, LEVELS) if isinstance(level, str) else None
        help = f"did you mean `{near}`?" if near else f"levels are {', '.join(f'`{name}`' for name in LEVELS)}"
        shown = level if isinstance(level, str) else str(level).lower()
        raise _wrong(_key(source, word, value=True), f"there is no level `{shown}`", help)
    return code, cast(Level, level)


def _meant(word: str) -> str:
    near = closest(word, [*CODES, *DEFAULTS])
    return f"did you mean `{near}`?" if near else "write a rule's code or name: `L020`, `no-distillation`"


def _wrong(at: Label, message: str, help: str = "", notes: Iterable[str] = ()) -> RecipeError:
    return RecipeError(Diagnostic("E095", message, at, notes=tuple(notes), help=(help,) if help else ()))


def _key(source: Source, word: str, *, value: bool = False) -> Label:
    """Where a key is written, or its value; tomllib does not say."""
    pattern = rf"(?:^|[\[{{,.\s])[\"']?({re.escape(word)})[\"']?\s*(?:=\s*([^\s,}}]+)|[\].]|$)"
    match = re.search(pattern, source.text, re.MULTILINE)
    return Label(source, Span(*match.span(2 if value and match[2] else 1)) if match else Span(0, 0))


def _at(source: Source, message: str) -> Label:
    """The place that tomllib names at the end of its message."""
    match = re.search(r"line (\d+), column (\d+)", message)
    if match is None:
        return Label(source, Span(len(source.text), len(source.text)))
    before = source.text.splitlines(keepends=True)[: int(match[1]) - 1]
    offset = min(sum(map(len, before)) + int(match[2]) - 1, len(source.text))
    return Label(source, Span(offset, offset))

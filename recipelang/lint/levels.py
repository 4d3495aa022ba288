"""Which rule has which level: the rules' own, then `recipelang.toml`, then the command line. E095 when it cannot be read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import cast

from recipelang.lint.every_rule import CODES, DEFAULTS, LEVELS, Level, code_of
from recipelang.source import fail
from recipelang.source.suggest import closest
from recipelang.spec.settings import Settings, settings_beside, wrong


def levels_for(beside: Path, chosen: Mapping[str, Level]) -> dict[str, Level]:
    """Code -> level for recipes in a folder; `chosen` is what the command line said."""
    found = settings_beside(beside)
    written = found.tables.get("lint", {}) if found else {}
    return {**DEFAULTS, **dict(_level(found, word, level) for word, level in written.items() if found), **chosen}


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


def _level(found: Settings, word: str, level: object) -> tuple[str, Level]:
    code = code_of(word)
    if code is None:
        raise wrong(found.key(word), f"there is no rule `{word}`", _meant(word))
    if level not in LEVELS:
        near = closest(level, LEVELS) if isinstance(level, str) else None
        help = f"did you mean `{near}`?" if near else f"levels are {', '.join(f'`{name}`' for name in LEVELS)}"
        shown = level if isinstance(level, str) else str(level).lower()
        raise wrong(found.key(word, value=True), f"there is no level `{shown}`", help)
    return code, cast(Level, level)


def _meant(word: str) -> str:
    near = closest(word, [*CODES, *DEFAULTS])
    return f"did you mean `{near}`?" if near else "write a rule's code or name: `L020`, `no-distillation`"

"""Every rule: a module in `rules/`, found by being there."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Literal, Protocol, cast

from recipelang.lint import rules as folder
from recipelang.lint.subject import Finding, Subject

Level = Literal["deny", "warn", "info", "allow"]
LEVELS: tuple[Level, ...] = ("deny", "warn", "info", "allow")


class Rule(Protocol):
    """`NEEDS` is the least that must be known: the text (`tree`), every value (`recipe`), or the model and data (`plan`)."""

    CODE: str
    NAME: str
    LEVEL: Level
    NEEDS: Literal["tree", "recipe", "plan"]

    def check(self, it: Subject, /) -> Iterator[Finding]: ...


def _found() -> tuple[Rule, ...]:
    modules = [importlib.import_module(f"{folder.__name__}.{m.name}") for m in pkgutil.iter_modules(folder.__path__)]
    rules = [cast(Rule, module) for module in modules]
    for rule in rules:
        lacking = [word for word in ("CODE", "NAME", "LEVEL", "NEEDS", "check") if not hasattr(rule, word)]
        if lacking:
            raise TypeError(f"the rule {rule} lacks {', '.join(lacking)}")
    for word in ("CODE", "NAME"):
        if len({getattr(rule, word) for rule in rules}) < len(rules):
            raise TypeError(f"two rules have the same {word}")
    return tuple(sorted(rules, key=lambda rule: rule.CODE))


RULES = _found()

#: says which rules could not be judged; it has a level as rules have, and no file
NOT_CHECKED, NOT_CHECKED_NAME = "L000", "not-checked"
DEFAULTS: dict[str, Level] = {NOT_CHECKED: "info", **{rule.CODE: rule.LEVEL for rule in RULES}}
CODES: dict[str, str] = {NOT_CHECKED_NAME: NOT_CHECKED, **{rule.NAME: rule.CODE for rule in RULES}}


def code_of(word: str) -> str | None:
    """The code of a rule, from its code or its name in any case."""
    return word.upper() if word.upper() in DEFAULTS else CODES.get(word.lower())

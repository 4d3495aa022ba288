"""Every code of a message, from the title lines of `source/pages/`; of rules, name and level too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from recipelang.reference.markdown import code, page, table
from recipelang.source.codes import codes, title

PAGES = "../../recipelang/source/pages"
#: first letter -> what such findings are
SORTS = {
    "E": "## Errors\n\nThe command stops, with exit code 1, until you fix them.",
    "W": "## Warnings\n\nThe recipe works, but part of it is probably a mistake.",
    "L": "## Advice\n\nRules of `recipelang lint` about choices known to cost accuracy or trust. They never stop a run.",
}


@dataclass(frozen=True)
class RuleFacts:
    """`needs`: `tree`, `recipe` or `plan`, the least that must be known to judge."""

    name: str
    level: str
    needs: str


LEVELS = {
    "deny": "an error in `lint` (exit code 1), a warning in `plan` and `run`",
    "warn": "a warning in `lint`, `plan` and `run`",
    "info": "a remark in `lint` only",
    "allow": "not checked",
}
NEEDS = {"tree": "text", "recipe": "recipe", "plan": "model and data", "": ""}


def text(rules: Mapping[str, RuleFacts]) -> str:
    """`rules`: every code that has a level."""
    return page(
        "Codes of messages",
        "`recipelang explain CODE` prints the page of a code: its meaning, a recipe that fails with it, and the corrected "
        "recipe.",
        *(f"{intro}\n\n{_table(letter, rules)}" for letter, intro in SORTS.items()),
        "Levels:",
        table(("level", "a finding is"), ((code(level), says) for level, says in LEVELS.items())),
        "To change the level of a rule, use the nearest `recipelang.toml` above the recipe, or `--deny`, `--warn` or "
        "`--allow`; all take the code or the name. To allow one finding, write a comment with the reason above it: "
        "`# recipe: allow(L020) distillation is the ablation`.",
    )


def _table(letter: str, rules: Mapping[str, RuleFacts]) -> str:
    return table(("code", "meaning", "rule", "level", "needs"), _rows(letter, rules))


def _rows(letter: str, rules: Mapping[str, RuleFacts]) -> Iterator[tuple[str, ...]]:
    for name in codes():
        if name[0] == letter:
            rule = rules.get(name, RuleFacts("", "", ""))
            yield f"[{name}]({PAGES}/{name}.md)", title(name), code(rule.name), code(rule.level), NEEDS[rule.needs]

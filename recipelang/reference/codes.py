"""Every code of a message, from the title lines of `source/pages/`; of rules, name and level too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from recipelang.reference.markdown import code, page, table
from recipelang.source.codes import codes, title

PAGES = "../../recipelang/source/pages"
#: first letter -> what such findings are
SORTS = {
    "E": "## Errors\n\nNothing goes on until they are mended. The exit code is 1.",
    "W": "## Warnings\n\nThe recipe works, and something in it is most likely not meant.",
    "L": "## Advice\n\nRules of `recipelang lint` about what is known to cost accuracy or trust. They never stop a run.",
}


@dataclass(frozen=True)
class RuleFacts:
    """`needs`: `tree`, `recipe` or `plan`, the least that must be known to judge."""

    name: str
    level: str
    needs: str


LEVELS = {
    "deny": "an error of `lint`, whose exit code is then 1; `plan` and `run` warn",
    "warn": "a warning, in `plan` and `run` too",
    "info": "a remark of `lint` alone",
    "allow": "not applied",
}
NEEDS = {"tree": "the text", "recipe": "the recipe", "plan": "model and data", "": ""}


def text(rules: Mapping[str, RuleFacts]) -> str:
    """`rules`: every code that has a level."""
    return page(
        "Codes of messages",
        "`recipelang explain CODE` shows the page of a code: what it means, a recipe that fails with it, and the same "
        "recipe mended.",
        *(f"{intro}\n\n{_table(letter, rules)}" for letter, intro in SORTS.items()),
        "Levels:",
        table(("level", "such a finding is"), ((code(level), says) for level, says in LEVELS.items())),
        "A rule has the level above unless the nearest `recipelang.toml` above the recipe, or `--deny`, `--warn` or "
        "`--allow`, says another; both take the code or the name. A comment allows one finding, with its reason: "
        "`# recipe: allow(L020) distillation is the ablation`.",
    )


def _table(letter: str, rules: Mapping[str, RuleFacts]) -> str:
    return table(("code", "means", "rule", "level", "judged from"), _rows(letter, rules))


def _rows(letter: str, rules: Mapping[str, RuleFacts]) -> Iterator[tuple[str, ...]]:
    for name in codes():
        if name[0] == letter:
            rule = rules.get(name, RuleFacts("", "", ""))
            yield f"[{name}]({PAGES}/{name}.md)", title(name), code(rule.name), code(rule.level), NEEDS[rule.needs]

"""Every code of a message, from the title lines of `source/pages/`."""

from __future__ import annotations

from recipelang.reference.markdown import page, table
from recipelang.source.codes import codes, title

PAGES = "../../recipelang/source/pages"
#: first letter -> what such findings are
SORTS = {
    "E": "## Errors\n\nNothing goes on until they are mended. The exit code is 1.",
    "W": "## Warnings\n\nThe recipe works, and something in it is most likely not meant.",
    "L": "## Advice\n\nRules about what is known to cost accuracy. They never stop a run.",
}


def text() -> str:
    return page(
        "Codes of messages",
        "`recipelang explain CODE` shows the page of a code: what it means, a recipe that fails with it, and the same "
        "recipe mended.",
        *(f"{intro}\n\n{_table(letter)}" for letter, intro in SORTS.items()),
    )


def _table(letter: str) -> str:
    rows = ((f"[{code}]({PAGES}/{code}.md)", title(code)) for code in codes() if code[0] == letter)
    return table(("code", "means"), rows)

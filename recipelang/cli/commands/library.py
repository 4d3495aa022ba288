"""`recipelang library`: the recipes that come with recipelang."""

from __future__ import annotations

from itertools import groupby

import typer

from recipelang.cli import screen
from recipelang.cli.exit_codes import Exit
from recipelang.cli.screen import explained


def library(
    words: list[str] = typer.Argument(
        None,
        metavar="WORD",
        help="Show only recipes that have all these words in their name, task, tags or description.",
    ),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """List the recipes that come with recipelang, by task.

    `run`, `plan` and every other command take such a name; `extends "lib://NAME"` builds on it.

    Examples:

      recipelang library squad 90

      recipelang library       (all of them)

      recipelang library --json
    """
    from recipelang.loading.library import entries

    wanted = [word.lower() for word in words or ()]
    found = [e for e in entries() if all(word in e.searched for word in wanted)]
    if as_json:
        print(screen.json_text([e.form() for e in found]))
        return
    if not found:
        screen.tell("recipelang: no recipe of the library has these words", to_errors=True)
        raise typer.Exit(Exit.USAGE)
    for task, group in groupby(found, key=lambda e: e.task):
        explained.heading(task or "for any task")
        explained.rows((e.name, e.summary) for e in group)
        screen.tell()
    explained.heading(
        "", f"`recipelang doc {found[0].name}` describes one; `recipelang plan {found[0].name}` shows its plan."
    )

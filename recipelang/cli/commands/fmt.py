"""`recipelang fmt`: the standard style, which has no options."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from recipelang.cli import options, screen
from recipelang.cli.exit_codes import Exit
from recipelang.loading.files import read_source
from recipelang.loading.locking import has_file
from recipelang.source import RecipeError, fail


def fmt(
    files: options.Files,
    check: bool = typer.Option(False, "--check", help="Change no file; exit with 4 if any file would change."),
    diff: bool = typer.Option(
        False, "--diff", help="Change no file; print the changes, and exit with 4 if there are any."
    ),
) -> None:
    """Format recipes in the standard style: indentation, spaces, aligned `=`, aligned comments.

    Only white space changes, and `+/-` becomes `±`. Before a file is written, its new text is
    checked to have the same meaning. A file with syntax errors is formatted as far as it can be read.

    Examples:

      recipelang fmt squad.recipe

      recipelang fmt --check recipes/*.recipe
    """
    from recipelang.storage.writing import rewrite
    from recipelang.syntax.fmt import format

    changed = 0
    failed = False
    for name in files:
        try:
            text = read_source(name).text
            new = format(text)
        except RecipeError as error:
            screen.show_error(error)
            failed = True
            continue
        if name == "-" and not (check or diff):
            sys.stdout.write(new)
        if new == text:
            continue
        changed += 1
        if diff:
            import difflib

            lines = difflib.unified_diff(text.splitlines(True), new.splitlines(True), name, f"{name} (formatted)")
            sys.stdout.writelines(lines)
        elif check:
            screen.tell(f"{name}: would change")
        elif name != "-":
            if not has_file(name):
                help = "`--check` and `--diff` look at it; write it to a file of yours first"
                raise fail("E084", f"`{name}` is not a file that can be changed", help=help)
            rewrite(Path(name), new)
            screen.tell(f"{name}: formatted")
    if failed:
        raise typer.Exit(Exit.ERRORS)
    if changed and (check or diff):
        raise typer.Exit(Exit.CHANGES)

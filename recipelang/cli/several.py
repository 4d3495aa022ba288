"""A command that `torchrun` or `accelerate launch` started several times: one speaks for all."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import typer

from recipelang.api.running import alone
from recipelang.cli import crash, screen
from recipelang.cli.exit_codes import Exit
from recipelang.source import RecipeError


@contextmanager
def together() -> Iterator[None]:
    """Only the main process prints; of a failure tells the first that has one; all end together.

    The launcher ends the others when one has ended, so none ends before what is to be said is said.
    """
    if alone():
        yield
        return
    from recipelang import processes

    spoken = sys.stdout, sys.stderr
    try:
        processes.join()
        if not processes.main():
            sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (to the end)
        yield
        processes.leave()
    except typer.Exit:
        with suppress(RecipeError):
            processes.leave()
        raise
    except Exception as error:
        if not processes.first_to_fail():
            raise typer.Exit(Exit.ERRORS) from None
        sys.stdout, sys.stderr = spoken
        if isinstance(error, OSError):  # standard output takes no more, perhaps: the program itself knows
            processes.told()
            raise
        code = _tell(error)
        processes.told()
        raise typer.Exit(code) from None


def _tell(error: Exception) -> Exit:
    if not isinstance(error, RecipeError):
        return crash.report(error)
    screen.show_error(error)
    return Exit.ERRORS

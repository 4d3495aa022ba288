"""Output that nobody takes any more: a command goes on to its end, and its exit code is its own."""

import io
import os

import pytest

from recipelang.cli.main import _outlasting
from recipelang.cli.screen import colour

from .command import process


def stream(handle: int, *, errors: bool = False) -> io.TextIOWrapper:
    return _outlasting(os.fdopen(handle, "w", closefd=False), errors=errors)


@pytest.mark.parametrize("errors", [False, True])
def test_what_a_closed_terminal_would_have_shown_is_dropped(errors: bool):
    ours, theirs = os.openpty()
    to = stream(theirs, errors=errors)
    os.close(ours)
    for _ in range(2):
        to.write("step 1\n")
        to.flush()


def test_a_full_disk_behind_standard_output_is_not_dropped():
    to = stream(os.open("/dev/full", os.O_WRONLY))
    to.write("a table")
    with pytest.raises(OSError):
        to.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), to.fileno())  # or closing it would fail again


def test_a_full_disk_behind_standard_error_changes_no_exit_code():
    with open("/dev/full", "w") as full, process("validate", "nothing.recipe", stderr=full) as started:
        assert started.wait(60) == 1


@pytest.mark.parametrize(("term", "coloured"), [("xterm", True), ("dumb", False), ("unknown", False)])
def test_colours_are_for_terminals_that_know_them(monkeypatch: pytest.MonkeyPatch, term: str, coloured: bool):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", term)
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w") as screen:
        assert colour(screen) is coloured
    os.close(ours)

"""The command line. One file a command; nothing here imports torch before a command needs it."""

from __future__ import annotations

import errno
import gc
import io
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from importlib import import_module

import typer

from recipelang.cli import machine
from recipelang.cli.exit_codes import Exit
from recipelang.cli.screen import show_error
from recipelang.source import RecipeError, fail, suggest, waiting
from recipelang.version import __version__

#: the disk is full, or the quota used up
SPACE = (errno.ENOSPC, errno.EDQUOT)

_HELP = """Prune language models by recipe: write what to prune, see what a run would do, run it, check the result.

Examples:

  recipelang init squad.recipe            (write a first recipe)

  recipelang validate squad.recipe        (check it for errors)

  recipelang lint squad.recipe            (get advice on it)

  recipelang plan squad.recipe            (see what a run would do)

  recipelang run squad.recipe -o first    (run it)

  recipelang resume first                 (continue an interrupted run)

  recipelang explain E051                 (look up an error)

  recipelang explain prune                (look up a word)

`recipelang --install-completion` makes the TAB key complete commands, options,
recipes and their parameters in bash, zsh and fish. `recipelang COMMAND --help`
describes one command.
"""


def _version(value: bool) -> None:
    if value:
        print(f"recipelang {__version__}")
        raise typer.Exit


def _options(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    pass


#: command -> its module, and its line in the list of commands. A command is a function of its own name.
COMMANDS = {
    "init": ("init", "Write a first recipe."),
    "validate": ("validate", "Check recipes for errors."),
    "lint": ("lint", "Advise on recipes; usable as a CI gate."),
    "fmt": ("fmt", "Format recipes."),
    "doc": ("doc", "Write a Markdown page about a recipe."),
    "plan": ("plan", "Show what a run would do."),
    "run": ("run", "Train, prune, evaluate, check the claims."),
    "resume": ("run", "Resume an interrupted run."),
    "report": ("report", "Write the HTML page of a run."),
    "bench": ("bench", "Compare the speed and size of models."),
    "study": ("study", "Run variants of a recipe and compare them."),
    "trace": ("trace", "Show where a value comes from."),
    "schema": ("schema", "Print the JSON Schema of recipes or findings."),
    "lock": ("lock", "Pin everything a recipe refers to."),
    "push": ("push", "Publish a recipe."),
    "pull": ("pull", "Download a published recipe."),
    "digest": ("digest", "Print the digests of a recipe."),
    "convert": ("convert", "Convert a recipe to JSON or YAML, and back."),
    "migrate": ("migrate", "Convert recipes of other tools."),
    "diff": ("diff", "Show how two recipes differ."),
    "inspect": ("inspect", "Show how a model was made."),
    "verify": ("verify", "Verify the files, signature and weights of a run."),
    "sign": ("sign", "Sign a run or a published recipe."),
    "explain": ("explain", "Explain a code or a word of the language."),
    "index": ("index", "List the recipes of a folder, registry or the Hub."),
    "library": ("library", "List the recipes that come with recipelang."),
    "lsp": ("lsp", "Serve an editor while you write recipes."),
}


def command_line(names: Iterable[str] = COMMANDS) -> typer.Typer:
    """The program with these commands. Each is imported for it: one alone starts faster than all."""
    app = typer.Typer(
        name="recipelang",
        help=_HELP,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    for name in names:
        module, says = COMMANDS[name]
        app.command(name, short_help=says)(getattr(import_module(f"recipelang.cli.commands.{module}"), name))
    return app


def main() -> None:
    """The entry point: every expected failure is a coded error, every other one a crash report."""
    try:
        _open_streams()
        waiting.shown_by.set(waiting.on_terminal)
        with suggest.limited_work():
            _answer()
    except KeyboardInterrupt:
        sys.exit(Exit.INTERRUPTED)
    except Exception as error:  # also one on the way of saying what was wrong
        from recipelang.cli.crash import report

        sys.exit(report(error))


def _answer() -> None:
    try:
        machine.has_docstrings()
        try:
            asked = sys.argv[1] if len(sys.argv) > 1 else ""
            alone = asked in COMMANDS and "_RECIPELANG_COMPLETE" not in os.environ  # TAB may ask for any command
            program = command_line([asked] if alone else COMMANDS)
            if not gc.isenabled():  # `start` switched it off for the imports, which end here
                gc.freeze()
                gc.enable()
            program(prog_name="recipelang")
        finally:
            sys.stdout.flush()
    except RecipeError as error:
        show_error(error)
        sys.exit(Exit.ERRORS)
    except Exception as error:
        if isinstance(error, OSError) and error.filename is None and error.errno in (*SPACE, errno.EIO):
            _give_up_output(error)
        elif (expected := machine.limit_of_the_machine(error)) is not None:
            show_error(expected)
        else:
            raise
        sys.exit(Exit.ERRORS)


def _open_streams() -> None:
    """A closed stream swallows what is said; a character that a stream lacks is spelt out, in file names too."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 (for as long as we live)
        elif stream is getattr(sys, f"__{name}__") and isinstance(stream, io.TextIOWrapper):
            setattr(sys, name, _outlasting(stream, errors=name == "stderr"))
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115


class _Outlasting(io.FileIO):
    """Where a reader may leave, as `head` does, or a terminal be closed: what nobody reads is dropped, and the command
    goes on to its end. So is what standard error does not take, for want of a place to say it.
    """

    def __init__(self, number: int, errors: bool) -> None:
        super().__init__(number, "w", closefd=False)
        self._all = errors
        self._lost = (errno.EPIPE, errno.EIO) if self.isatty() else (errno.EPIPE,)  # once closed, it is no terminal

    def write(self, data) -> int:  # type: ignore[no-untyped-def]
        try:
            return super().write(data)
        except OSError as error:
            if error.errno not in self._lost and not self._all:
                raise
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
            return len(data)


def _outlasting(stream: io.TextIOWrapper, *, errors: bool) -> io.TextIOWrapper:
    stream.flush()
    raw = io.BufferedWriter(_Outlasting(stream.fileno(), errors))  # type: ignore[arg-type]
    kind = {"encoding": stream.encoding, "errors": "backslashreplace"}
    return io.TextIOWrapper(raw, line_buffering=stream.line_buffering, **kind)  # type: ignore[arg-type]


def _give_up_output(error: OSError) -> None:
    """Standard output takes no more."""
    show_error(fail("E084", f"cannot write to standard output: {(error.strerror or str(error)).lower()}"))
    with suppress(OSError, ValueError):  # what is still buffered would fail once more on the way out
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

"""The command line. One file a command; nothing here imports torch before a command needs it."""

from __future__ import annotations

import io
import sys

import typer

from recipelang import __version__
from recipelang.cli import explain, plan, run, validate
from recipelang.cli.exit_codes import Exit
from recipelang.cli.screen import show_error
from recipelang.source import RecipeError

_HELP = """Prune language models by recipe: say what to prune, see what will happen, run it, check the result.

Examples:

  recipelang validate squad.recipe        (is it a recipe?)

  recipelang plan squad.recipe            (what would it do?)

  recipelang run squad.recipe -o first    (do it)

  recipelang resume first                 (go on where it was stopped)

  recipelang explain E051                 (what does this error mean?)

`recipelang --install-completion` makes the TAB key complete commands, options,
recipes and their parameters in bash, zsh and fish. `recipelang COMMAND --help`
tells more of each command.
"""

app = typer.Typer(
    name="recipelang",
    help=_HELP,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("validate", short_help="Check recipes by themselves.")(validate.validate)
app.command("plan", short_help="Show what a run would do.")(plan.plan)
app.command("run", short_help="Train, prune, evaluate, judge the claims.")(run.run)
app.command("resume", short_help="Go on with an interrupted run.")(run.resume)
app.command("explain", short_help="Tell what a code of a message means.")(explain.explain)


def _version(value: bool) -> None:
    if value:
        print(f"recipelang {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version and stop."
    ),
) -> None:
    pass


def main() -> None:
    """The entry point: every expected failure is a coded error, every other one a crash report."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal may lack a character, a file name may be no text at all
            stream.reconfigure(errors="backslashreplace")
    try:
        app(prog_name="recipelang")
    except RecipeError as error:
        show_error(error)
        sys.exit(Exit.ERRORS)
    except KeyboardInterrupt:
        sys.exit(Exit.INTERRUPTED)
    except BrokenPipeError:
        sys.exit(Exit.OK)
    except Exception as error:
        from recipelang.cli.crash import report

        sys.exit(report(error))

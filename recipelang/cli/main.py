"""The command line. One file a command; nothing here imports torch before a command needs it."""

from __future__ import annotations

import sys

import typer

from recipelang import __version__
from recipelang.cli import explain, plan, run, validate
from recipelang.cli.exit_codes import Exit
from recipelang.cli.screen import show_error
from recipelang.source import RecipeError

app = typer.Typer(
    name="recipelang",
    help="Prune language models by recipe: say what to prune, see what will happen, run it, check the result.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("validate")(validate.validate)
app.command("plan")(plan.plan)
app.command("run")(run.run)
app.command("resume")(run.resume)
app.command("explain")(explain.explain)


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
    try:
        app(standalone_mode=True)
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

"""The reference pages as files: `make docs` writes `docs/reference/`, a test compares."""

from __future__ import annotations

from pathlib import Path

import typer

from recipelang.cli.exit_codes import Exit
from recipelang.reference import attributes, choices, claims, codes, composition, schedules, selectors, values
from recipelang.reference.markdown import block, code, page, table

FOLDER = Path(__file__).parents[2] / "docs" / "reference"


def pages() -> dict[str, str]:
    """Name of a file -> its text, the index included."""
    found = {
        "blocks.md": ("every block and attribute, with type, default and example", attributes.text()),
        "studies.md": ("the blocks of a study", attributes.studies()),
        "schedules.md": ("values that change over time", schedules.text()),
        "choices.md": ("the values of `method`, `optimizer` and `pattern`", choices.text()),
        "selectors.md": ("how to choose tensors", selectors.text()),
        "values.md": ("numbers, strings, names, types, units and operators", values.text()),
        "claims.md": ("conditions that a run must meet: functions, metrics, measured values", claims.text()),
        "composition.md": (
            "`extends`, `patch`, overlays and parameter files",
            composition.text(),
        ),
        "commands.md": ("the help of every command", _commands()),
        "exit-codes.md": ("what the exit code of a command means", _exit_codes()),
        "codes.md": ("every error, warning and lint rule", codes.text(_rules())),
    }
    listed = [f"- [{_title(text)}]({name}): {about}" for name, (about, text) in found.items()]
    note = "`make docs` generates these pages from the program. To change a page, change the program."
    index = page("Reference of `.recipe`, language version 1", "\n".join(listed), note)
    return {"README.md": index, **{name: text for name, (_, text) in found.items()}}


def _rules() -> dict[str, codes.RuleFacts]:
    """What has a level: every rule, and the finding that tells which could not be judged."""
    from recipelang.lint.every_rule import DEFAULTS, NOT_CHECKED, NOT_CHECKED_NAME, RULES

    rules = {rule.CODE: codes.RuleFacts(rule.NAME, rule.LEVEL, rule.NEEDS) for rule in RULES}
    return {NOT_CHECKED: codes.RuleFacts(NOT_CHECKED_NAME, DEFAULTS[NOT_CHECKED], ""), **rules}


def _title(text: str) -> str:
    return text.partition("\n")[0].removeprefix("# ")


def _exit_codes() -> str:
    rows = ((str(int(e)), code(e.name), e.doc) for e in Exit)
    return page("Exit codes", "Use the exit code of a command in scripts.", table(("code", "name", "meaning"), rows))


def _commands() -> str:
    """The help of every command, as it is printed."""
    from recipelang.cli.main import command_line

    group = typer.main.get_command(command_line())
    context = group.make_context("recipelang", [], resilient_parsing=True)
    parts = [block(group.get_help(context))]
    for name in group.list_commands(context):  # type: ignore[attr-defined]
        command = group.get_command(context, name)  # type: ignore[attr-defined]
        inner = command.make_context(name, [], parent=context, resilient_parsing=True)
        parts.append(f"## recipelang {name}\n\n{block(command.get_help(inner))}")
    return page("Commands", "The help of every command, as printed by `--help`.", *parts)


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    written = pages()
    for old in FOLDER.glob("*.md"):
        if old.name not in written:
            old.unlink()
    for name, text in written.items():
        (FOLDER / name).write_text(text, "utf-8")

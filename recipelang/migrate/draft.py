"""What every part of a migrated recipe is written with: the old file, its amounts, parameters for what it lacks."""

from __future__ import annotations

import re
from fractions import Fraction

from recipelang.kinds.text import fraction, string
from recipelang.migrate.amounts import Amounts
from recipelang.migrate.document import Document
from recipelang.migrate.form import Stage
from recipelang.source import Diagnostics
from recipelang.source.render import line_of

#: what a folder of models or data is called, and no owner on the Hub
_FOLDERS = ("checkpoints", "data", "dense", "local", "model", "models", "output", "outputs", "results", "runs", "tmp")
#: of a comment of one line
_WIDTH = 110


class Draft:
    """Of one file. `compat`: read as SparseML 1 ran it."""

    def __init__(self, document: Document, stages: list[Stage], found: Diagnostics, compat: bool) -> None:
        self.document, self.stages, self.found, self.compat = document, stages, found, compat
        self.amounts = Amounts(document, stages)
        self.params: dict[str, tuple[str, str]] = {}  # name -> its documentation, its statement

    def ask(self, name: str, type_: str, doc: str, default: str | None = None) -> str:
        """A parameter for what the file does not say."""
        self.params[name] = (doc, f"param {name}: {type_}" + (f" = {default}" if default else ""))
        return name

    def rate(self) -> str:
        told = self.document.command.number("learning_rate")
        default = None if told is None else fraction(Fraction(told))
        return self.ask("learning_rate", "number", "The rate that the original was given on the command line.", default)

    def hub(self, option: str, known: dict[str, str]) -> str | None:
        """A name of the Hub in the training command; a path on somebody's machine is asked for."""
        told = self.document.command.get(option)
        name = known.get(told, told)
        owner = name.partition("/")[0]
        if re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", name) and not owner.isupper() and owner.lower() not in _FOLDERS:
            return string(f"hf://{name}")
        return None

    def teacher(self) -> None:
        self.ask(
            "teacher",
            "model",
            "The teacher, which the original left to the command line.",
            self.hub("distill_teacher", {}),
        )


def comment_lines(text: str) -> list[str]:
    """Of a comment, without characters that a recipe may not hold."""
    return [line_of(line)[:_WIDTH] for line in text.splitlines() if line.strip()]


def hashed(text: str) -> str:
    """A comment as `# ` lines, each with its line end."""
    return "".join(f"# {line}\n" for line in comment_lines(text))

"""Options that several commands share, each worded once."""

from enum import StrEnum
from typing import Annotated

import typer

from recipelang.cli import complete
from recipelang.cli.findings import Format


class FullOrJson(StrEnum):
    full = "full"
    json = "json"


OrJson = Annotated[FullOrJson, typer.Option("--format", help="For people, or as JSON for programs.")]
File = Annotated[
    str,
    typer.Argument(
        metavar="FILE",
        help="The recipe; `-` reads standard input, `lib://NAME` is one of the library, `oci://...` one that was pulled.",
        autocompletion=complete.recipes,
    ),
]
Files = Annotated[
    list[str],
    typer.Argument(metavar="FILE", help="Recipe files; `-` reads standard input.", autocompletion=complete.recipes),
]
Param = Annotated[
    list[str],
    typer.Option(
        "-p", "--param", metavar="NAME=VALUE", help="Give a parameter a value.", autocompletion=complete.params
    ),
]
Params = Annotated[
    list[str],
    typer.Option(
        "--params",
        metavar="FILE",
        help="Give parameters from a file of `set NAME = VALUE` lines; `-p` ranks above it.",
        autocompletion=complete.recipes,
    ),
]
Overlay = Annotated[
    list[str],
    typer.Option(
        "--overlay",
        metavar="FILE",
        help="Lay a file of `set` and `patch` over the recipe, such as paths and batch sizes of a site.",
        autocompletion=complete.recipes,
    ),
]
Locked = Annotated[
    bool,
    typer.Option("--locked", help="Refuse when `FILE.lock` is missing, or is not what the recipe refers to now."),
]
AllowPrivate = Annotated[
    bool,
    typer.Option(
        "--allow-private",
        help="The registry may be on this machine or its network; on this machine plain HTTP will do.",
    ),
]
Shard = Annotated[
    bool,
    typer.Option("--shard", help="Of several processes each holds a part of the model (FSDP), not a copy."),
]
Form = Annotated[
    Format,
    typer.Option(
        "--format",
        help="How findings are shown: in full, one a line, or in words for a screen reader; for programs as JSON,"
        " SARIF 2.1.0, commands of GitHub Actions, or JUnit XML.",
    ),
]
Mend = Annotated[bool, typer.Option("--fix", help="Mend what is plainly meant, in the file; show what is left.")]
MendBoldly = Annotated[bool, typer.Option("--unsafe-fixes", help="Mend also by guesses. Read what it did.")]

"""Options that several commands share, each worded once."""

from enum import StrEnum
from typing import Annotated

import typer

from recipelang.cli import complete
from recipelang.cli.screen.findings import Format


class FullOrJson(StrEnum):
    full = "full"
    json = "json"


OrJson = Annotated[FullOrJson, typer.Option("--format", help="Print for people (`full`) or for programs (`json`).")]
File = Annotated[
    str,
    typer.Argument(
        metavar="FILE",
        help="The recipe file; `-` reads standard input, `lib://NAME` is a library recipe, `oci://...` a pulled recipe.",
        autocompletion=complete.recipes,
    ),
]
Files = Annotated[
    list[str],
    typer.Argument(metavar="FILE", help="The recipe files; `-` reads standard input.", autocompletion=complete.recipes),
]
Param = Annotated[
    list[str],
    typer.Option(
        "-p", "--param", metavar="NAME=VALUE", help="Set a parameter to a value.", autocompletion=complete.params
    ),
]
Params = Annotated[
    list[str],
    typer.Option(
        "--params",
        metavar="FILE",
        help="Read parameters from a file of `set NAME = VALUE` lines; `-p` overrides them.",
        autocompletion=complete.recipes,
    ),
]
Overlay = Annotated[
    list[str],
    typer.Option(
        "--overlay",
        metavar="FILE",
        help="Apply a file of `set` and `patch` to the recipe, such as the paths and batch sizes of your site.",
        autocompletion=complete.recipes,
    ),
]
Locked = Annotated[
    bool,
    typer.Option("--locked", help="Fail if `FILE.lock` is missing or does not match what the recipe refers to now."),
]
AllowPrivate = Annotated[
    bool,
    typer.Option(
        "--allow-private",
        help="Allow a registry on this machine (also over plain HTTP) or on its private network.",
    ),
]
Shard = Annotated[
    bool,
    typer.Option("--shard", help="Shard the model across processes (FSDP) instead of copying it to each."),
]
Offload = Annotated[
    bool,
    typer.Option("--offload", help="Keep the weights on disk and load one layer at a time (one-shot pruning)."),
]
Form = Annotated[
    Format,
    typer.Option(
        "--format",
        help="Choose the output format: in full, one finding per line, or in words for a screen reader; for programs"
        " JSON, SARIF 2.1.0, GitHub Actions commands, or JUnit XML.",
    ),
]
Mend = Annotated[bool, typer.Option("--fix", help="Apply safe fixes to the file; show the remaining findings.")]
MendBoldly = Annotated[bool, typer.Option("--unsafe-fixes", help="Also apply unsafe fixes; review the diff.")]

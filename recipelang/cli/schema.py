"""`recipelang schema`: the JSON Schema of what other programs read and write."""

from __future__ import annotations

import json
from enum import StrEnum

import typer


class Of(StrEnum):
    recipe = "recipe"
    diagnostics = "diagnostics"


def schema(
    of: Of = typer.Option(
        Of.recipe,
        "--of",
        help="What it describes: `recipe`, with every value written out, or `diagnostics`, what `--format json` prints.",
    ),
) -> None:
    """Print a JSON Schema (2020-12), for editors, validators and other programs.

    `recipe` describes the JSON that `convert --to json` writes and reads; `diagnostics`
    what `validate` and `lint` print with `--format json`. The number in the `$id` of each
    changes only when something is taken away or comes to mean something else.

    Examples:

      recipelang schema > recipe-1.json

      recipelang schema --of diagnostics > diagnostics-1.json
    """
    match of:
        case Of.recipe:
            from recipelang.reference.schema import schema as form
        case Of.diagnostics:
            from recipelang.source.json_form import schema as form

    print(json.dumps(form(), indent=2, ensure_ascii=False))

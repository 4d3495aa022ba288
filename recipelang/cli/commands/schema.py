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
        help="Choose what the schema describes: `recipe`, with every value written out, or `diagnostics`, the output of `--format json`.",
    ),
) -> None:
    """Print a JSON Schema (2020-12), for editors, validators and other programs.

    `recipe` describes the JSON that `convert --to json` writes and reads, `diagnostics` the
    output of `validate` and `lint` with `--format json`. The version in `$id` changes only when
    a field is removed or changes its meaning.

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

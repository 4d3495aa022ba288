"""`recipelang schema`: the JSON Schema of what other programs read and write."""

from __future__ import annotations

import json


def schema() -> None:
    """Print the JSON Schema (2020-12) of an evaluated recipe.

    It describes the JSON that has every value of a recipe written out, for editors,
    validators and programs that make recipes. Its `$id` carries the language version.

    Example:

      recipelang schema > recipe-1.json
    """
    from recipelang.reference.schema import schema

    print(json.dumps(schema(), indent=2, ensure_ascii=False))

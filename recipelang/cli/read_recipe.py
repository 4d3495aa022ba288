"""A recipe, or a JSON document of one, from the command line to what it says."""

from __future__ import annotations

import re
from pathlib import Path

from recipelang.cli.read import read_params, read_source
from recipelang.cli.validate import check_all
from recipelang.source import RecipeError, Source, fail
from recipelang.source.text import Sources
from recipelang.spec.check import Recipe

#: a document has room for the canonical form, and for its lines
MAX_BYTES = 2 * 1024 * 1024


def read_recipe(file: str, params: list[str]) -> tuple[Recipe, dict[str, str], tuple[Source, ...]]:
    """An evaluated recipe, what a document knows by its contents only, and the files. `RecipeError` with all errors."""
    given = read_params(params)
    source = read_source(file, MAX_BYTES)
    if source.text.lstrip()[:1] == "{":
        if given:
            raise fail("E036", "a JSON document has no parameters", help="leave `-p` out: every value is in it")
        from recipelang.spec.document import read_document

        name = "recipe" if file == "-" else re.sub(r"(\.recipe)?\.json$", "", Path(file).name)
        return *read_document(source, name), (source,)
    checked = check_all(source, given, complete=True)
    checked.diagnostics.raise_errors()
    if checked.recipe is None:
        raise RecipeError(checked.diagnostics.sorted())
    read = checked.recipe.source
    return checked.recipe, {}, read.files if isinstance(read, Sources) else (read,)


def beside(file: str) -> Path:
    """Where the paths in a file start."""
    return Path.cwd() if file == "-" else Path(file).resolve().parent

"""The recipe of a folder or a weight file, evaluated again: does it give the digest that is claimed of it?"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache

from recipelang.source import RecipeError, Source, fail
from recipelang.spec.canonical import spec_form
from recipelang.spec.check import check
from recipelang.spec.imports import no_imports
from recipelang.spec.recipe import Recipe
from recipelang.values.selector import to_json


@lru_cache(maxsize=4)  # several checks of one folder ask for the same
def evaluated(text: str, name: str) -> Recipe:
    """A recipe that stands alone, without a look at any other file. E138 when it is none any more."""
    checked = check(Source(name, text), {}, complete=True, load=no_imports)
    try:
        checked.diagnostics.raise_errors()
    except RecipeError as error:
        first = error.diagnostics[0]
        notes = [f"{first.code}: {first.message}"]
        raise fail(
            "E138", f"`{name}` is not a valid recipe", notes=notes, help="the file was changed after the run"
        ) from None
    if checked.recipe is None:
        raise fail("E138", f"`{name}` is not a valid recipe")
    return checked.recipe


def canonical(recipe: Recipe, contents: Mapping[str, str]) -> str:
    """The canonical form, with local references by the digests that were recorded for them."""
    return to_json(spec_form(recipe, contents))


def digest_of_text(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

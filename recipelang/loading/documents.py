"""A recipe, or a JSON document of one, from the command line to what it says."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from recipelang.loading.files import is_elsewhere, read_source
from recipelang.loading.locking import lock_of
from recipelang.loading.read import Around, check_all
from recipelang.loading.trust import only_what_the_user_names
from recipelang.source import RecipeError, Source, fail
from recipelang.source.text import Sources
from recipelang.spec.recipe import Recipe

#: a document has room for the canonical form, and for its lines
MAX_BYTES = 2 * 1024 * 1024


@dataclass(frozen=True)
class Read:
    """An evaluated recipe, the files it came from, and what a document knows by its contents only."""

    recipe: Recipe
    files: tuple[Source, ...]
    contents: dict[str, str] = field(default_factory=dict)


def read_either(file: str, around: Around) -> Read:
    """`RecipeError` with all that is wrong; a parameter without a value is."""
    source = read_source(file, MAX_BYTES)
    if source.text.lstrip()[:1] == "{":
        return _document(file, source, around)
    checked = check_all(source, around.given, complete=True, overlays=around.overlays)
    checked.diagnostics.raise_errors()
    if checked.recipe is None:
        raise RecipeError(checked.diagnostics.sorted())
    read = checked.recipe.source
    lock = lock_of(file) if is_elsewhere(file) else None
    contents = lock.contents if lock is not None else {}
    only_what_the_user_names(checked, around, contents)
    return Read(checked.recipe, read.files if isinstance(read, Sources) else (read,), contents)


def _document(file: str, source: Source, around: Around) -> Read:
    if around.given or around.overlays:
        help = "remove `-p`, `--params` and `--overlay`: the document contains every value"
        raise fail("E036", "a JSON document has no parameters", help=help)
    from recipelang.spec.document import read_document

    name = "recipe" if file == "-" else re.sub(r"(\.recipe)?\.json$", "", Path(file).name)
    recipe, contents = read_document(source, name)
    return Read(recipe, (source,), contents)

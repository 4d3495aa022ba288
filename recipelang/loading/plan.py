"""A recipe file to its plan in one call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from recipelang.loading.locking import beside, pins_of
from recipelang.loading.read import NOTHING, Around, check_all, name_of, source_of
from recipelang.source import Diagnostics, RecipeError, Source
from recipelang.spec.recipe import Checked, Recipe

if TYPE_CHECKING:
    from recipelang.planning.types import Plan

#: what holds a recipe's references to commits of the Hub
Pinning = Callable[[Checked], Mapping[str, str]]


def planned(
    recipe: str | Path | Source,
    around: Around = NOTHING,
    *,
    rehearsal: int | None = None,
    advice: bool = True,
    pinning: Pinning | None = None,
) -> tuple[Recipe, Plan, Diagnostics]:
    """A recipe, by its name or as a text that has none, to a plan, with advice on it; every error of the way at once, then `RecipeError`.

    The lock beside the recipe pins what it refers to, unless `pinning` does.
    """
    file, source = name_of(recipe), source_of(recipe)
    checked = check_all(source, around.given, complete=True, overlays=around.overlays)
    checked.diagnostics.raise_errors()
    if checked.recipe is None:
        raise RecipeError(checked.diagnostics.sorted())
    from recipelang.loading.trust import only_what_the_user_names
    from recipelang.planning.resolve import resolve

    only_what_the_user_names(checked, around)
    pins = pinning(checked) if pinning is not None else pins_of(file, checked.recipe)
    made = resolve(checked.recipe, beside(file), checked.diagnostics, rehearsal=rehearsal, pins=pins)
    checked.diagnostics.raise_errors()
    if made is None:
        raise RecipeError(checked.diagnostics.sorted())
    if advice:
        from recipelang.lint import advise

        checked.diagnostics.extend(advise(checked, made, beside(file)))
    return checked.recipe, made, checked.diagnostics

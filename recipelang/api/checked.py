"""`recipelang.check`: is this a recipe, and does it make sense by itself?"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path

from recipelang.loading.read import NOTHING, Around, around_of, check_all, source_of
from recipelang.source import Diagnostics, Source
from recipelang.source.render import line_of, render
from recipelang.source.words import plural
from recipelang.spec import recipe as spec
from recipelang.spec.check import study_of
from recipelang.syntax import parse


class Checked(spec.Checked):
    """What a recipe says, and what is wrong with it.

    `recipe` is none while a parameter lacks a value, or where `diagnostics` holds errors. Printed, it reads as
    `recipelang validate` does; a notebook shows it as a page.
    """

    @property
    def ok(self) -> bool:
        return not self.diagnostics.errors

    @property
    def name(self) -> str:
        return self.parsed.source.name

    def __str__(self) -> str:
        found = self.diagnostics.sorted()
        return "\n\n".join(filter(None, (render(found) if found else "", summary(self.name, self) if self.ok else "")))

    def __repr__(self) -> str:
        found = plural(len(self.diagnostics), "finding")
        return f"<Checked {self.name}: {plural(len(self.diagnostics.errors), 'error')}, {found}>"

    def _repr_html_(self) -> str:
        from recipelang.report.notebook import checked

        return checked(self, summary(self.name, self) if self.ok else "")


def check(
    recipe: str | Path | Source,
    *,
    params: Mapping[str, object] | None = None,
    overlays: Sequence[str | Path] = (),
    around: Around = NOTHING,
    **more: object,
) -> Checked:
    """Check a recipe without a model, data or network: syntax, names, types, units, requirements, claims.

    Args:
        recipe: a path, `lib://NAME`, or the text itself, which has several lines.
        params: values of the recipe's parameters, as `{"target": "97%"}`; `target="97%"` does the same.
        overlays: recipes laid over this one, the last on top.
        around: what a command line lays over it, read already.

    Raises:
        RecipeError: when it cannot be read at all. What is wrong with its text is in `diagnostics`.
    """
    laid = merged(around, params, overlays, more)
    found = check_all(source_of(recipe), laid.given, overlays=laid.overlays)
    return Checked(**{f.name: getattr(found, f.name) for f in fields(spec.Checked)})


def merged(
    around: Around, params: Mapping[str, object] | None, overlays: Sequence[str | Path], more: Mapping[str, object]
) -> Around:
    own = around_of({**(params or {}), **more}, overlays)
    return Around({**around.given, **own.given}, (*around.overlays, *own.overlays))


def summary(name: str, checked: spec.Checked) -> str:
    """A line of what a sound file holds."""
    name, recipe = line_of(name), checked.recipe
    if recipe is None and not checked.missing:
        return f"{name}: ok, a library of values for other recipes"
    if recipe is None:
        needs = ", ".join(f"`{m}`" for m in checked.missing)
        return f"{name}: ok, a base; values needed for {needs}"
    stages = " -> ".join(line_of(s.name) for s in recipe.stages)
    return f"{name}: ok ({line_of(recipe.name)}: {stages}; {plural(len(recipe.claims), 'claim')})"


def told_of_study(source: Source) -> tuple[Diagnostics, str] | None:
    """What is wrong with a study, and a line of what it holds; none of a recipe, which most files are: they are cheap."""
    if (
        not re.search(r"^(?:study|arm|vary|search)\b", source.text, re.M)
        or study_of(parse(source, Diagnostics()).recipe) is None
    ):
        return None
    from recipelang.study.read import read_study
    from recipelang.study.variants import check_study

    found = read_study(source)
    arms = ", ".join(a.name for a in found.arms)
    return check_study(found), f"{source.name}: ok, a study ({found.name}: {arms}; {plural(found.runs, 'run')})"

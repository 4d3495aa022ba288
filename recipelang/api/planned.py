"""`recipelang.plan`: everything a run would do, before it does it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import PrivateAttr

from recipelang.api.checked import merged
from recipelang.loading.plan import Pinning, planned
from recipelang.loading.read import NOTHING, Around
from recipelang.planning import types
from recipelang.source import Diagnostics, Source, fail
from recipelang.source.words import plural
from recipelang.spec.recipe import Recipe

#: columns of a plan that is printed by a program
_WIDTH = 100


class Plan(types.Plan):
    """Every target tensor, every event with its step and zeros, every schedule; frozen data.

    `recipe` is what it was made of, `diagnostics` what was found on the way: warnings and advice. Printed, it reads
    as `recipelang plan` does; a notebook shows tables and the schedules.
    """

    _recipe: Recipe = PrivateAttr()
    _found: Diagnostics = PrivateAttr(default_factory=Diagnostics)

    @classmethod
    def of(cls, plan: types.Plan, recipe: Recipe, found: Diagnostics) -> Plan:
        """A plan that is valid already, with what it came from."""
        made = cls.model_construct(plan.model_fields_set, **dict(plan))
        made._recipe, made._found = recipe, found
        return made

    @property
    def recipe(self) -> Recipe:
        return self._recipe

    @property
    def diagnostics(self) -> Diagnostics:
        return self._found

    def __str__(self) -> str:
        from recipelang.report.cleaned import plain
        from recipelang.report.plan_screen import full
        from recipelang.source.render import render

        found = self._found.sorted()
        screen = plain(full(self._recipe, self, _WIDTH), _WIDTH)
        return f"{screen}\n\n{render(found)}" if found else screen

    def __repr__(self) -> str:
        return f"<Plan {self.name}: {plural(len(self.stages), 'stage')}, {plural(self.steps, 'step')}, spec {self.spec_digest[7:15]}>"

    def _repr_html_(self) -> str:
        from recipelang.report.notebook import plan

        return plan(self, self._recipe, self._found)


def plan(
    recipe: str | Path | Source,
    *,
    params: Mapping[str, object] | None = None,
    overlays: Sequence[str | Path] = (),
    steps: int | None = None,
    around: Around = NOTHING,
    **more: object,
) -> Plan:
    """Plan a run: reads the model's config, shapes in its weight files and the data; loads no weights.

    `steps`: of a rehearsal. For the others see `recipelang.check`.

    Raises:
        RecipeError: with every error of the way.
    """
    return made(recipe, merged(around, params, overlays, more), steps)


def made(recipe: str | Path | Source, around: Around, steps: int | None, pinning: Pinning | None = None) -> Plan:
    if steps is not None and (type(steps) is not int or steps < 1):
        help = "write `steps=20` to rehearse the first 20 steps of every stage"
        raise fail("E038", f"`steps` cannot be {steps!r:.40}", help=help)
    checked, plan, found = planned(recipe, around, rehearsal=steps, pinning=pinning)
    return Plan.of(plan, checked, found)

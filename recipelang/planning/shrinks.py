"""The `shrink` blocks of a stage, for one model: at once, or in rounds."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable
from fractions import Fraction

from recipelang.kinds.terms import INNER
from recipelang.planning import processor
from recipelang.planning.budget_plan import BudgetPlan
from recipelang.planning.budgets import Reach, check_chosen, choose, choose_by_speed
from recipelang.planning.context import Context
from recipelang.planning.cut_masks import cut_masks
from recipelang.planning.facts import ModelFacts
from recipelang.planning.latencies import check_latencies, read_latencies
from recipelang.planning.prunes import Prunes
from recipelang.planning.references import local_path
from recipelang.planning.rounds import plan_rounds
from recipelang.planning.shrink import kept_layers, plan_shrink
from recipelang.planning.shrink_plan import ShrinkPlan
from recipelang.planning.types import StagePlan
from recipelang.source import at_label
from recipelang.spec.blocks import StageSpec
from recipelang.spec.controls import ShrinkSpec
from recipelang.values.quantities import Time


class Shrinks:
    """What it plans the facts of the context and the masks of `prunes` are brought up to.

    `by_speed`: what a speedup comes to, of a block at a path, by the table of a name.
    """

    def __init__(
        self, context: Context, prunes: Prunes, by_speed: Callable[[ShrinkSpec, str, Reach, str], BudgetPlan]
    ) -> None:
        self.context, self.prunes, self.by_speed = context, prunes, by_speed

    def at_once(self, spec: StageSpec) -> tuple[ShrinkPlan, ...] | None:
        """What makes the model smaller before anything else acts in the stage; none after an error."""
        planned: list[ShrinkPlan] = []
        for shrink in spec.shrinks:
            path = f"stage.{spec.name}.shrink.{shrink.name}"
            keep = self.context.guard(f"{path}.keep", lambda s=shrink: kept_layers(s, self.context.facts))
            if keep is None:
                return None
            made = self.context.guard(f"{path}.axes", lambda s=shrink, p=path, k=keep: self._smaller(s, p, k))
            cut = None if made is None else self._cut([made], path)
            if cut is None:
                return None
            planned += cut
        return tuple(planned)

    def in_rounds(self, spec: StageSpec, stage: StagePlan) -> tuple[ShrinkPlan, ...] | None:
        """What makes the model smaller between steps of a stage; none after an error."""
        (shrink,) = spec.shrinks
        path = f"stage.{spec.name}.shrink.{shrink.name}"
        every = (shrink.every or Time(epochs=Fraction(1))).in_steps(stage.steps_per_epoch)
        if not self._compared_beside(spec, shrink):
            return None
        keep = self.context.guard(f"{path}.keep", lambda: kept_layers(shrink, self.context.facts))
        if keep is None:
            return None
        sized = self.context.guard(f"{path}.axes", lambda: self._sized(shrink, path, keep))
        if sized is None:
            return None
        facts = self.context.facts
        made = self.context.guard(
            f"{path}.rounds", lambda: plan_rounds(sized[0], facts, keep, every, stage.steps, sized[1])
        )
        return None if made is None else self._cut(made, path)

    def _cut(self, made: Iterable[tuple[ShrinkPlan, ModelFacts]], path: str) -> tuple[ShrinkPlan, ...] | None:
        """The same plans with the masks that go along, after which `facts` are of what is left; none after E154."""
        planned: list[ShrinkPlan] = []
        for plan, left in made:
            masks = cut_masks(self.prunes, plan, self.context.facts, path)
            if masks is None:
                return None
            planned.append(plan.model_copy(update={"masks": masks}))
            self.context.facts = left
        return tuple(planned)

    def _smaller(self, spec: ShrinkSpec, path: str, keep: tuple[int, ...]) -> tuple[ShrinkPlan, ModelFacts]:
        """What a block leaves, once its budget has given every axis a size."""
        sized, budget = self._sized(spec, path, keep)
        return plan_shrink(sized, self.context.facts, keep, budget)

    def _sized(self, spec: ShrinkSpec, path: str, keep: tuple[int, ...]) -> tuple[ShrinkSpec, BudgetPlan | None]:
        """A block whose axes all have sizes."""
        if spec.budget is None:
            return spec, None
        reach = Reach(spec, self.context.facts, keep)
        if spec.latencies is None:
            with at_label(self.context.recipe.label(f"{path}.budget")):
                budget = choose(reach)
        else:
            budget = self.by_speed(spec, path, reach, spec.latencies)
        with at_label(self.context.recipe.label(f"{path}.chosen")):
            check_chosen(spec, budget)
        return reach.sized({**reach.fixed, **budget.chosen}), budget

    def _compared_beside(self, spec: StageSpec, shrink: ShrinkSpec) -> bool:
        """States of layers are compared by number and width, which rounds of these axes change."""
        axes = [size.axis for size in shrink.axes if size.axis in ("layers", "hidden")]
        inner = [term.name for d in spec.distills for term in d.on if term.name in INNER]
        if axes and inner:
            message = f"`{inner[0]}` cannot be compared while `{axes[0]}` shrinks in rounds"
            help = "write `on = logits`, or compare it in the next stage"
            self.context.say("E054", message, f"stage.{spec.name}.distill.on", help)
        return not (axes and inner)


def by_table(context: Context, spec: ShrinkSpec, path: str, reach: Reach, name: str) -> BudgetPlan:
    """What a speedup comes to by its table. E160 to E162 at the table, W162 for one of another processor."""
    model, facts = context.recipe.model, context.facts
    assert spec.budget is not None
    runtime = f" --runtime {spec.budget.runtime}" if spec.budget.runtime else ""
    axes = ",".join(s.axis for s in spec.axes)
    told = [shlex.quote(text) for text in (model.base, name)]
    help = f"`recipelang bench {told[0]} --latencies {told[1]} --task {model.task} --axes {axes}{runtime}`"
    with at_label(context.recipe.label(f"{path}.latencies")):
        table, digest = read_latencies(name, context.beside, help)
        now = {axis: reach.here.count(axis) for axis in dict.fromkeys((*(s.axis for s in spec.axes), *table.axes))}
        check_latencies(table, name, family=facts.family, task=model.task, config=facts.config, sizes=now, help=help)
    with at_label(context.recipe.label(f"{path}.budget")):
        budget = choose_by_speed(reach, table, name, str(local_path(name, context.beside)), digest, help)
    if table.clock != "GPU time" and table.machine != processor.name():
        notes = (f"it was measured on {table.machine}, and this is {processor.name()}",)
        help = f"measure it here: {help}, or measure the result with `recipelang bench`"
        context.say("W162", "the latencies were measured on another processor", f"{path}.latencies", help, notes)
    return budget

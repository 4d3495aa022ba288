"""`shrink` in rounds: the sizes after each, and the steps that they come before."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from recipelang.planning.budget_plan import BudgetPlan
from recipelang.planning.facts import ModelFacts
from recipelang.planning.shrink import Here, plan_shrink, rounded, step_of
from recipelang.planning.shrink_plan import ShrinkPlan, SizePlan
from recipelang.source import fail
from recipelang.spec.controls import ShrinkSpec
from recipelang.values.composite import Size

#: examples that a round ranks by, drawn anew each time
SAMPLES = 256


def plan_rounds(
    spec: ShrinkSpec,
    facts: ModelFacts,
    keep: tuple[int, ...],
    every: int,
    steps: int,
    budget: BudgetPlan | None = None,
) -> list[tuple[ShrinkPlan, ModelFacts]]:
    """Every round with the facts of the model that it leaves, in a stage of so many steps; `budget`: what the last comes to.

    E152 and E153 as for one shot, for the sizes after any round; E163 for a round that removes nothing, E164 for one that
    no step follows.
    """
    assert spec.rounds is not None
    if every < 1:
        help = "write a longer `every`, or lengthen the stage"
        raise fail("E164", "all rounds come before the same step", help=help)
    last = (spec.rounds - 1) * every
    if last >= steps:
        fit = 1 + (steps - 1) // every
        notes = [f"the last one is before step {last:,}, and the stage has {steps:,}"]
        other = f", or `rounds = {fit}`" if fit > 1 else ""
        shorter = (steps - 1) // (spec.rounds - 1)
        help = f"write `every = {shorter} steps`{other}" if shorter else "lengthen the stage"
        raise fail("E164", "no step follows the last round", help=help, notes=notes)
    whole, here = plan_shrink(spec, facts, keep)[0].sizes, Here(facts)
    multiples: dict[str, int] = {s.axis: step_of(s.axis, s.before, here, spec.multiple_of) for s in whole}
    found: list[tuple[ShrinkPlan, ModelFacts]] = []
    has: dict[str, int] = {s.axis: s.before for s in whole}
    for number, gets in enumerate(_sizes(whole, spec.rounds, multiples)):
        axes = tuple(Size(axis, to) for axis, to in gets.items() if to < has[axis])
        if not axes:
            notes = [f"`{s.axis}` goes from {s.before:,} to {s.after:,}" for s in whole]
            message = f"round {number + 1} of {spec.rounds} removes nothing"
            help = "write fewer `rounds`" if spec.rounds > 2 else "shrink it at once, in a stage with `mode = one_shot`"
            raise fail("E163", message, help=help, notes=notes)
        shorter = any(a.axis == "layers" for a in axes)
        last_of_all = budget if number + 1 == spec.rounds else None
        again = spec.model_copy(update={"axes": axes})
        plan, facts = plan_shrink(again, facts, keep if shorter else (), last_of_all)
        found.append((plan.model_copy(update={"step": number * every, "samples": SAMPLES}), facts))
        has = {**has, **gets}
    return found


def _sizes(whole: tuple[SizePlan, ...], rounds: int, multiples: dict[str, int]) -> Iterator[dict[str, int]]:
    """Of each axis after every round: about as much goes each time, and after the last round all that is to go."""
    heads, hidden = (next((s for s in whole if s.axis == axis), None) for axis in ("heads", "hidden"))
    for number in range(1, rounds + 1):
        share = Fraction(number, rounds)
        each: dict[str, int] = {
            s.axis: s.after
            if number == rounds
            else max(s.after, rounded(s.before - (s.before - s.after) * share, multiples[s.axis], s.before))
            for s in whole
        }
        if heads and hidden and heads.before * hidden.after == heads.after * hidden.before:
            each["hidden"] = each["heads"] * hidden.before // heads.before  # as wide as the heads together
        yield each

"""Which sizes a budget of `shrink` comes to: one size for each axis that has none, decided before the run.

The rule: the smallest share of its units that any of them keeps is as large as the budget allows. What is left over then
is given back step by step, always to the axis with the smallest share whose step the budget still allows; of equal ones to
that whose step leaves more. So no axis alone could be larger. (Rounding a common share down instead would take a whole
layer more where a few neurons are enough.)
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from recipelang.kinds.sizes import AXES
from recipelang.planning.budget_plan import BudgetPlan, PredictedPlan
from recipelang.planning.facts import ModelFacts
from recipelang.planning.latencies import Latencies, not_measured
from recipelang.planning.shrink import Here, least_of, plan_shrink, size_of, step_of
from recipelang.planning.shrink_plan import ReshapePlan
from recipelang.planning.types import Plan
from recipelang.source import RecipeError, fail
from recipelang.spec.controls import ShrinkSpec
from recipelang.spec.recipe import Recipe
from recipelang.values.composite import Size

#: axis -> its size
Wanted = Mapping[str, int]


def largest(
    shares: Sequence[Sequence[Fraction]], cost: Callable[[tuple[int, ...]], float], most: float
) -> tuple[int, ...] | None:
    """By the rule above, of each axis the number of its share; none where the smallest cost more than `most`.

    `shares`: of each axis the shares that it can keep, rising to 1.

    >>> halves, quarters = [Fraction(1, 2), Fraction(1)], [Fraction(n, 4) for n in (1, 2, 3, 4)]
    >>> largest([halves, quarters], lambda at: (at[0] + 1) * (at[1] + 1), 4)
    (1, 1)
    """
    for share in sorted({s for each in shares for s in each}, reverse=True):
        at = tuple(bisect_left(each, share) for each in shares)
        if cost(at) <= most:
            break
    else:
        return None
    while True:
        steps = [
            (each[i], (*at[:n], i + 1, *at[n + 1 :]))
            for n, (each, i) in enumerate(zip(shares, at, strict=True))
            if i + 1 < len(each)
        ]
        met = [(share, -spent, more) for share, more in steps if (spent := cost(more)) <= most]
        if not met:
            return at
        at = min(met)[2]


@dataclass(frozen=True)
class _Row:
    """Axes that keep one share of their units, and the sizes that they can have together, rising to all of them."""

    axes: tuple[str, ...]
    sizes: tuple[tuple[int, ...], ...]

    @property
    def shares(self) -> list[Fraction]:
        return [Fraction(size[0], self.sizes[-1][0]) for size in self.sizes]


class Reach:
    """What the axes of a block can come to in a model, and how many parameters are left then.

    E152 and E153 for axes and sizes that the model cannot have.
    """

    def __init__(self, spec: ShrinkSpec, facts: ModelFacts, keep: tuple[int, ...]) -> None:
        self.spec, self.facts, self.keep = spec, facts, keep
        self.here = Here(facts)
        self.fixed = {s.axis: size_of(s, self.here, spec.multiple_of).after for s in spec.axes if s.to is not None}
        self.rows = [self._row(axes) for axes in self._together()]
        probe, _ = plan_shrink(self.sized(self.wanted([0] * len(self.rows))), facts, keep)
        self.parameters = counted(facts, probe.reshapes, {s.axis for s in spec.axes})

    def wanted(self, at: Iterable[int]) -> dict[str, int]:
        """The size of every axis of the block."""
        sizes = dict(self.fixed)
        for row, i in zip(self.rows, at, strict=True):
            sizes.update(zip(row.axes, row.sizes[i], strict=True))
        return {axis: sizes[axis] for axis in AXES if axis in sizes}

    def sized(self, wanted: Wanted) -> ShrinkSpec:
        """The block with a size for every axis that becomes smaller."""
        axes = [Size(axis, to) for axis, to in wanted.items() if to < self.here.count(axis)]
        return self.spec.model_copy(update={"axes": tuple(axes)})

    def _together(self) -> list[tuple[str, ...]]:
        """Heads and hidden units keep one share: configs want the one to be a multiple of the other."""
        axes = self.spec.unsized
        if {"heads", "hidden"} <= {*axes}:
            return [("heads", "hidden") if axis == "heads" else (axis,) for axis in axes if axis != "hidden"]
        return [(axis,) for axis in axes]

    def _row(self, axes: tuple[str, ...]) -> _Row:
        multiple = self.spec.multiple_of
        whole = tuple(self.here.count(axis) for axis in axes)
        step = step_of(axes[0], whole[0], self.here, multiple)
        if axes == ("layers",):
            sizes: list[tuple[int, ...]] = [(n,) for n in range(max(1, len(self.keep)), whole[0])]
        elif axes == ("heads", "hidden"):
            both = [(n, Fraction(n * whole[1], whole[0])) for n in range(step, whole[0], step)]
            sizes = [(n, int(to)) for n, to in both if to.denominator == 1 and to % (multiple or 1) == 0]
        elif axes == ("heads",):
            hidden = self.fixed.get("hidden", self.here.hidden or 0)
            sizes = [(n,) for n in range(step, whole[0], step) if hidden % n == 0]
        elif axes == ("hidden",):
            heads = self.fixed.get("heads", self.here.heads.count if self.here.heads else 1)
            step = math.lcm(step, heads)
            sizes = [(n,) for n in range(step, whole[0], step)]
        else:
            sizes = [(n,) for n in range(max(step, least_of(axes[0], self.here)), whole[0], step)]
        if not sizes:
            named = _named(axes)
            help = "write a smaller `multiple_of`" if multiple else f"remove {named} from `axes`"
            raise fail("E153", f"{named} can have no smaller size in this model", help=help)
        return _Row(axes, (*sizes, whole))


def counted(facts: ModelFacts, reshapes: Sequence[ReshapePlan], axes: Iterable[str]) -> Callable[[Wanted], int]:
    """The parameters that are left of a model, from the sizes of its axes: of each parameter the product of its shape."""
    cuts = {r.name: r for r in reshapes}
    by_layer = "layers" in {*axes}  # which are alike then
    every = {t.name for t in facts.tensors}
    terms: Counter[tuple[str, ...]] = Counter()
    for tensor in facts.tensors:
        if by_layer and tensor.layer:
            continue
        alone = tensor.layer is None or tensor.name.replace(".0.", ".1.", 1) not in every  # the first has more
        layers = ("layers",) if by_layer and not alone else ()
        for of, size in _product(tensor.size, cuts.get(tensor.name)):
            terms[(*sorted(of), *layers)] += size

    def count(wanted: Wanted) -> int:
        return sum(size * math.prod(wanted[axis] for axis in of) for of, size in terms.items())

    return count


def _product(size: int, reshape: ReshapePlan | None) -> list[tuple[tuple[str, ...], int]]:
    """The shape of a parameter of `size` values multiplied out: axes, and how many values for each of their units."""
    found: list[tuple[tuple[str, ...], int]] = [((), size)]
    for cut in reshape.cuts if reshape else ():
        has = reshape.shape[cut.dim]  # type: ignore[union-attr]
        grown = [((*of, cut.axis), many // has * cut.parts * cut.unit) for of, many in found]
        found = grown + [(of, many // has * cut.blocks * cut.rest) for of, many in found if cut.rest]
    return found


def choose(reach: Reach) -> BudgetPlan:
    """The sizes that a budget of parameters comes to. E158 where it cannot be met, or asks for nothing."""
    spec, has = reach.spec, reach.facts.parameters
    assert spec.budget is not None
    share = spec.budget.to if isinstance(spec.budget.to, Fraction) else None
    most = math.floor(share * has) if share is not None else int(spec.budget.to)
    if most >= has:
        message = f"`parameters -> {most}` is not smaller: the model has {has:,}"
        raise fail("E158", message, help=f"write a share, or a count below {has}")
    at = largest([r.shares for r in reach.rows], lambda at: reach.parameters(reach.wanted(at)), most)
    if at is None:
        raise _unmet(reach, most, share is not None)
    left = reach.parameters(reach.wanted(at))
    _asks_for_something(reach, at, f"leave {left:,} of {has:,} parameters ({left / has:.1%})")
    return BudgetPlan(
        of="parameters", share=None if share is None else float(share), most=most, chosen=_chosen(reach, at)
    )


def choose_by_speed(reach: Reach, table: Latencies, name: str, path: str, digest: str, help: str) -> BudgetPlan:
    """The sizes that a speedup comes to, by a table of measured latencies. E158 as above, E161 for one that lacks them."""
    spec = reach.spec
    assert spec.budget is not None
    now = {axis: reach.here.count(axis) for axis in (*table.axes, *(s.axis for s in spec.axes))}
    runtime = spec.budget.runtime or "torch"
    if table.runtime != runtime:
        message = f"`{name}` was measured in `{table.runtime}`, and the budget is of `{runtime}`"
        notes = [f"`speedup({table.runtime}) -> ...` would ask for its own runtime"]
        raise fail("E162", message, notes=notes, help=help)

    def seconds(at: Sequence[int]) -> float:
        sizes = {**now, **reach.wanted(at)}
        if not table.measured(sizes):
            raise not_measured(name, help)
        return table.seconds(sizes)

    whole, asked = table.seconds(now), float(spec.budget.to)
    at = largest([r.shares for r in reach.rows], seconds, whole / asked)
    if at is None:
        most = whole / seconds([0] * len(reach.rows))
        notes = [f"at the smallest sizes a speedup of {most:.2f} is predicted"]
        nearest = math.floor(100 * most) / 100
        advice = f"write `speedup -> {nearest:g}`, or add axes" if nearest > 1 else "add axes"
        raise fail("E158", f"{_named(s.axis for s in spec.axes)} cannot become fast enough for the budget",
                   help=advice, notes=notes)  # fmt: skip
    predicted = whole / seconds(at)
    _asks_for_something(reach, at, f"are predicted to be {predicted:.2f} times as fast")
    speed = PredictedPlan(
        asked=asked,
        predicted=max(predicted, asked),  # of equal times the quotient may be a bit below
        runtime=table.runtime,
        machine=table.machine,
        table=path,
        digest=digest,
    )
    return BudgetPlan(of="speedup", speed=speed, chosen=_chosen(reach, at))


def _chosen(reach: Reach, at: Sequence[int]) -> dict[str, int]:
    wanted = reach.wanted(at)
    return {axis: wanted[axis] for axis in reach.spec.unsized}


def _asks_for_something(reach: Reach, at: Sequence[int], what: str) -> None:
    """E158 where the sizes that are written meet the budget alone."""
    if all(i == len(row.sizes) - 1 for row, i in zip(reach.rows, at, strict=True)):
        named = _named(reach.spec.unsized)
        help = f"ask for more, or remove {named} from `axes`"
        message = f"the budget is met without shrinking {named}"
        raise fail("E158", message, help=help, notes=[f"the sizes that are written {what}"])


def _unmet(reach: Reach, most: int, by_share: bool) -> RecipeError:
    has = reach.facts.parameters
    least = reach.parameters(reach.wanted([0] * len(reach.rows)))
    near = f"{math.ceil(Fraction(1000 * least, has)) / 10:g}%" if by_share else f"{least:_}"
    help = f"write `parameters -> {near}`"
    if more := _more(reach, most):
        help += f", or add {more} to `axes`"
    named = _named(s.axis for s in reach.spec.axes)
    notes = [f"the smallest sizes leave {least:,} of {has:,} parameters ({least / has:.1%})"]
    return fail("E158", f"{named} cannot become small enough for the budget", help=help, notes=notes)


def _more(reach: Reach, most: int) -> str:
    """Axes with which the budget could be met."""
    there = {s.axis for s in reach.spec.axes}
    for more in (("ffn",), ("experts",), ("layers",), ("hidden",), ("heads",), ("heads", "hidden")):
        if there & {*more}:
            continue
        axes = sorted((*reach.spec.axes, *(Size(a, None) for a in more)), key=lambda s: [*AXES].index(s.axis))
        try:
            wider = Reach(reach.spec.model_copy(update={"axes": tuple(axes)}), reach.facts, reach.keep)
        except RecipeError:
            continue
        if wider.parameters(wider.wanted([0] * len(wider.rows))) <= most:
            return _named(more)
    return ""


def _named(axes: Iterable[str]) -> str:
    """`ffn`, `heads` and `layers`, in marks."""
    *most, last = [f"`{axis}`" for axis in axes]
    return f"{', '.join(most)} and {last}" if most else last


def check_chosen(spec: ShrinkSpec, budget: BudgetPlan) -> None:
    """E159 where a recipe holds sizes that the budget does not come to."""
    if spec.chosen is None or {s.axis: s.to for s in spec.chosen} == budget.chosen:
        return
    sizes = ", ".join(f"{axis} -> {to}" for axis, to in budget.chosen.items())
    notes = [f"of this model it comes to `[{sizes}]`"]
    help = f"write `chosen = [{sizes}]`, or remove `chosen`"
    raise fail("E159", "the budget comes to other sizes than `chosen`", help=help, notes=notes)


def with_chosen(recipe: Recipe, plan: Plan) -> Recipe:
    """The recipe with the sizes that its budgets came to beside them."""
    budgets = {(s.name, b.name): b.budget for s in plan.stages for b in s.shrinks if b.budget is not None}
    if not budgets:
        return recipe
    stages = []
    for stage in recipe.stages:
        shrinks = []
        for shrink in stage.shrinks:
            if found := budgets.get((stage.name, shrink.name)):
                sizes = tuple(Size(axis, to) for axis, to in found.chosen.items())
                shrink = shrink.model_copy(update={"chosen": sizes})
            shrinks.append(shrink)
        stages.append(stage.model_copy(update={"shrinks": tuple(shrinks)}))
    return replace(recipe, stages=tuple(stages))

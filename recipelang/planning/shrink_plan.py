"""What a plan says of `shrink`: sizes, and what each parameter loses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from recipelang.kinds.sizes import RANKINGS
from recipelang.planning.budget_plan import BudgetPlan
from recipelang.planning.plan_form import Frozen
from recipelang.storage.forms import Count, Some, known

#: of a config.json: what `shrink` changes in it
Setting = int | tuple[str | int | None, ...] | None


class SizePlan(Frozen):
    """What an axis of the model has before and after it is shrunk."""

    axis: Literal["ffn", "heads", "hidden", "experts", "layers"]
    before: Some
    after: Some

    @model_validator(mode="after")
    def _falls(self) -> Self:
        if self.after >= self.before:
            raise ValueError(f"`{self.axis}` does not become smaller: `after` is not below `before`")
        return self


class CutPlan(Frozen):
    """A dimension of a parameter that becomes shorter: `parts` times the units of its axis, of `unit` places each.

    In several `blocks` each holds its share of the units in this way, and then `rest` places that stay.
    """

    dim: Count = Field(description="of the parameter as it is stored")
    axis: Literal["ffn", "heads", "hidden", "experts"]
    parts: Some = 1
    unit: Some = 1
    rest: Count = 0
    blocks: Some = 1

    def places(self, units: int) -> int:
        """How long the dimension is with so many units."""
        return self.parts * self.unit * units + self.blocks * self.rest


class ReshapePlan(Frozen):
    """A parameter that becomes smaller, by its name before layers are removed."""

    name: str
    shape: tuple[Some, ...] = Field(description="as it is stored, before")
    cuts: tuple[CutPlan, ...] = Field(min_length=1)


class ShrinkPlan(Frozen):
    """Neurons, heads, hidden units, experts and layers that a stage removes. Which ones, the run finds out."""

    name: str
    by: Annotated[str, known(*RANKINGS)]
    sizes: tuple[SizePlan, ...] = Field(min_length=1)
    groups: Some = Field(default=1, description="of heads, in each of which as many are kept")
    routing: Some = Field(default=1, description="of experts: groups of the router, in each of which as many are kept")
    keep: tuple[Count, ...] = Field(default=(), description="layers that are not removed, in each stack")
    reshapes: tuple[ReshapePlan, ...] = ()
    config: dict[str, Setting] = Field(description="what changes in config.json: its new values")
    config_before: dict[str, Setting] = Field(description="and what they were")
    parameters: tuple[Some, Some] = Field(description="of the model, before and after")
    stack: str = Field(default="", description="path of the layers in the model, where some of them go")
    decoder: str = Field(default="", description="and of those of its decoder, where `stack` is that of an encoder")
    masks: Count = Field(default=0, description="matrices whose masks are cut with them")
    budget: BudgetPlan | None = None
    step: Count | None = Field(default=None, description="of a round in a training stage: before this step")
    samples: Count = Field(default=0, description="of a round: how many examples its scores are of")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        sizes = {s.axis: s for s in self.sizes}
        if (budget := self.budget) is not None:
            if budget.most is not None and not self.parameters[1] <= budget.most < self.parameters[0]:
                raise ValueError("`budget.most` is not met by `parameters`, or asks for nothing")
            if any(axis in sizes and sizes[axis].after != to for axis, to in budget.chosen.items()):
                raise ValueError("`sizes` are not those that `budget.chosen` has")
        if self.decoder and not self.stack:
            raise ValueError("`decoder` stands without the `stack` of its encoder")
        if len(sizes) != len(self.sizes):
            raise ValueError("an axis stands twice in `sizes`")
        if ("layers" in sizes) < bool(self.keep) or len(self.keep) > sizes.get("layers", self.sizes[0]).after:
            raise ValueError("`keep` are not layers of the smaller model")
        for axis, groups in (("heads", self.groups), ("experts", self.routing)):
            if axis in sizes and (sizes[axis].before % groups or sizes[axis].after % groups):
                raise ValueError(f"`{'groups' if axis == 'heads' else 'routing'}` do not divide the {axis}")
        for reshape in self.reshapes:
            for cut in reshape.cuts:
                before, after = (sizes[cut.axis].before, sizes[cut.axis].after) if cut.axis in sizes else (0, 0)
                whole = cut.dim < len(reshape.shape) and reshape.shape[cut.dim] == cut.places(before)
                if not before or not whole or before % cut.blocks or after % cut.blocks:
                    raise ValueError(f"`reshapes` cut `{reshape.name[:80]}` as its shape does not allow")
        return self

    @property
    def told(self) -> str:
        """`ffn 1,536 -> 768, layers 6 -> 4`."""
        return ", ".join(f"{s.axis} {s.before:,} -> {s.after:,}" for s in self.sizes)

    @staticmethod
    def settings(config: Mapping[str, Setting]) -> dict[str, Any]:
        """`config` or `config_before` as a config.json has them."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in config.items()}

    def to(self, axis: str) -> SizePlan | None:
        """What becomes of an axis, where anything does."""
        return next((s for s in self.sizes if s.axis == axis), None)

    @property
    def stacks(self) -> dict[str, str]:
        """Paths of the layers of which some go: of an `encoder` and a `decoder`, or of no word where there is one."""
        if not self.stack:
            return {}
        return {"encoder": self.stack, "decoder": self.decoder} if self.decoder else {"": self.stack}

    @property
    def expert_stacks(self) -> tuple[str, ...]:
        """The paths of the modules whose experts go, each once."""
        paths = (r.name.rpartition(".")[0] for r in self.reshapes if len(r.shape) == 3)
        return tuple(dict.fromkeys(paths)) if self.to("experts") else ()

    def shape_of(self, reshape: ReshapePlan) -> tuple[int, ...]:
        """Of a parameter afterwards."""
        after = {s.axis: s.after for s in self.sizes}
        shorter = {c.dim: c.places(after[c.axis]) for c in reshape.cuts}
        return tuple(shorter.get(i, n) for i, n in enumerate(reshape.shape))

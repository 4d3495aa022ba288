"""How parameters are trained, apart from the schedules, and what makes a model smaller: `freeze`, `group`, `drop`, `shrink`."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Self

from pydantic import model_validator

from recipelang.kinds.budgets import Budgets
from recipelang.kinds.measures import Stretch
from recipelang.kinds.plain import LocalFile, Number, OneOf
from recipelang.kinds.schedule import ScheduleOf
from recipelang.kinds.sizes import RANKINGS, Sizes
from recipelang.kinds.tensors import LayerNumbers, Selector
from recipelang.spec.attribute import Attr, Spec, conflict, refusal
from recipelang.values import selector as sel
from recipelang.values.composite import Budget, Schedule, Size
from recipelang.values.quantities import Time

#: what a `drop` block may be named -> the stack whose layers it drops
DROPS = {"layers": "", "encoder_layers": "encoder", "decoder_layers": "decoder"}


class FreezeSpec(Spec):
    """Parameters that are not trained: no gradient, no weight decay. Masks on them stay in force."""

    LABELS = (1, 1)
    name: str
    targets: Annotated[sel.Selector, Attr(Selector(), "the parameters to freeze", example="@embeddings")]
    until: Annotated[
        Time | None,
        Attr(
            Stretch(),
            "time from the start of the stage after which they are trained; default: never",
            example="1 epoch",
        ),
    ] = None


class GroupSpec(Spec):
    """Parameters with their own learning rate or weight decay; the others use those of the stage."""

    LABELS = (1, 1)
    name: str
    targets: Annotated[sel.Selector, Attr(Selector(), "the parameters of the group", example="@bias | @norm")]
    learning_rate: Annotated[
        Schedule | None,
        Attr(
            ScheduleOf(Number(0)),
            "learning rate; must cover the whole stage; default: that of the stage",
            example="linear(8e-4 -> 0, over = start..end)",
        ),
    ] = None
    weight_decay: Annotated[
        Fraction | None,
        Attr(
            Number(0),
            "decoupled weight decay of the whole group, including norms and biases; default: that of the optimizer",
            example="0",
        ),
    ] = None

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.learning_rate is None and self.weight_decay is None:
            help = "add `learning_rate = ...` or `weight_decay = ...`"
            raise conflict("targets", "this group sets nothing", help)
        return self


class DropSpec(Spec):
    """Layers to remove before training. The remaining layers are renumbered from 0. The block is named `layers`; where
    an encoder and its decoder have layers of their own, `encoder_layers` or `decoder_layers`."""

    LABELS = (1, 1)
    name: str
    keep: Annotated[
        tuple[int, ...], Attr(LayerNumbers(), "the layers to keep, in order", example="[1, 3, 5, 7, 9, 11]")
    ]

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.name not in DROPS:
            raise conflict("", "only layers can be dropped", "write `drop layers { keep = [...] }`")
        return self


class ShrinkSpec(Spec):
    """Make the model smaller: whole neurons, heads, hidden units, experts or layers are removed; the rest keeps its values.

    In a one-shot stage, before its `prune` blocks act, or in rounds of a training stage, with training in between. What
    comes out is an ordinary model of the same type."""

    LABELS = (1, 1)
    name: str
    axes: Annotated[
        tuple[Size, ...],
        Attr(
            Sizes(),
            "what becomes smaller, and its size after it; one without a size gets its size from `budget`",
            example="[ffn -> 50%, layers -> 4]",
        ),
    ]
    budget: Annotated[
        Budget | None,
        Attr(
            Budgets(),
            "what the smaller model may have at most, or how much faster it must be: the plan chooses the sizes of the "
            "axes that have none; default: every axis has its size",
            example="parameters -> 60%",
            added=True,
        ),
    ] = None
    latencies: Annotated[
        str | None,
        Attr(
            LocalFile('the path of a file, in quotes: `"latencies.json"`'),
            "a table of measured latencies, for a budget of `speedup`: what `recipelang bench DIR --latencies FILE` wrote; "
            "its contents count, not its name",
            example='"latencies.json"',
            added=True,
        ),
    ] = None
    chosen: Annotated[
        tuple[Size, ...] | None,
        Attr(
            Sizes(),
            "the sizes that `budget` comes to, as `effective.recipe` records them; the plan refuses others (E159); "
            "default: they are not held",
            "-",
            example="[ffn -> 768]",
        ),
    ] = None
    by: Annotated[
        str,
        Attr(
            OneOf(*RANKINGS),
            "what neurons, heads, hidden units and experts are ranked by: what they add on the data (experts: REAP), their "
            "weights, or how much the loss would change without them; layers are always ranked by how much they change their input",
            example="activation",
        ),
    ] = "activation"
    multiple_of: Annotated[
        int | None,
        Attr(
            Number(1, whole=True),
            "make `ffn` and `hidden` multiples of this; default: shares are rounded to multiples of 16 where the "
            "model's size is one",
            example="64",
        ),
    ] = None
    keep: Annotated[
        sel.Selector | None,
        Attr(Selector(), "layers that are not removed; default: any may be", example="layers(0) | layers(-1)"),
    ] = None

    rounds: Annotated[
        int | None,
        Attr(
            Number(2, whole=True),
            "in a training stage: how many times units go, about as many each time, ranked anew",
            example="3",
            added=True,
        ),
    ] = None
    every: Annotated[
        Time | None,
        Attr(
            Stretch(),
            "time between two rounds, of which the first is at the start of the stage; default: an epoch",
            example="500 steps",
            added=True,
        ),
    ] = None

    @property
    def reads_data(self) -> bool:
        return RANKINGS[self.by].looks_at != "weights" or self.shortens

    @property
    def shortens(self) -> bool:
        return any(size.axis == "layers" for size in self.axes)

    @property
    def unsized(self) -> tuple[str, ...]:
        """The axes that a budget sizes."""
        return tuple(size.axis for size in self.axes if size.to is None)

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        self._budgeted()
        if self.every is not None and self.rounds is None:
            raise conflict("every", "`every` has no effect without `rounds`", "remove it, or add `rounds = 3`")
        if self.keep is not None and not self.shortens:
            raise conflict("keep", "`keep` has no effect: no layers are removed", "remove it, or add `layers -> 4`")
        if self.multiple_of is not None:
            rounded = [size for size in self.axes if size.axis in ("ffn", "hidden")]
            if not rounded:
                help = "remove it: it rounds `ffn` and `hidden`"
                raise conflict("multiple_of", "`multiple_of` has no effect on these axes", help)
            for size in rounded:
                if isinstance(size.to, int) and size.to % self.multiple_of:
                    below = size.to - size.to % self.multiple_of
                    near = f"`{below}` or `{below + self.multiple_of}`" if below else f"`{self.multiple_of}`"
                    message = f"`{size.axis} -> {size.to}` is no multiple of {self.multiple_of}"
                    raise conflict("axes", message, f"write {near}")
        return self

    def _budgeted(self) -> None:
        """A budget where axes have no sizes, and only there."""
        if self.unsized and self.budget is None:
            axis = self.unsized[0]
            help = f"write `{axis} -> 50%`, or add `budget = parameters -> 60%`"
            raise refusal("E024", "axes", f"`{axis}` has no size", help, axis)
        if self.budget is not None and not self.unsized:
            help = "remove it, or write an axis without a size: `axes = [ffn]`"
            raise conflict("budget", "every axis has its size, so `budget` chooses none", help)
        by_speed = self.budget is not None and self.budget.of == "speedup"
        if by_speed and self.latencies is None:
            axes = ",".join(size.axis for size in self.axes)
            make = f"`recipelang bench DIR --latencies latencies.json --task TASK --axes {axes}` measures one"
            help = f'{make}; then write `latencies = "latencies.json"`'
            raise refusal("E160", "budget", "a budget of `speedup` needs a table of latencies", help)
        if self.latencies is not None and not by_speed:
            help = "remove it, or write `budget = speedup -> 2`"
            raise conflict("latencies", "`latencies` has no effect without a budget of `speedup`", help)
        if self.chosen is None:
            return
        if self.budget is None:
            raise conflict("chosen", "`chosen` has no effect without a budget", "write these sizes in `axes`")
        named = tuple(size.axis for size in self.chosen)
        if named != self.unsized or any(not isinstance(size.to, int) for size in self.chosen):
            listed = ", ".join(f"{axis} -> ..." for axis in self.unsized)
            raise conflict(
                "chosen", "`chosen` is no count for each axis of the budget", f"write `[{listed}]`, or remove it"
            )

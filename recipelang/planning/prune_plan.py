"""What a plan says of a `prune` block: its targets, and every event with its zeros."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from operator import gt, lt
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from recipelang.kinds.base import Mismatch
from recipelang.methods import METHODS
from recipelang.methods.declaration import OWL, within
from recipelang.planning.plan_form import Finite, Frozen
from recipelang.storage.forms import Count, Share, Some


class Target(Frozen):
    name: str
    shape: tuple[Count, ...]
    purpose: str = Field(default="", description="embeddings, head, both (tied), pooler, or another matrix")

    @property
    def size(self) -> int:
        return prod(self.shape)


@dataclass(frozen=True, slots=True)
class PruneEvent:
    """At `STEP_START` of `step` (of `END` when it equals the stage's steps).

    A plan may hold very many, and a plain dataclass that checks itself is made ten times as fast as a model.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)
    step: Count
    sparsity: Share
    zeros: Annotated[tuple[Count, ...], Field(description="exact zeros: per target, or one total (global, owl)")]
    grown: Annotated[
        tuple[Count, ...], Field(description="of a method that takes weights back: how many are swapped, per target")
    ] = ()

    def __post_init__(self) -> None:
        try:
            least = min(self.zeros, default=0) if not self.grown else min(*self.zeros, *self.grown)
            if type(self.step) is int and self.step >= 0 <= least and 0 <= self.sparsity <= 1:
                return
        except TypeError:
            pass
        raise ValueError(f"no event has these values: {self!r}")


class DenseGroup(Frozen):
    """Parameters that a prune block leaves alone, by what they are for."""

    what: str
    tensors: Some
    weights: Count
    protected: bool = Field(description="by `never`, all of them")


def _declared(method: str) -> str:
    """One of ours, or of a plug-in that is installed."""
    try:
        return METHODS[method].name
    except (KeyError, Mismatch):
        more = " and no plug-in that is installed here has it" if "." in method else ""
        raise ValueError(f"`{method[:80]}` is none of {', '.join(f'`{n}`' for n in METHODS)}{more}") from None


class ReconstructPlan(Frozen):
    """How the remaining weights of a layer are trained once it is pruned."""

    steps: Some
    learning_rate: float = Field(gt=0, allow_inf_nan=False, description="of the first step; it falls to 0 linearly")


class PrunePlan(Frozen):
    name: str
    method: Annotated[str, AfterValidator(_declared)]
    args: dict[str, Finite | int | str | bool] = {}
    scope: Literal["uniform", "global", "row", "erk", "owl"] = "uniform"
    pattern: Literal["unstructured", "N:M", "block"] = "unstructured"
    pattern_size: tuple[Count, Count] = Field(default=(0, 0), description="N and M, or rows and columns of a block")
    ties: Literal["first", "sparseml_1"] = Field(default="first", description="which of equal scores are pruned")
    order: Literal["sequential", "parallel"] = Field(
        default="sequential", description="one shot: whether a layer's inputs come from pruned or from dense layers"
    )
    reconstruct: ReconstructPlan | None = None
    targets: tuple[Target, ...]
    never: tuple[str, ...] = Field(default=(), description="tensors that must gain no zeros and no mask")
    dense: tuple[DenseGroup, ...] = ()
    events: tuple[PruneEvent, ...] = Field(default=(), description="none for `hold` and `release`")
    scoring: Count = Field(default=0, description="peak bytes that the method needs besides weights and masks")
    held: tuple[Count, ...] = Field(
        default=(), description="of `hold`: the zeros that each target came with; none where only the run can tell"
    )
    at_least: bool = Field(
        default=False,
        description="targets were shrunk with their masks: what these hold beyond an event's zeros stays",
    )
    passes: Some = Field(
        default=1, description="number of parts into which oBERT divides the targets so that its matrices fit"
    )

    @model_validator(mode="after")
    def _counts(self) -> Self:
        """Zeros of every event fit into the targets, and events are in their order."""
        sizes = [t.size for t in self.targets]
        most = [sum(sizes)] if self.together else sizes
        every = {"zeros": [e.zeros for e in self.events], "grown": [e.grown for e in self.events if e.grown]}
        for name, found in every.items():  # by columns: there may be very many rows
            if any(len(counts) != len(most) for counts in found) or any(
                map(gt, map(max, zip(*found, strict=True)), most)
            ):
                raise ValueError(f"`{name}` of an event are not those of its targets")
        steps = [e.step for e in self.events]
        if not all(map(lt, steps, steps[1:])):
            raise ValueError("`events` are not in order of their steps")
        if self.held and (
            len(self.held) != len(sizes) or any(n > size for n, size in zip(self.held, sizes, strict=True))
        ):
            raise ValueError("`held` do not match its targets")
        m, n = self.pattern_size
        if not {"unstructured": m == n == 0, "N:M": 0 < m <= n, "block": m > 0 and n > 0}[self.pattern]:
            raise ValueError("`pattern_size` is not of its pattern")
        if self.scope == "owl" and not {*(a.name for a in OWL.arguments)} <= self.args.keys():
            raise ValueError("`args` lack those of `owl`")
        if self.reconstruct is not None and (METHODS[self.method].looks_at != "inputs" or self.order != "sequential"):
            raise ValueError("only layers that are pruned one after another are reconstructed")
        if METHODS[self.method].scheduled != bool(self.events):
            raise ValueError(f"`{self.method}` {'has' if self.events else 'needs'} events")
        return self

    @property
    def together(self) -> bool:
        """Whether an event has one total, and how it falls on the targets is found out in the run."""
        return self.scope in ("global", "owl")

    @property
    def inner(self) -> str:
        """What is ranked together in a matrix whose zeros are known."""
        return within(METHODS[self.method], self.pattern) if self.scope == "owl" else self.scope

    @property
    def final(self) -> float:
        """The sparsity it ends with."""
        return self.events[-1].sparsity if self.events else 0.0

"""What of a plan its claims about size and speed are measured by."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from recipelang.kinds.formats import FORMATS, RUNTIMES, WEIGHTS, quantized_from
from recipelang.spec.figures import BASE, NAMES, OF_STAGES, TIMES, Figure
from recipelang.storage.forms import Count, known


class FigurePlan(BaseModel):
    """A figure that a claim names. Its numbers are 0 where it has no such setting."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: Annotated[str, known(*NAMES)]
    format: Annotated[str, known("", WEIGHTS, *RUNTIMES)] = Field(
        default="", description="whose files; of a time, what runs the model"
    )
    of: str = Field(default="", description="the stage of a measured path, such as `stage.dense.params`")
    over: str = Field(default="", description="of a speedup: `stage.NAME`, or `base`")
    batch: Count = 0
    length: Count = 0
    threads: Count = 0
    base: bool = Field(default=False, description="of the model as it came: `base.params`")
    planned: tuple[Count, Count] | None = Field(
        default=None, description="the least and the most that it can be, where the plan knows"
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        timed = self.name in TIMES
        if (timed and self.format not in RUNTIMES) or (self.name == "size" and self.format not in (WEIGHTS, *FORMATS)):
            raise ValueError("`format` is not of this figure")
        of_another = bool(self.of or self.base)
        if (of_another and self.name not in OF_STAGES) or (self.name == "speedup") != bool(self.over):
            raise ValueError("`of` or `over` is not of this figure")
        counted = timed or self.name == "flops"
        if not counted == bool(self.batch) == bool(self.length) or timed != bool(self.threads):
            raise ValueError("`batch`, `length` and `threads` are not of this figure")
        if self.of and self.base:
            raise ValueError("`of` and `base` are of two models")
        if self.planned and self.planned[0] > self.planned[1]:
            raise ValueError("`planned` has its least above its most")
        return self

    @property
    def figure(self) -> Figure:
        return Figure(self.name, self.format, self.of, self.over, self.batch, self.length, self.threads, self.base)

    @property
    def text(self) -> str:
        return self.figure.text

    @property
    def timed(self) -> bool:
        return self.name in TIMES

    @property
    def reference_in(self) -> str:
        """What runs the reference: it is not quantized, for that is part of what made the result faster."""
        return quantized_from(self.format)

    @property
    def reference(self) -> str:
        """Of a speedup, the stage whose model is the reference; empty for the model that the run starts with."""
        return "" if self.over == BASE else self.over.removeprefix("stage.")

"""What a plan says of a `harness` block."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from recipelang.planning.plan_form import Frozen
from recipelang.spec.harness import HARNESS_METRICS
from recipelang.storage.forms import Count, Some, known

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


class HarnessPlan(Frozen):
    """A task of lm-eval, as its file was when it was planned."""

    name: str
    task: str = Field(description="its name in the file")
    file: str
    digest: Digest
    data: dict[str, Digest] = Field(description="files of its data -> their digests")
    metrics: tuple[Annotated[str, known(*HARNESS_METRICS)], ...] = Field(min_length=1)
    few_shot: Count | None = None
    samples: Some | None = Field(default=None, description="use only the first N; none: all")
    batch: Some = 8

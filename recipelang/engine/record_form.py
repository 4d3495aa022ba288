"""`run.json` as it is read back: what the page, a study, `resume` and `verify` take from it, typed.

What else a record holds is kept as it is: later releases may write more.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from recipelang.engine.position import Session

Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0)]


class _Form(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="allow", allow_inf_nan=False)


class ClaimForm(_Form):
    kind: Literal["expect", "prefer"]
    text: str
    expected: str
    measured: str
    met: bool | None


class SparsityForm(_Form):
    targets: Share
    all_parameters: Share
    tensors: dict[str, Share] = {}


class NeverForm(_Form):
    tensors: Annotated[int, Field(ge=0)]
    gained_zeros: dict[str, int] = {}


class RecordForm(_Form):
    format_version: Literal["1.0"] = "1.0"
    status: Literal["running", "interrupted", "failed", "finished"]
    recipe: str = ""
    rehearsal: Annotated[int, Field(ge=1)] | None = None
    digests: dict[str, str] = {}
    seed: int = 0
    time: str = ""
    environment: dict[str, str | int | float | bool | dict[str, str] | list[str] | None] = {}
    sessions: list[Session] = []
    error: list[str] = []
    metrics: dict[str, float] = {}
    seconds: dict[str, Seconds] = {}
    sparsity: SparsityForm | None = None
    never: NeverForm | None = None
    claims: list[ClaimForm] = []

"""`run.json` as it is read back: what the page, a study, `resume` and `verify` take from it, typed.

What else a record holds is kept as it is: later releases may write more.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from recipelang.engine.position import Best, Scaled, Session, StreamRead
from recipelang.engine.speeds import SpeedForm
from recipelang.storage.forms import Count, OpenForm, Share, Some

Seconds = Annotated[float, Field(ge=0)]
Environment = dict[str, str | int | float | bool | dict[str, str] | list[str] | None]


class ClaimForm(OpenForm):
    kind: Literal["expect", "prefer"]
    text: str
    expected: str
    measured: str
    met: bool | None


class SparsityForm(OpenForm):
    targets: Share
    all_parameters: Share
    tensors: dict[str, Share] = {}


class NeverForm(OpenForm):
    tensors: Count
    gained_zeros: dict[str, Some] = {}


class ExportedForm(OpenForm):
    """A format that a run exported its model to; `error` where that failed."""

    bytes: Count = 0
    largest_difference: Seconds | None = None
    error: str = ""


class RecordForm(OpenForm):
    format_version: Literal["1.0"] = "1.0"
    status: Literal["running", "interrupted", "failed", "finished"]
    recipe: str = ""
    rehearsal: Some | None = None
    digests: dict[str, str] = {}
    seed: int = 0
    time: str = ""
    environment: Environment = {}
    sessions: list[Session] = []
    error: list[str] = []
    metrics: dict[str, float] = {}
    seconds: dict[str, Seconds] = {}
    parts: dict[str, Seconds] = {}
    sparsity: SparsityForm | None = None
    never: NeverForm | None = None
    scores_reused: dict[str, list[str]] = {}
    few_tokens: dict[str, dict[str, Count]] = {}
    reconstructed: dict[str, dict[str, list[Seconds]]] = {}
    layer_sparsity: dict[str, dict[str, Share]] = {}
    fp16: dict[str, Scaled] = {}
    best: dict[str, Best] = {}
    stopped: dict[str, Some] = {}
    streams: dict[str, StreamRead] = {}
    claims: list[ClaimForm] = []
    exports: dict[str, ExportedForm] = {}
    figures: dict[str, Seconds] = {}  # sizes and speeds, by the texts of claims
    speeds: list[SpeedForm] = []

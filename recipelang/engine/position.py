"""Where a run is: what `state.json` of a checkpoint holds, and what of it must agree with the plan."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from recipelang.methods import METHODS
from recipelang.planning.sliced import left
from recipelang.planning.types import Plan
from recipelang.storage.forms import Count, Digest, Form, Hex, Share, Some

#: of the files of a checkpoint; one that an earlier release wrote is refused
FORMAT = 2

#: an infinite perplexity is written as a text: JSON has no word for it
Measured = Annotated[float, BeforeValidator(lambda v: float(v) if v in ("Infinity", "-Infinity", "NaN") else v)]


#: of a session's environment: words, and words by name, to the settings of a stage
Word = str | bool


class Session(Form):
    """One start of a run, the first or a resume: what decided its bits, and what was claimed of its result."""

    started: str
    stage: Count = 0
    step: Count = 0
    environment: dict[str, Word | dict[str, Word | dict[str, Word]]]
    spec: Digest
    claims: list[str] = []


def differences(before: Mapping[str, Any], now: Mapping[str, Any], under: str = "") -> list[str]:
    """What decides the bits of a session that is not as it was in another, in words.

    >>> differences({"threads": "1", "variables": {}}, {"threads": "4", "variables": {"MKL_CBWR": "AVX2"}})
    ['threads: 1 before, 4 now', 'variables MKL_CBWR: unset before, AVX2 now']
    """
    told = []
    for name in sorted({*before, *now}):
        old, new = before.get(name), now.get(name)
        if all(v is None or isinstance(v, dict) for v in (old, new)):
            told += differences(old or {}, new or {}, f"{under}{name} ")
        elif old != new:
            shown = ("unset" if v is None else str(v) for v in (old, new))
            told.append("{}{}: {} before, {} now".format(under, name, *shown))
    return told


def environments(sessions: Sequence[Session]) -> list[dict[str, Any]]:
    """For the run digest: the environment of each part of the run, with where it began; one for a run of one kind."""
    found: list[dict[str, Any]] = []
    for one in sessions:
        if found and (one.stage, one.step) == (found[-1]["stage"], found[-1]["step"]):
            found.pop()  # it left nothing
        if not found or one.environment != found[-1]["environment"]:
            found.append({"stage": one.stage, "step": one.step, "environment": one.environment})
    return [
        {**part, "stage": str(part["stage"]), "step": str(part["step"])} if i else {"environment": part["environment"]}
        for i, part in enumerate(found)
    ]


class StreamPosition(Form):
    """Where a stream is read on: the portion that the next row is of, and what was read until then."""

    passes: Count = Field(default=0, description="passes that are over")
    shard: Count = Field(default=0, description="where it begins: a number in the pass's order of shards")
    record: Count = Field(default=0, description="and a record of that shard")
    portion: Count = Field(default=0, description="portions before it")
    records: Count = Field(default=0, description="records before it, of all passes")
    size: Count = Field(default=0, description="its records")
    taken: Count = Field(default=0, description="its rows that steps have drawn")
    digest: Hex = Field(description="of the model inputs before it")
    here: Hex | None = Field(default=None, description="of these and its own")


class StreamRead(Form):
    """What a stage read of a stream: portions that were begun are counted whole."""

    passes: Some
    records: Count
    digest: Digest

    @classmethod
    def until(cls, at: StreamPosition) -> StreamRead:
        return cls(passes=at.passes + 1, records=at.records + at.size, digest=f"sha256:{at.here or at.digest}")


class Scaled(Form):
    """How a stage in fp16 went."""

    skipped: Count = Field(description="steps that changed nothing, for an overflow")
    scale: Annotated[float, Field(ge=1)] = Field(description="of the loss, after its last step")


class Best(Form):
    """The best of what a stage has measured since its target was reached."""

    path: str = Field(description="the evaluation and its metric")
    step: Some = Field(description="after which it was measured")
    value: Measured


class Wait(Form):
    """Of a stage that may stop early: the best value so far, and measurements since then."""

    value: Measured
    count: Count = 0


class Position(Form, frozen=False):
    """Where the run goes on: the next step of a stage, and what was measured until then."""

    behaviour: Digest
    stage: Count = 0
    step: Count = 0
    metrics: dict[str, Measured] = {}
    seconds: dict[str, Measured] = {}
    figures: dict[str, Measured] = Field(default={}, description="sizes of the models that stages left, if claimed")
    zeros_at_start: dict[str, Count] = {}
    stage_models: dict[str, Digest] = Field(
        default={}, description="of stages whose model is kept, the digest of what they left"
    )
    few_tokens: dict[str, dict[str, Count]] = Field(
        default={}, description="of one-shot stages, the experts that too few tokens of calibration reached"
    )
    layer_sparsity: dict[str, dict[str, Share]] = Field(
        default={}, description="of blocks with `owl`, as `stage.block`, the share of zeros that each layer was given"
    )
    reconstructed: dict[str, dict[str, tuple[Measured, Measured]]] = Field(
        default={},
        description="of blocks with `reconstruct`, as `stage.block`, the error of each layer before and after",
    )
    scores_reused: dict[str, list[str]] = Field(
        default={}, description="of `shrink` blocks, as `stage.block`, the axes ranked by scores of an earlier pass"
    )
    layers_kept: dict[str, list[Count]] = Field(
        default={},
        description="of `shrink` blocks, as `stage.block`, or `stage.block.encoder`, the layers that are left",
    )
    sessions: list[Session] = []
    unmeasured: list[str] = Field(
        default=[], description="evaluations that were still to be made where a signal stopped the run"
    )
    stream: StreamPosition | None = Field(default=None, description="inside a stage that reads one")
    fp16: dict[str, Scaled] = Field(default={}, description="stage -> the scale of its loss")
    best: dict[str, Best] = Field(default={}, description="stages that keep their best weights -> when they were those")
    waits: dict[str, Wait] = Field(default={}, description="stages that may stop early -> what they wait for")
    stopped: dict[str, Some] = Field(default={}, description="stages that stopped early -> after how many steps")
    streams: dict[str, StreamRead] = Field(default={}, description="stage -> what it has read so far")


class Saved(Position):
    """A position as it lies in a checkpoint, with the random state of Python."""

    format: Literal[2]
    python: tuple[Literal[3], Annotated[list[Count], Field(min_length=625, max_length=625)], float | None]


def saved(position: Position) -> str:
    version, numbers, gauss = random.getstate()
    body = Saved(**position.model_dump(), format=FORMAT, python=(version, list(numbers), gauss))  # type: ignore[arg-type]
    return body.model_dump_json()


def misplaced(position: Position, plan: Plan) -> str | None:
    """Why a position is none of this plan, if it is not."""
    if position.stage > len(plan.stages):
        return f"it is at stage {position.stage}, but the plan has {len(plan.stages)}"
    here = plan.stages[position.stage] if position.stage < len(plan.stages) else None
    if position.step > (here.steps if here is not None else 0):
        return f"it is at step {position.step:,} of a stage of {here.steps if here is not None else 0:,}"
    streamed = any(d.label == here.data and d.streamed for d in plan.data) if here is not None else False
    if (position.stream is not None) != (streamed and position.step > 0):
        return "it does not say where the stage's data go on, or says so of data that are no stream"
    if position.zeros_at_start.keys() != set(plan.never):
        return "it counts zeros of tensors that are not protected"
    taught = {
        d.teacher.removeprefix("stage.") for s in plan.stages for d in s.distills if d.teacher.startswith("stage.")
    }
    if not {s.name for s in plan.stages[: position.stage]} & taught <= position.stage_models.keys():
        return "it does not record the models its stages left as teachers"
    for name, best in position.best.items():
        kept = next((s for s in plan.stages[: position.stage + 1] if s.name == name and s.best is not None), None)
        done = position.step if kept is here else plan.until(kept) if kept is not None else 0
        if kept is None or kept.best is None or kept.best.path != best.path or not kept.best.since <= best.step <= done:
            return f"it names weights of stage `{name[:80]}` that no measurement chose"
    for name in (*position.waits, *position.stopped):
        kept = next((s for s in plan.stages[: position.stage + 1] if s.name == name and s.stop is not None), None)
        after = position.stopped.get(name)
        if kept is None or kept.stop is None or position.waits.get(name) is None:
            return f"it says that stage `{name[:80]}` waits, which the plan does not"
        if (after is not None) != (position.waits[name].count >= kept.stop.patience):
            return f"stage `{name[:80]}` has not waited as long as it says"
        if after is not None and (
            after not in kept.stop.counted(kept.steps) or (kept is here and after != position.step)
        ):
            return f"stage `{name[:80]}` cannot have stopped after step {after:,}"
    if not position.sessions:
        return "it does not record which version wrote it"
    return None


def masked(plan: Plan, position: Position) -> set[str]:
    """The parameters that have a mask there: those of every event before, unless they were released since."""
    found: set[str] = set()
    for stage in plan.stages[: position.stage + 1]:
        whole = plan.until(stage)
        done = position.step if stage.index == position.stage else whole
        if stage.index == position.stage and done == 0:
            break
        for shrink in stage.shrunk(done) if stage.index == position.stage else stage.shrinks:
            found = {*left(shrink, found)}
        for prune in stage.prunes:
            names = {t.name for t in prune.targets}
            if METHODS[prune.method].masks == "releases":
                found -= names
            elif (
                METHODS[prune.method].masks == "keeps"
                or any(e.step < done for e in prune.events)
                or (stage.index < position.stage and whole == stage.steps and prune.events)
            ):
                found |= names
    return found

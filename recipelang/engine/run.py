"""A plan from its first step to its record: `engine/stages.py` has what a stage does, `engine/finish.py` the end."""

from __future__ import annotations

import re
import time
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path

from torch import nn

from recipelang import processes
from recipelang.engine import checkpoint
from recipelang.engine.clock import Clock
from recipelang.engine.course import Course, Marked
from recipelang.engine.event_log import Curves, EventLog
from recipelang.engine.files import only_one
from recipelang.engine.finish import Judge, finish
from recipelang.engine.leavings import check_no_links
from recipelang.engine.models import is_out_of_memory, load_model, ready
from recipelang.engine.offload import offloaded
from recipelang.engine.position import Session
from recipelang.engine.records import Interrupted, Reporter, Result, Several
from recipelang.engine.sessions import earlier, reclaimed, resumed, session, told_claims
from recipelang.engine.shrink import empty_like
from recipelang.engine.sources import unchanged
from recipelang.engine.stage_end import make_up_for
from recipelang.engine.stages import one_shot_stage, train_stage
from recipelang.methods import METHODS
from recipelang.modifiers.prune import code_of, fits_shards
from recipelang.planning.layers import Keep
from recipelang.planning.similarity import compares_batches
from recipelang.planning.types import ModelPlan, Plan
from recipelang.source import Diagnostic, RecipeError, fail
from recipelang.storage.writing import sweep


def execute(
    plan: Plan,
    out: Path,
    reporter: Reporter,
    judge: Judge,
    *,
    resume: bool = False,
    shard: bool = False,
    offload: bool = False,
    exact: bool = False,
    held: bool = False,
    written: Plan | None = None,
    marked: Marked = lambda stage, modifiers: modifiers,
    clock: Clock | None = None,
) -> Result:
    """Run a plan into a prepared folder, or continue from its newest good checkpoint.

    `exact`: refuse to resume where other bits could come out. `held`: the caller has locked the folder. `written`: the
    plan of the start before this one. `marked`: what acts in a stage, with more; `clock`: told where the time goes.
    Raises `RecipeError` with a code, or `Interrupted` after a signal.
    """
    with only_one(out) if processes.main() and not held else nullcontext():
        if processes.main():
            check_no_links(out)
            for folder in (out, out / "recipe", out / "checkpoints", out / "stages"):
                sweep(folder)
        run = Course(plan, out, reporter, shard, offload, marked, clock)
        try:
            with run.stop:
                try:
                    return _go(run, judge, resume, exact, written or plan)
                except BaseException as error:
                    run.leave(error)
                    raise
        except Interrupted:
            _note(run, "interrupted", {})
            raise
        except RecipeError as error:
            run.check_place()
            _note(run, "failed", {"error": [f"{d.code}: {d.message}" for d in error.diagnostics]})
            raise _with_last_good(run, error) from None
        except Exception as error:
            run.check_place()
            if is_out_of_memory(error):
                raise _out_of_memory(run) from None
            if processes.is_gone(error):
                raise _with_last_good(run, processes.gone(error)) from None
            _note(run, "failed", {"error": [f"{type(error).__name__}: {error}"]})
            raise


def _go(run: Course, judge: Judge, resume: bool, exact: bool, written: Plan) -> Result:
    """From the model as it is loaded, or its newest checkpoint, through all stages to the end."""
    plan = run.plan
    for method in {p.method: METHODS[p.method] for s in plan.stages for p in s.prunes}.values():
        code_of(method)  # E205 now, not after hours in a later stage
    started = time.monotonic()
    past = earlier(run.out) if resume else []
    run.position.sessions = [*past, _session(run)]
    if not resume:
        run.record("running", {})
    with run.clock.part("check"):
        unchanged(plan)
    with run.clock.part("load"):
        if run.offload:
            run.disk = offloaded(plan, run.device, run.checkpoints / "layers", run.out)
            run.model, run.masks.shelf = run.disk.model, run.disk
        else:
            first = _first(plan)
            run.model = run.in_shards(*first) if run.shard else load_model(*first).to(run.device)
    if run.shard and (smaller := next((s.name for s in plan.stages if s.shrinks), None)):
        help = "give every process a full copy: remove `--shard`"
        raise fail("E055", f"this release does not shrink a sharded model, as stage `{smaller}` does", help=help)
    if run.shard and (small := next((s.name for s in plan.stages if s.adapters), None)):
        help = "give every process a full copy: remove `--shard`"
        raise fail("E055", f"this release has no adapters on a sharded model, as stage `{small}` does", help=help)
    if run.shard and plan.harnesses:
        help = "give every process a full copy: remove `--shard`"
        raise fail("E055", "this release does not measure tasks of lm-eval with a sharded model", help=help)
    if run.shard:
        for prune in (p for s in plan.stages for p in s.prunes):
            fits_shards(prune, dict(run.model.named_parameters()))
    loaded = _newest(run, exact) if resume else None
    if loaded is not None:
        _continue(run, loaded, exact)
    else:
        run.position.zeros_at_start = run.zeros(plan.never)
    if resume and loaded is None:
        _begin_again(run, written)
    if resume:
        run.record("running", {})
    _open_log(run, resume)
    if loaded is None:
        _measure_dense(run)
    elif make_up_for(run, loaded):
        loaded = None  # the model is as the stage before left it
    for stage in plan.stages[run.position.stage :]:
        one = one_shot_stage if stage.mode == "one_shot" else train_stage
        one(run, stage, loaded)
        loaded = None
    if loaded is not None:  # every stage was done before the interruption
        checkpoint.restore(loaded, run.model, run.masks, None)
    with run.clock.part("end"):
        return finish(run, judge, started)


def _first(plan: Plan) -> tuple[Path, ModelPlan, int, tuple[str, ...], Keep | None]:
    """The model that the first stage starts from, as `load_model` takes it."""
    keep = None if plan.model.drop is None else plan.model.drop.kept
    return Path(plan.model.path), plan.model, plan.seed, plan.model.redrawn, keep


def _session(run: Course) -> Session:
    return session(run.plan, run.around, run.device.type, run.position)


def _newest(run: Course, exact: bool) -> checkpoint.Loaded | None:
    """The newest checkpoint that is whole; a damaged one is named and passed over. The model becomes as large as it is."""
    whole = run.model
    there = checkpoint.newest_first(run.checkpoints) if run.disk is None else []  # one would be read whole
    for path in processes.first(there):
        run.model = _as_large(whole, run.plan, path)
        try:
            return checkpoint.load(path, run.plan, run.model)
        except checkpoint.Damaged as why:
            run.reporter.message(f"the checkpoint `{path.name}` is damaged; the previous checkpoint is used: {why}")
    run.model = whole
    if exact:
        raise fail("E196", "this run has no usable checkpoint to continue from", help="resume without `--exact`")
    run.reporter.message("no checkpoint is usable, so the run starts again")
    return None


def _as_large(model: nn.Module, plan: Plan, path: Path) -> nn.Module:
    """A model of the sizes that it has in a checkpoint of this name, whose contents are judged later."""
    named = re.fullmatch(r"stage-(\d+)-step-(\d+)", path.name)
    at, step = map(int, named.groups()) if named else (0, 0)
    shrinks = [s for stage in plan.stages[:at] for s in stage.shrinks]
    shrinks += [s for stage in plan.stages[at : at + 1] for s in stage.shrunk(step)]
    for shrink in shrinks:
        model = empty_like(model, shrink)
    return ready(model, plan.model) if shrinks else model


def _continue(run: Course, loaded: checkpoint.Loaded, exact: bool) -> None:
    """Go on from there, and say what is not as it was."""
    run.position = loaded.position
    now = _session(run)
    run.reporter.found(resumed(run.position.sessions[-1], now, exact=exact))
    run.position.sessions.append(now)


def _begin_again(run: Course, written: Plan) -> None:
    """Nothing is left of what earlier starts did but what they claimed."""
    now = run.position.sessions[-1]
    run.position.sessions = [s for s in run.position.sessions if (s.stage, s.step) == (now.stage, now.step)]
    run.reporter.found(reclaimed(written.spec_digest, told_claims(written), now))


def _open_log(run: Course, resume: bool) -> None:
    if not processes.main():
        return
    done = sum(s.steps for s in run.plan.stages[: run.position.stage]) + run.position.step
    log = EventLog(run.out / "tensorboard", resumed_at=done + 1 if resume else 0)
    run.reporter = Several(run.reporter, Curves(run.plan, log))


def _measure_dense(run: Course) -> None:
    """What `compare = dense` asks for: the model that the first stage starts from."""
    for evaluation in (e for e in run.plan.evaluations if e.dense):
        for metric, value in run.measure(evaluation, None).items():
            run.position.metrics[f"{evaluation.name}.dense.{metric}"] = value


# ---------------------------------------------------------------------- failure
def _note(run: Course, status: str, more: dict) -> None:  # type: ignore[type-arg]
    """`record` on the way out of a failure, which must not hide that failure."""
    with suppress(RecipeError):
        run.check_place()  # another folder of that name is not written to
        run.record(status, more)


#: of data that fail inside a stage
_OF_STREAMS = ("E074", "E075", "E211", "E213", "E217", "E218")


def _with_last_good(run: Course, error: RecipeError) -> RecipeError:
    """Say what is left after a loss that is not finite, or a write that failed."""
    newest = checkpoint.newest_first(run.checkpoints)[:1]

    def told(d: Diagnostic) -> Diagnostic:
        if d.code not in ("E082", "E084", "E088", "E171", "E187", *_OF_STREAMS) or not newest:
            return d
        again = f"; `recipelang resume {run.out}` continues from it" if d.code not in ("E082", "E171", "E187") else ""
        mend = "files of a stream must keep their sizes: to skip a line of `.jsonl`, overwrite it with spaces"
        more = [mend] if d.code in ("E074", "E075") and any(data.streamed for data in run.plan.data) else []
        return replace(d, notes=(*d.notes, *more, f"the last good checkpoint is `{newest[0].name}`{again}"))

    return RecipeError([told(d) for d in error.diagnostics])


def _out_of_memory(run: Course) -> RecipeError:
    _note(run, "failed", {"error": ["E081: out of memory"]})
    return fail("E081", "out of memory", help=_less_memory(run))


def _less_memory(run: Course) -> str:
    """What takes less of it where it ran out: loading, an evaluation, or a stage."""
    if not hasattr(run, "model"):
        return "use a machine with more memory, or `dtype = bf16` in `model`: half the weights' memory"
    if run.measuring is not None and run.measuring.batch > 1:
        name, batch = run.measuring.name, run.measuring.batch
        return f"set `batch` of `evaluate {name}` below {batch}: the same metrics in less memory"
    stage = run.plan.stages[min(run.position.stage, len(run.plan.stages) - 1)]
    whole = compares_batches(run.plan, stage) or any(t.kind == "squarehead" for d in stage.distills for t in d.terms)
    if stage.micro_batch > 1 and not whole:
        return f"set `micro_batch` of stage `{stage.name}` below {stage.micro_batch}: the same steps in less memory"
    if stage.steps and not stage.activation_checkpointing and run.model.supports_gradient_checkpointing:
        return f"set `activation_checkpointing = true` in stage `{stage.name}`: the same steps in less memory"
    return "use a machine with more memory, or a smaller `max_length`"

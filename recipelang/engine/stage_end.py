"""What is measured and kept when a stage ends, and inside it; what a signal left unmeasured is made up for."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import torch

from recipelang import processes
from recipelang.engine import checkpoint, export
from recipelang.engine.attention_maps import show_maps
from recipelang.engine.best import judges, note
from recipelang.engine.course import Course
from recipelang.engine.figures import at_stage
from recipelang.engine.records import Interrupted
from recipelang.engine.teachers import left_by
from recipelang.modifiers.distill import asked
from recipelang.planning.facts import model_digest
from recipelang.planning.types import EvaluatePlan, StagePlan


def end_stage(run: Course, stage: StagePlan, seconds: float) -> None:
    """Measured last: where a signal stops the evaluations, all else of the stage is done, and the checkpoint says so."""
    run.check_place()
    run.position.seconds[stage.name] = seconds
    run.reporter.stage_ended(stage, seconds)
    at_stage(run, stage)
    if stage.name in run.plan.kept_stages:
        _keep_model(run, stage)
    run.position.stage, run.position.step, run.position.stream = stage.index + 1, 0, None
    run.kept()
    _measure_and_keep(run, stage, run.plan.evaluations)


def make_up_for(run: Course, loaded: checkpoint.Loaded) -> bool:
    """The evaluations at the end of a stage that a signal left unmeasured; whether there were any.

    The model of the checkpoint is then the run's own.
    """
    left = _unmeasured(run)
    if not left or run.position.step:
        return False
    stage = run.plan.stages[run.position.stage - 1]
    checkpoint.restore(loaded, run.model, run.masks, None)
    show_maps(run.model, any("output_attentions" in asked(d) for d in stage.distills))  # as the stage left them
    _measure_and_keep(run, stage, left)
    return True


def measure_inside(run: Course, stage: StagePlan, step: int, evaluations: Sequence[EvaluatePlan]) -> int:
    """After a step, which draws its random numbers as if nothing were measured. The signal that stopped it, or 0."""
    random_state = torch.get_rng_state()
    run.position.unmeasured = [e.name for e in evaluations]
    try:
        for evaluation in evaluations:
            with nullcontext() if run.average is None else run.average.shown(run.model):
                note(run, stage, evaluation, step, run.measure(evaluation, stage, step))
            run.position.unmeasured.remove(evaluation.name)
    except Interrupted as stopped:
        return stopped.signal
    finally:
        torch.set_rng_state(random_state)
    return 0


def make_up_inside(run: Course, stage: StagePlan) -> None:
    """What a signal left unmeasured after the step that the checkpoint is of."""
    left = _unmeasured(run)
    if stopped := measure_inside(run, stage, run.position.step, left) if left else 0:
        raise Interrupted(stopped, run.checkpoints)


def inside(run: Course, stage: StagePlan, step: int, until: int) -> list[EvaluatePlan]:
    """What is evaluated after so many steps of a stage; after the last one, what decides which weights it leaves."""
    if step >= until:
        return [e for e in run.plan.evaluations if judges(stage.best, e, step)]
    every = ((e, e.every.get(stage.name)) for e in run.plan.evaluations)
    return [e for e, n in every if n and step % n == 0]


def _unmeasured(run: Course) -> list[EvaluatePlan]:
    """Those that the recipe still has."""
    return [e for e in run.plan.evaluations if e.name in run.position.unmeasured]


def _measure_and_keep(run: Course, stage: StagePlan, evaluations: Sequence[EvaluatePlan]) -> None:
    run.position.unmeasured = [e.name for e in evaluations]
    stopped: Interrupted | None = None
    try:
        for evaluation in evaluations:
            for metric, value in run.measure(evaluation, stage).items():
                run.position.metrics[f"stage.{stage.name}.{evaluation.name}.{metric}"] = value
                run.position.metrics[f"{evaluation.name}.{metric}"] = value
            run.position.unmeasured.remove(evaluation.name)
    except Interrupted as signalled:
        stopped = signalled
    if run.disk is not None:  # what was pruned is on disk already
        run.disk.tidy()
    else:
        with run.clock.part("checkpoints"):
            checkpoint.save(run.checkpoints, run.position, run.model, run.masks, None, stage.keep)
    if stopped is not None:
        raise stopped


def _keep_model(run: Course, stage: StagePlan) -> None:
    """For a later stage whose teacher it is, or for a claim that compares with it."""
    folder = left_by(run, stage.name)
    with run.clock.part("checkpoints"):
        export.save_model(
            run.model,
            folder,
            Path(run.plan.model.path),
            run.plan.export.max_shard,
            run.stamp(),
            run.plan.model.task,
        )
    processes.wait()  # the others read it
    run.position.stage_models[stage.name] = model_digest(folder)

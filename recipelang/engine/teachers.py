"""The teachers of a stage: another model, or what an earlier stage left; run beside the student, or once and kept."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from recipelang.engine.attention_maps import show_maps
from recipelang.engine.course import Course
from recipelang.engine.models import load_model
from recipelang.engine.order import drawn, order_seed
from recipelang.engine.sources import same_model
from recipelang.engine.teacher_cache import Kept, Wanted, teacher_outputs
from recipelang.modifiers.distill import Running, Teacher, asked
from recipelang.planning.facts import model_digest
from recipelang.planning.types import DistillPlan, StagePlan
from recipelang.tasks.mixture import Mixed


def teachers_of(run: Course, stage: StagePlan) -> list[Teacher]:
    """As the stage's `distills`."""
    return [_kept(run, stage, d) if d.cache else _running(run, d) for d in stage.distills]


def _running(run: Course, d: DistillPlan) -> Running:
    model = _teacher(run, d)
    show_maps(model, "output_attentions" in asked(d))
    return Running(model, asked(d), labels=not run.task.labels)


def _kept(run: Course, stage: StagePlan, d: DistillPlan) -> Kept:
    """The teacher's outputs beside the checkpoints: kept as long as a resumed run may need them."""
    data = run.data_of(stage.data)
    _, features = run.split(data, "train")
    named = [run.task.outputs if t.output == "logits" else (t.output,) for t in d.terms]
    wanted = Wanted(
        teacher=model_digest(_teacher_folder(run, d)),
        features=features,
        per_token=run.task.per_token,
        rows=drawn(
            stage,
            len(features),
            data.shuffle,
            order_seed(stage, data),
            run.plan.until(stage),
            features.lengths if data.group_by_length else None,
            features.mixture if isinstance(features, Mixed) else None,
        ),
        outputs=tuple(sorted({name for names in named for name in names})),
        kept=d.cache or "fp16",
        precision=stage.precision,
    )
    with run.clock.part("teacher"):
        return teacher_outputs(
            run.checkpoints / "teacher",
            wanted,
            lambda: _teacher(run, d),
            run.autocast(stage.precision),
            stage.micro_batch,
            run.obey,
            run.reporter.message,
        )


def _teacher(run: Course, d: DistillPlan) -> nn.Module:
    """In shards where the student is: every process then asks it as often, for as many batches."""
    plan = run.plan.model if d.pooling is None else run.plan.model.model_copy(update={"pooling": d.pooling})
    with run.clock.part("load"):
        given = _teacher_folder(run, d), plan, run.plan.seed
        return run.in_shards(*given) if run.shard else load_model(*given).to(run.device)


def _teacher_folder(run: Course, d: DistillPlan) -> Path:
    """E195 when it does not hold the teacher that was planned, or that a stage left."""
    if not d.teacher.startswith("stage."):
        same_model(Path(d.teacher), d.teacher_digest, f"the teacher `{d.teacher_ref}`")
        return Path(d.teacher)
    name = d.teacher.removeprefix("stage.")
    folder = left_by(run, name)
    same_model(folder, run.position.stage_models[name], f"the model at the end of stage `{name}`")
    return folder


def left_by(run: Course, name: str) -> Path:
    """Where a stage whose model is kept leaves it."""
    return run.out / "stages" / name

"""What acts in a stage, in the order of the plan: the same in a run and in somebody else's loop."""

from __future__ import annotations

from collections.abc import Sequence

from recipelang.engine.precision import Scaler
from recipelang.engine.seeds import stream
from recipelang.modifiers.adapter import Adapter
from recipelang.modifiers.average import Average
from recipelang.modifiers.distill import Distill, Teacher
from recipelang.modifiers.freeze import Freeze
from recipelang.modifiers.keep_best import KeepBest
from recipelang.modifiers.learning_rate import LearningRate
from recipelang.modifiers.modifier import Modifier
from recipelang.modifiers.prune import KeepZeros
from recipelang.modifiers.pruners import pruner
from recipelang.planning.controls import frozen
from recipelang.planning.types import StagePlan


def acting(
    stage: StagePlan,
    teachers: Sequence[Teacher],
    outputs: tuple[str, ...],
    *,
    learning_rate: bool = True,
    compared: str = "tokens",
    scaled: bool = False,
) -> list[Modifier]:
    """`teachers` as the stage's `distills`; `outputs` are the names that `logits` stands for; `compared` as `Distill`.

    `scaled`: the loss is multiplied by `state.scale`, where fp16 needs one.
    """
    prunes = [pruner(p, stream(stage.seed, stage.name, p.name, "sample")) for p in stage.prunes]
    scheduled = learning_rate and stage.steps
    rates = [LearningRate(stage.learning_rate, [g.learning_rate for g in stage.groups])] if scheduled else []
    # before the masks: a score that samples gradients sees what is trained from this step on
    freezes = [Freeze(held)] if (held := frozen(stage.freezes, stage.steps)) else []
    seed = stream(stage.seed, stage.name, "projection")
    pairs = zip(stage.distills, teachers, strict=True)
    distills = [Distill(d, teacher, outputs, seed, compared=compared) for d, teacher in pairs]
    adapters = [Adapter(a, stream(stage.seed, stage.name, a.name, "adapter")) for a in stage.adapters]
    scalers = [Scaler()] if scaled and scheduled and stage.precision == "fp16" else []
    averages = [Average(stage.ema)] if stage.ema is not None else []
    keeps = [KeepBest()] if stage.best is not None else []
    return [*scalers, *freezes, *prunes, *adapters, *rates, *distills, KeepZeros(), *averages, *keeps]

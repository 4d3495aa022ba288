"""How much memory a run needs at its peak: an estimate from shapes alone, not a bound."""

from __future__ import annotations

from recipelang.methods import METHODS
from recipelang.planning.facts import ModelFacts
from recipelang.planning.types import Plan, StagePlan

#: bytes of a weight
ITEM = {"fp32": 4, "bf16": 2, "fp16": 2}


def peak_memory(plan: Plan, facts: ModelFacts) -> int:
    """Bytes: weights, gradients, two moments, masks, scores, teacher, and the activations of one forward pass.

    Activations of a transformer layer are about 34·b·s·h + 5·b·s²·a bytes in
    16-bit arithmetic (Korthikanti et al., arXiv 2205.05198, eq. 2), twice that in fp32.
    """
    size = ITEM[plan.model.dtype]
    parameters = size * facts.parameters
    config = facts.config
    hidden = config.get("hidden_size") or config.get("dim") or 768
    heads = config.get("num_attention_heads") or config.get("n_heads") or 12
    most = 0
    for stage in plan.stages:
        if stage.mode == "one_shot":
            most = max(most, parameters + _in_one_shot(stage, facts, hidden, heads, size))
            continue
        moments = 2 if stage.optimizer == "adamw" else 1
        never = {n for f in stage.freezes if f.until is None for n in f.targets}  # no gradient, no moments
        still = size * sum(t.size for t in facts.tensors if t.name in never)
        data = next(d for d in plan.data if d.label == stage.data)
        masks = sum(t.size for p in stage.prunes for t in p.targets)
        methods = sum(p.scoring for p in stage.prunes)
        teachers = sum(size * d.teacher_parameters for d in stage.distills)
        wide = 1 if stage.precision == "bf16" or size == 2 else 2
        b, s = stage.micro_batch * data.sequences, data.max_length
        activations = wide * facts.layers * (34 * b * s * hidden + 5 * b * s * s * heads)
        trained = (parameters - still) * (1 + moments)
        most = max(most, parameters + trained + masks + methods + teachers + activations)
    return most


def _in_one_shot(stage: StagePlan, facts: ModelFacts, hidden: int, heads: int, size: int) -> int:
    """Masks, and for a calibration one layer's statistics, the states of all samples, one layer's forward pass."""
    masks = sum(t.size for p in stage.prunes for t in p.targets)
    methods = sum(p.scoring for p in stage.prunes)
    if any(METHODS[p.method].looks_at == "gradients" for p in stage.prunes):
        methods += size * facts.parameters  # gradients
    read = stage.calibration
    if read is None:
        return masks + methods
    b, s = stage.micro_batch, read.length
    return masks + methods + read.statistics + read.states + 2 * (34 * b * s * hidden + 5 * b * s * s * heads)

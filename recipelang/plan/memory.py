"""How much memory a run needs at its peak: an upper estimate, from shapes alone."""

from __future__ import annotations

from recipelang.plan.facts import ModelFacts
from recipelang.plan.types import Plan, PrunePlan


def peak_memory(plan: Plan, facts: ModelFacts) -> int:
    """Bytes: weights, gradients, two moments, masks, scores, teacher, and the activations of one forward pass.

    Activations of a transformer layer are about 34·b·s·h + 5·b·s²·a bytes in
    16-bit arithmetic (Korthikanti et al., arXiv 2205.05198, eq. 2), twice that in fp32.
    """
    parameters = 4 * facts.parameters
    config = facts.config
    hidden = config.get("hidden_size") or config.get("dim") or 768
    heads = config.get("num_attention_heads") or config.get("n_heads") or 12
    most = 0
    for stage in plan.stages:
        moments = 2 if stage.optimizer == "adamw" else 1
        never = {n for f in stage.freezes if f.until is None for n in f.targets}  # no gradient, no moments
        still = 4 * sum(t.size for t in facts.tensors if t.name in never)
        length = next(d.max_length for d in plan.data if d.label == stage.data)
        masks = sum(t.size for p in stage.prunes for t in p.targets)
        methods = sum(_own(p) for p in stage.prunes)
        teachers = sum(4 * d.teacher_parameters for d in stage.distills)
        wide = 1 if stage.precision != "fp32" else 2
        b, s = stage.micro_batch, length
        activations = wide * facts.layers * (34 * b * s * hidden + 5 * b * s * s * heads)
        trained = (parameters - still) * (1 + moments)
        most = max(most, parameters + trained + masks + methods + teachers + activations)
    return most


def _own(prune: PrunePlan) -> int:
    """What a method keeps beside the masks: a score a weight, or of oBERT a row of the Fisher information.

    oBERT does with less when there is less, in several passes.
    """
    weights = sum(t.size for t in prune.targets)
    match prune.method:
        case "movement" | "snip":
            return 4 * weights
        case "obert":
            return 4 * weights * int(prune.args["block"])
    return 0

"""How much memory a run needs at its peak: an estimate from shapes alone, not a bound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from recipelang.planning.facts import ModelFacts
from recipelang.planning.types import Plan, StagePlan
from recipelang.pruning.passes import block_bytes, within


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
        if stage.mode == "one_shot":
            most = max(most, parameters + _in_one_shot(stage, facts, hidden, heads))
            continue
        moments = 2 if stage.optimizer == "adamw" else 1
        never = {n for f in stage.freezes if f.until is None for n in f.targets}  # no gradient, no moments
        still = 4 * sum(t.size for t in facts.tensors if t.name in never)
        data = next(d for d in plan.data if d.label == stage.data)
        masks = sum(t.size for p in stage.prunes for t in p.targets)
        methods = sum(p.scoring for p in stage.prunes)
        teachers = sum(4 * d.teacher_parameters for d in stage.distills)
        wide = 1 if stage.precision != "fp32" else 2
        b, s = stage.micro_batch * data.sequences, data.max_length
        activations = wide * facts.layers * (34 * b * s * hidden + 5 * b * s * s * heads)
        trained = (parameters - still) * (1 + moments)
        most = max(most, parameters + trained + masks + methods + teachers + activations)
    return most


def _in_one_shot(stage: StagePlan, facts: ModelFacts, hidden: int, heads: int) -> int:
    """Masks, and for a calibration one layer's statistics, the states of all samples, one layer's forward pass."""
    masks = sum(t.size for p in stage.prunes for t in p.targets)
    methods = sum(p.scoring for p in stage.prunes)
    if any(p.method in ("snip", "obert") for p in stage.prunes):
        methods += 4 * facts.parameters  # gradients
    read = stage.calibration
    if read is None:
        return masks + methods
    b, s = stage.micro_batch, read.length
    return masks + methods + read.statistics + read.states + 2 * (34 * b * s * hidden + 5 * b * s * s * heads)


def scoring(method: str, args: Mapping[str, object], sizes: Sequence[int]) -> tuple[int, int]:
    """What a method keeps beside weights and masks, in bytes at the peak, and in how many passes it scores.

    Movement keeps a score a weight, soft movement also its gradient and two moments, `rigl` gradients, oBERT the
    matrices of its blocks: all at once, unless the recipe allows less (where less is free, the run takes more passes).
    """
    weights = sum(sizes)
    match method:
        case "movement" | "snip" | "rigl":
            return 4 * weights, 1
        case "soft_movement":
            return 16 * weights, 1
        case "obert":
            block, memory = int(str(args["block"])), args.get("memory")
            parts = within(sizes, block, int(str(memory)) if memory else sum(sizes) * block_bytes(block))
            most = max(sum(piece.rows(block) for piece in part) for part in parts)
            return 4 * weights + most * block_bytes(block), len(parts)
    return 0, 1

"""What `run.json` holds: what was run and in what, and how it went."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from recipelang.engine.records import Measurements, Result
from recipelang.kinds.text import show
from recipelang.methods import METHODS
from recipelang.planning.data_plan import DataPlan
from recipelang.planning.shrink_plan import ShrinkPlan
from recipelang.planning.sliced import targets_left, told_of_all
from recipelang.planning.types import EvaluatePlan, Plan, StagePlan
from recipelang.pruning.matrix_names import expert_of, names_of
from recipelang.source import Diagnostics
from recipelang.source.words import listed, plural
from recipelang.tasks import task_of
from recipelang.values.composite import SparsityPattern


def body(plan: Plan, status: str, digest: str, around: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """`status`: running, interrupted, failed or finished. `digest`: of the run. `around`: its environment.

    `more`: how it went, if it did.
    """
    return {
        "format_version": "1.0",
        "status": status,
        "recipe": plan.name,
        "rehearsal": plan.rehearsal,
        "digests": {
            "spec": plan.spec_digest,
            "behaviour": plan.behaviour_digest,
            "model": plan.model.digest,
            "run": digest,
        },
        "seed": plan.seed,
        **understood(plan),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "environment": dict(around),
        **more,
    }


def understood(plan: Plan) -> dict[str, Any]:
    """What columns and labels were taken to mean, and what an evaluation counts by."""
    return {
        "data": {d.label or "data": d.meaning.told() for d in plan.data},
        "counted": {e.name: {"positive": e.positive, "null_threshold": e.null_threshold} for e in plan.evaluations},
    }


def told_of(result: Result, seconds: Mapping[str, float], zeros: Mapping[str, int]) -> dict[str, Any]:
    """Of a finished run. `seconds`: by stage; `zeros`: of every parameter."""
    m = result.measurements
    targets = list(targets_left(result.plan.stages))
    partial = {n: on for n in m.metrics if (on := measured_on(result.plan, n))}
    return {
        "metrics": m.metrics,
        **({"measured_on": partial} if partial else {}),
        **({"figures": m.figures} if m.figures else {}),
        "seconds": seconds,
        "sparsity": {
            "targets": sum(m.zeros[n] for n in targets) / max(1, sum(m.sizes[n] for n in targets)),
            "all_parameters": sum(zeros.values()) / sum(m.sizes.values()),
            "tensors": {n: m.zeros[n] / max(1, m.sizes[n]) for n in m.zeros},  # a size may be 0
        },
        "never": {"tensors": len(result.plan.never), "gained_zeros": result.gained},
        "claims": [
            {"kind": v.claim.kind, "text": v.claim.text, "expected": v.expected, "measured": v.measured, "met": v.met}
            for v in result.verdicts
        ],
    }


def measured_on(plan: Plan, metric: str) -> str:
    """`50 of 10,570 examples, class hate`: of which part of its data, and of which class, a measured value is.

    Empty where it is of all.
    """
    names = metric.split(".")
    name = names[2] if names[0] == "stage" and len(names) > 3 else names[0]
    evaluation = next((e for e in plan.evaluations if e.name == name), None)
    data = next((d for d in plan.data if evaluation is not None and d.label == evaluation.data), None)
    if evaluation is None or data is None:
        return ""
    counted = _class_of(evaluation, data) if names[-1] == "f1" else ""
    if evaluation.samples is None:
        return counted
    total = data.measured(evaluation.split)
    what = "chats" if data.chat else "blocks" if task_of(data.task).blocks else "examples"
    part = f"{evaluation.samples:,} of {total:,} {what}" if evaluation.samples < total else ""
    return ", ".join(filter(None, (part, counted)))


def examples_of(plan: Plan, evaluation: EvaluatePlan) -> int:
    """How many an evaluation reads: examples, chats, or blocks of a text."""
    data = next(d for d in plan.data if d.label == evaluation.data)
    total = data.measured(evaluation.split)
    return min(total, evaluation.samples or total)


def _class_of(evaluation: EvaluatePlan, data: DataPlan) -> str:
    """The class whose F1 it is: its name, which comes from elsewhere, where that is a plain word, else its number."""
    if evaluation.positive is None:
        return ""
    plain = re.fullmatch(r"\w[\w .+-]{0,39}", evaluation.positive)
    if not plain and evaluation.positive not in data.labels:
        return ""
    return f"class {evaluation.positive if plain else data.labels.index(evaluation.positive)}"


def claimed_on(plan: Plan, text: str) -> str:
    """The same of a claim, by the measured values that its text names."""
    parts = (measured_on(plan, name) for name in re.findall(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+", text))
    return ", ".join(dict.fromkeys(filter(None, parts)))


#: the share of zeros from which on a matrix passes next to nothing on
EMPTY = 0.99


def emptied(stages: Iterable[StagePlan], shares: Mapping[str, float]) -> list[str]:
    """Targets that end nearly empty, although their block asks for less. `shares`: zeros of each matrix."""
    blocks = [p for s in stages for p in s.scheduled if p.final < EMPTY]
    return [n for n in dict.fromkeys(t.name for p in blocks for t in p.targets) if shares.get(n, 0.0) >= EMPTY]


def warn_of_emptied(names: Sequence[str], shares: Mapping[str, float]) -> Diagnostics:
    """W164, if there are any."""
    found = Diagnostics()
    if names:
        many = "a pruned matrix ends" if len(names) == 1 else f"{len(names):,} pruned matrices end"
        notes = [f"`{n}`: {shares[n]:.2%}" for n in names[:6]]
        notes += [f"and {len(names) - 6:,} more"] if len(names) > 6 else []
        help = "give each matrix its own sparsity with `scope = uniform` or `erk`, or exclude them"
        found.say("W164", f"{many} almost empty", notes=tuple(notes), help=help)
    return found


def place_of_layers(place: str, word: str) -> str:
    """Where a record has the layers that a block left: `slim.body`, or `slim.body.encoder` of one of two stacks."""
    return f"{place}.{word}" if word else place


def layers_of(record: Mapping[str, Sequence[int]], place: str) -> dict[str, Sequence[int]]:
    """The layers that a block at a place has left, by `encoder` and `decoder`, or by no word where there is one stack."""
    places = {word: place_of_layers(place, word) for word in ("", "encoder", "decoder")}
    return {word: record[name] for word, name in places.items() if name in record}


def told_of_shrinking(rounds: Sequence[ShrinkPlan], layers: Mapping[str, Sequence[int]]) -> str:
    """`shrink body: ffn 1,536 -> 768, layers 6 -> 4 (0, 1, 3, 5 stay); 22,713,216 -> 14,000,000 parameters`."""
    shorter = any(plan.to("layers") for plan in rounds)
    each = [f"{word} {listed([*map(str, n)], 16, mark='')}".lstrip() for word, n in layers.items()]
    kept = f" ({'; '.join(each)} stay)" if shorter else ""  # the last of the sizes
    before, after = rounds[0].parameters[0], rounds[-1].parameters[1]
    times = f" in {len(rounds)} rounds" if len(rounds) > 1 else ""
    return f"shrink {rounds[0].name}: {told_of_all(rounds)}{kept}{times}; {before:,} -> {after:,} parameters"


def told_of_layers(shares: Mapping[str, float]) -> str:
    """`layers are 42.00% to 58.00% sparse, least model.layers.0, most model.layers.5`."""
    least, most = min(shares, key=lambda n: shares[n]), max(shares, key=lambda n: shares[n])
    return f"layers are {shares[least]:.2%} to {shares[most]:.2%} sparse, least {least}, most {most}"


def told_of_reconstruction(errors: Mapping[str, tuple[float, float]]) -> str:
    """`reconstructed; the error of the last layer is 2.1% of its outputs instead of 3.4%`."""
    helped = sum(after < before for before, after in errors.values())
    before, after = [*errors.values()][-1]
    last = f"squared error after the last layer {before:.2%} -> {after:.2%} of the dense outputs"
    return f"reconstruction lowered the error of {helped:,} of {plural(len(errors), 'layer')}; {last}"


def told_of_masks(zeros: int, size: int) -> str:
    """What `shrink` has left of masks, where there are any. `size`: of the matrices that have one."""
    return f"; masks cut alike: {zeros:,} of {size:,} weights are zero ({zeros / size:.2%})" if size else ""


def warn_of_few_tokens(stage: StagePlan, found: Mapping[str, int]) -> Diagnostics:
    """W155 for experts that the router sent hardly a token of the calibration. `found`: expert -> tokens."""
    told = Diagnostics()
    blocks = [p for p in stage.scheduled if METHODS[p.method].looks_at == "inputs"]
    names = (n for p in blocks for t in p.targets for n in names_of(t.name, t.shape))
    experts = {expert_of(n) for n in names} - {""}
    least = sorted(found, key=lambda n: found[n])
    notes = [f"`{n}`: {plural(found[n], 'token') if found[n] else 'no token'}" for n in least[:6]]
    notes += [f"and {len(found) - 6:,} more"] if len(found) > 6 else []
    if not found[least[0]]:
        notes.append("without tokens an expert is pruned by the magnitude of its weights alone")
    if found[least[-1]]:
        notes.append("statistics of so few tokens fit these tokens only")
    message = f"too few calibration tokens reached {len(found):,} of {plural(len(experts), 'expert')}"
    help = "use more samples (`samples` in `data`), or prune these experts with `magnitude` in a block of their own"
    told.say("W155", message, notes=tuple(notes), help=help)
    return told


def warn_of_unreached(plan: ShrinkPlan, experts: Sequence[str]) -> Diagnostics:
    """W161 for experts that `shrink` has ranked last because the router sent them no token of the data."""
    told = Diagnostics()
    size = plan.to("experts")
    whole = len(plan.expert_stacks) * (size.before if size is not None else 0)
    notes = [f"`{n}`: no token" for n in experts[:6]]
    notes += [f"and {len(experts) - 6:,} more"] if len(experts) > 6 else []
    message = f"no calibration token reached {len(experts):,} of {plural(whole, 'expert')}"
    help = "use more samples (`samples` in `data`) of all kinds of text that the model is for"
    told.say("W161", message, notes=(*notes, "they rank last in their layers, and are the first to go"), help=help)
    return told


def counted(m: Measurements) -> dict[str, Any]:
    """Zeros of every matrix, and the patterns that it keeps to: for the statement."""
    return {
        "tensors": {n: {"zeros": z, "size": m.sizes[n]} for n, z in m.zeros.items()},
        "patterns": {
            n: [show(SparsityPattern(kind, *size)) for kind, size in each] for n, each in m.patterns.items() if each
        },
    }

"""Level 3: zeros, patterns and protected tensors, counted again in the weights, by the recipe compiled again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import isclose
from pathlib import Path
from typing import Any

from recipelang.engine.records import Measurements, read_record
from recipelang.engine.speeds import how, read as read_speeds
from recipelang.kinds.text import show
from recipelang.planning.facts import ModelFacts, read_model_facts
from recipelang.planning.sliced import protected, targets_left
from recipelang.planning.types import ModelPlan
from recipelang.planning.weights import check_weights
from recipelang.planning.zeros import Counted, Pattern, count, stored_zeros
from recipelang.provenance.checks import Verified
from recipelang.provenance.compiled import Compiled, wanted
from recipelang.provenance.contents import compiled_of, inside, is_base, plan_of, recipe_of
from recipelang.provenance.figures import check_figures
from recipelang.provenance.replanned import stages_again
from recipelang.provenance.stage_models import STAGES, check_stage_weights, reached
from recipelang.provenance.statement import Statement
from recipelang.source import Diagnostic, RecipeError, fail
from recipelang.source.render import line_of
from recipelang.source.words import plural
from recipelang.values.composite import SparsityPattern

_OTHERS = "these are not the weights that the run measured"


def verify_weights(folder: Path, said: Statement, done: Verified) -> Measurements | None:
    """Zeros, patterns and `never` counted again; what claims are judged by comes back."""
    measured: list[Measurements] = []
    again: list[Compiled] = []

    def weights() -> str:
        again.append(compiled_of(folder))
        check_weights(again[0].facts)  # NaN, infinities
        counted = _count_all(folder, said, tuple(sorted(again[0].patterns)), again[0].facts)
        _compare(counted, said.predicate, again[0])
        measured.append(_measurements(counted, again[0], said.predicate["metrics"]))
        zeros, size = sum(c.zeros for c in counted.values()), sum(c.size for c in counted.values())
        return f"{plural(len(counted), 'tensor')}, {zeros / max(1, size):.2%} of all weights are zero, as recorded by the run"

    if not done.run(3, "weights", weights):
        return None
    done.run(3, "record", lambda: _record(folder, again[0], measured[0]))
    _figures(folder, said, done, measured[0])
    if said.predicate.get("rehearsal") is None:
        done.run(3, "schedules", lambda: _reached(folder, again[0], measured[0]))
    done.run(3, "never", lambda: _never(folder, said, again[0], measured[0], done))
    if any(n.startswith(f"{STAGES}/") for n in said.files):
        done.run(3, "stages", lambda: check_stage_weights(folder, said, plan_of(folder), recipe_of(folder)))
    return measured[0]


def _figures(folder: Path, said: Statement, done: Verified, measured: Measurements) -> None:
    """Sizes and speeds that the run recorded, where it did, into what claims are judged by."""

    def figures() -> str:
        record, plan = read_record(folder), plan_of(folder)
        told = check_figures(folder, plan, record, said.predicate)
        measured.figures = record.get("figures", {})
        measured.how = how(read_speeds(record), plan.figures)
        return told

    try:
        needed = said.predicate.get("figures") or plan_of(folder).figures or read_record(folder).get("speeds")
    except RecipeError:
        needed = True  # what cannot be read is told there
    if needed:
        done.run(3, "figures", figures)


def _count_all(folder: Path, said: Statement, patterns: tuple[Pattern, ...], facts: ModelFacts) -> dict[str, Counted]:
    """By the names of parameters, which a statement has; experts are stored one by one."""
    turned = {n for t in facts.tensors if t.turned for n in facts.sources(t.name)}
    stored: dict[str, Counted] = {}
    for name in said.subjects:
        if name.endswith(".safetensors"):
            stored.update(count(inside(folder, name), patterns, turned))
    found: dict[str, Counted] = {}
    for tensor in facts.tensors:
        parts = [stored.pop(n) for n in dict.fromkeys(facts.sources(tensor.name)) if n in stored]
        if parts:
            alike = tuple(p for p in parts[0].patterns if all(p in one.patterns for one in parts))
            found[tensor.name] = Counted(tensor.stored_shape, sum(p.zeros for p in parts), alike)
    return {**stored, **found}


def _compare(counted: Mapping[str, Counted], predicate: Mapping[str, Any], again: Compiled) -> None:
    bad: list[Diagnostic] = []
    claimed = predicate["tensors"]
    for matrix in (t.name for t in again.facts.tensors if len(t.shape) == 2 or t.prunable):
        if matrix in counted and matrix not in claimed:
            message = f"the statement does not record the zeros of `{line_of(matrix)}`"
            bad.append(fail("E140", message, help="the file was changed after the run").diagnostics[0])
    for name, numbers in claimed.items():
        one = counted.get(name)
        if one is None:
            bad.append(fail("E140", f"the weights lack `{line_of(name)}`").diagnostics[0])
        elif (one.zeros, one.size) != (numbers["zeros"], numbers["size"]):
            here = f"{one.zeros:,} zeros of {one.size:,}"
            claims = f"{numbers['zeros']:,} of {numbers['size']:,}"
            message = f"`{line_of(name)}` has {here}; the statement claims {claims}"
            bad.append(fail("E140", message, help=_OTHERS).diagnostics[0])
    kept_to: dict[str, list[str]] = {n: [] for n in claimed if n in counted and counted[n].patterns}
    for name, patterns in {**kept_to, **predicate["patterns"]}.items():
        kept = (
            {show(SparsityPattern(kind, *size)) for kind, size in counted[name].patterns} if name in counted else set()
        )
        if not set(patterns) <= kept:
            message = f"`{line_of(name)}` does not follow {line_of(', '.join(patterns))}, which the statement claims"
            bad.append(fail("E140", message).diagnostics[0])
        elif more := kept - set(patterns):
            message = f"the statement does not record that `{line_of(name)}` follows {', '.join(sorted(more))}"
            bad.append(fail("E140", message, help="the file was changed after the run").diagnostics[0])
    if bad:
        raise RecipeError(bad)


def _measurements(counted: Mapping[str, Counted], again: Compiled, metrics: Mapping[str, float]) -> Measurements:
    return Measurements(
        dict(metrics),
        {n: c.zeros for n, c in counted.items()},
        {n: c.size for n, c in counted.items()},
        dict(again.selections),
        {n: c.patterns for n, c in counted.items()},
    )


def _record(folder: Path, again: Compiled, measured: Measurements) -> str:
    """The shares of zeros in `run.json`, which page and card show, are those of the weights."""
    plan, record = plan_of(folder), read_record(folder)
    told = record.get("sparsity") or {}
    targets = list(targets_left(plan.stages))
    wanted = {
        "targets": share_of(measured, targets),
        "all_parameters": share_of(measured, [t.name for t in again.facts.tensors]),
    }
    wrong = next((n for n, share in wanted.items() if not isclose(told.get(n, -1.0), share, abs_tol=1e-9)), None)
    for name, share in told.get("tensors", {}).items():
        if name not in measured.sizes or not isclose(share, share_of(measured, [name]), abs_tol=1e-9):
            wrong = wrong or name
    if wrong is not None:
        raise fail("E140", f"the share of zeros of `{line_of(wrong)}` in `run.json` is wrong", help=_OTHERS)
    if record.get("never") != {"tensors": len(plan.never), "gained_zeros": {}}:
        raise fail("E140", "`run.json` differs from the weights in the tensors protected by `never`", help=_OTHERS)
    return "the sparsities in `run.json` match the weights"


def share_of(measured: Measurements, names: Iterable[str]) -> float:
    each = list(names)
    return sum(measured.zeros.get(n, 0) for n in each) / max(1, sum(measured.sizes.get(n, 0) for n in each))


def _reached(folder: Path, again: Compiled, measured: Measurements) -> str:
    """Every block's last event was reached: at least so many zeros are there."""
    blocks = wanted(stages_again(plan_of(folder), recipe_of(folder), again.facts))
    reached(blocks, measured.zeros)
    return f"{plural(len(blocks), 'prune block')} reached the sparsity of the recipe"


def _never(folder: Path, said: Statement, again: Compiled, measured: Measurements, done: Verified) -> str:
    """Protected tensors by the recipe; zeros that they had before by the base model, where it is here."""
    before, plan = said.predicate["never"], plan_of(folder)
    never = again.never
    if any(s.shrinks for s in plan.stages):  # a stage before it may have protected layers by other numbers
        there = {t.name for t in again.facts.tensors}
        never = protected(stages_again(plan, recipe_of(folder), again.facts), there)
    missing = [n for n in never if n not in before]
    if missing:
        message = f"the statement does not record the zeros of `{line_of(missing[0])}` before the run"
        raise fail("E140", message, help="the file was changed after the run")
    gained = [n for n in never if measured.zeros.get(n, 0) > before[n]]
    if gained:
        raise fail("E140", f"`{line_of(gained[0])}` is protected by `never` but gained zeros")
    if not never:
        return "the recipe protects nothing"
    base = Path(plan.model.path)
    other = plan.model.drop is not None or any(s.shrinks for s in plan.stages)
    if other or not is_base(base, said):
        done.unchecked.append("zeros of protected tensors before the run (the base model is not available)")
        return f"{plural(len(never), 'protected tensor')} gained no zeros, compared with the zeros in the statement"
    for name, zeros in _zeros_before(base, plan.model).items():
        if name in never and before[name] > zeros:
            message = f"`{line_of(name)}` had {zeros:,} zeros before the run, but the statement claims {before[name]:,}"
            raise fail("E140", message, help="the statement was changed after the run")
    return f"{plural(len(never), 'protected tensor')} gained no zeros"


def _zeros_before(base: Path, model: ModelPlan) -> dict[str, int]:
    """Of the tensors that a base model holds; those that were drawn anew are not there."""
    facts = read_model_facts(base, model.task, model.labels, new_head=model.fresh_head)
    counted = stored_zeros(base)
    fresh = set(facts.fresh)
    names = (t.name for t in facts.tensors if t.name not in fresh and facts.sources(t.name))
    return {name: facts.zeros(name, counted)[0] for name in names}

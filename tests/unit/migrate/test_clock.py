"""Recipes migrated with `compat`, planned, against what was measured on SparseML 1: schedules value by value, masks."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from fractions import Fraction
from functools import cache
from pathlib import Path

import pytest
import torch

from recipelang.migrate.migrate import Mode, migrate
from recipelang.planning import compat, counts
from recipelang.planning.types import Segment
from recipelang.pruning import patterns
from recipelang.schedules.stepwise import at
from recipelang.source import Diagnostics, Source
from recipelang.spec.blocks import StageSpec
from recipelang.spec.check import check
from recipelang.spec.params import Given

_SHARED = os.environ.get("RECIPELANG_SHARED", "")
GOLDEN = Path(_SHARED or "nowhere") / "golden"
needs_golden = pytest.mark.skipif(not _SHARED, reason="RECIPELANG_SHARED does not name the folder of measured figures")
#: what a run is given, beside what a case tests
GIVEN = {"base": "hf://a/model", "source": "hf://a/set", "task": "question_answering", "batch": "16"}
_PRUNE = """\
  - !GMPruningModifier
    params: ['re:bert.encoder.*.weight']
    mask_type: {mask}
    global_sparsity: {everywhere}
    init_sparsity: {first}
    final_sparsity: {last}
    start_epoch: {start}
    end_epoch: {end}
    update_frequency: {every}
    inter_func: {shape}
"""
_RATE = """\
  - !LearningRateFunctionModifier
    lr_func: {shape}
    init_lr: 1e-4
    final_lr: 1e-6
    cycle_epochs: {cycle}
    start_epoch: {start}
    end_epoch: {end}
"""


@cache  # the figures of one recipe were measured at several lengths of an epoch
def stage_of(modifiers: str, epochs: float, mode: Mode = "compat", **given: str) -> StageSpec:
    """The stage that old modifiers become."""
    text = f"modifiers:\n  - !EpochRangeModifier\n    start_epoch: 0\n    end_epoch: {epochs}\n{modifiers}"
    done = migrate(Source("old.yaml", text), mode)
    assert done.text is not None and not done.lost, done.findings
    given = {name: value for name, value in {**GIVEN, **given}.items() if name in done.asks}
    checked = check(Source("a.recipe", done.text), {n: Given(v, "-p") for n, v in given.items()}, complete=True)
    assert checked.recipe is not None, list(checked.diagnostics)
    return checked.recipe.stages[0]


def codes(modifiers: str) -> set[str]:
    return {d.code for d in migrate(Source("old.yaml", f"modifiers:\n{modifiers}"), "compat").findings}


def gradual(first: str, last: str, start: str, end: str, every: str, shape: str) -> str:
    return _PRUNE.format(
        mask="unstructured",
        everywhere=False,
        first=first,
        last=last,
        start=start,
        end=end,
        every=every,
        shape=shape,
    )


def measured() -> dict[str, list[tuple[int, str]]]:
    cases: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for line in (GOLDEN / "sparseml_schedules.tsv").read_text("utf-8").splitlines()[1:]:
        case, _, step, _, value = line.split("\t")
        cases[case].append((int(step), value))
    return cases


def planned(case: str, found: Diagnostics) -> list[tuple[int, float]]:
    """The same case through the migrated recipe's plan."""
    kind, shape, *rest = case.split("|")
    if kind == "sp":
        first, last = rest[0].split("-")
        start, end = rest[1].split("-")
        every, per_epoch = rest[2].removeprefix("f"), int(rest[3].removeprefix("spe"))
        text = gradual(first, last, start, end, every, shape)
        spec = stage_of(text, 5, learning_rate="1e-4")
        (prune,) = spec.prunes
        assert prune.sparsity is not None
        return changes(compat.events(prune.sparsity, 5 * per_epoch, per_epoch, None, found))
    start, end = rest[0].split("-")
    cycle, per_epoch, base = (
        rest[1].removeprefix("cycle"),
        int(rest[2].removeprefix("spe")),
        rest[3].removeprefix("base"),
    )
    spec = stage_of(_RATE.format(shape=shape, cycle=cycle, start=start, end=end) + _HELD, 4, learning_rate=base)
    assert spec.learning_rate is not None
    steps = 4 * per_epoch
    return values(compat.segments(spec.learning_rate, steps, per_epoch, None, found), steps)


#: a recipe needs something to do
_HELD = "  - !ConstantPruningModifier\n    params: ['re:bert.encoder.*.weight']\n"


def changes(events: list[tuple[int, Fraction]]) -> list[tuple[int, float]]:
    kept: list[tuple[int, float]] = []
    for step, value in events:
        if not kept or kept[-1][1] != float(value):
            kept.append((step, float(value)))
    return kept


def values(segments: tuple[Segment, ...], steps: int) -> list[tuple[int, float]]:
    if segments:
        assert [s.first for s in segments] == [0, *(s.last + 1 for s in segments[:-1])] and segments[
            -1
        ].last == steps - 1
    return [(step, at(segments, step)) for step in range(steps)] if segments else []


@needs_golden
def test_every_measured_schedule_is_planned() -> None:
    wrong: list[object] = []
    crashed = 0
    for case, rows in measured().items():
        found = Diagnostics()
        got = planned(case, found)
        if rows[0][0] == -1:
            crashed += 1
            told = [(d.code, d.notes) for d in found]
            wrong += [(case, told)] if [c for c, _ in told] != ["E065"] or rows[0][1] not in told[0][1][0] else []
            continue
        expected = [(step, float(value)) for step, value in rows]
        same = [s for s, _ in got] == [s for s, _ in expected]
        if not same or any(abs(a - b) > 1e-12 for (_, a), (_, b) in zip(got, expected, strict=True)):
            wrong.append((case, list(found), expected[:8], got[:8]))
    assert not wrong, (len(wrong), wrong[:5])
    assert crashed == 9


@needs_golden
def test_every_measured_mask() -> None:
    known = json.loads((GOLDEN / "sparseml_masks.json").read_text("utf-8"))
    tensors = [torch.tensor(known[name]).abs() for name in ("T", "T2")]
    wrong: list[object] = []
    for case in known["cases"]:
        mask, share = case["mask_type"], str(case["sparsity"])
        text = _PRUNE.format(
            mask=f"'{mask}'" if isinstance(mask, str) else mask,
            everywhere=case["global_"],
            first=share,
            last=share,
            start=0,
            end=2,
            every=1,
            shape="linear",
        )
        if "error" in case:  # SparseML stopped there; we say why before
            wrong += [case] if "E113" not in codes(text) else []
            continue
        (prune,) = stage_of(text, 4, learning_rate="1e-4").prunes
        assert prune.sparsity is not None and prune.sparsity.plain is not None
        sparsity, kind, size = prune.sparsity.plain, prune.pattern.kind, (prune.pattern.a, prune.pattern.b)
        scope = str(prune.method.get("scope"))
        zeros = counts.zeros(kind, size, scope, [(4, 8)] * 2, sparsity)
        live = [torch.ones(4, 8, dtype=torch.bool) for _ in tensors]
        scores = [lambda t=t: t.flatten() for t in tensors]
        got = patterns.choose(kind, size, scope, scores, zeros, live, ties="sparseml_1")
        if [m.int().tolist() for m in got] != case["masks"]:
            wrong.append((mask, share, case["global_"]))
    assert not wrong


# ------------------------------------------------------------------ strict: where the semantics agree
#: SparseML's float clock meets exact steps where an interval is every step or a power of two of the epoch
_EXACT = ("f-1", "f0.5", "f1.0")


@needs_golden
def test_strict_agrees_with_every_event_that_falls_on_an_exact_step() -> None:
    """The same sparsity wherever both have an event; after exact windows and intervals also the same steps."""
    from recipelang.planning import schedule

    agreed = 0
    for case, rows in measured().items():
        kind, shape, *rest = case.split("|")
        if kind != "sp" or rows[0][0] == -1:
            continue
        first, last = rest[0].split("-")
        start, end = rest[1].split("-")
        every, per_epoch = rest[2].removeprefix("f"), int(rest[3].removeprefix("spe"))
        whole = all((Fraction(t) * per_epoch).denominator == 1 for t in (start, end, every if every != "-1" else "1"))
        if rest[2] not in _EXACT or not whole:
            continue
        text = gradual(first, last, start, end, every, shape)
        (prune,) = stage_of(text, 5, "strict", learning_rate="1e-4").prunes
        assert prune.sparsity is not None
        got = changes(schedule.events(prune.sparsity, 5 * per_epoch, per_epoch, None, Diagnostics()))
        expected = [(step, float(value)) for step, value in rows]
        assert [s for s, _ in got] == [s for s, _ in expected], case
        assert all(abs(a - b) < 1e-12 for (_, a), (_, b) in zip(got, expected, strict=True)), case
        agreed += 1
    assert agreed > 50


@needs_golden
def test_strict_rates_are_those_of_every_step_of_a_window() -> None:
    """A cycle ends on its last step, and a decay that does not restart behind it: what was written says which."""
    from recipelang.planning import schedule

    compared = set()
    for case, rows in measured().items():
        kind, shape, *rest = case.split("|")
        if kind != "lr" or rows[0][0] == -1:
            continue
        start, end = rest[0].split("-")
        times = [end, rest[1].removeprefix("cycle")] if shape == "cyclic_linear" else [end]
        if any(Fraction(time) * int(rest[2].removeprefix("spe")) % 1 for time in times):
            continue  # what ends inside a step is the one difference that is left
        per_epoch, base = int(rest[2].removeprefix("spe")), rest[3].removeprefix("base")
        text = _RATE.format(shape=shape, cycle=rest[1].removeprefix("cycle"), start=start, end=end) + _HELD
        spec = stage_of(text, 4, "strict", learning_rate=base)
        assert spec.learning_rate is not None
        planned = schedule.segments(spec.learning_rate, 4 * per_epoch, per_epoch, None, Diagnostics())
        until = float(end) * per_epoch
        for (step, ours), (_, theirs) in zip(values(planned, 4 * per_epoch), rows, strict=True):
            if step < until:
                assert abs(ours - float(theirs)) <= 1e-18, (case, step)
        compared.add(shape)
    assert compared == {"linear", "cosine", "cyclic_linear"}

"""The worst values of every model of a plan: refused when it is made, and when a run's `plan.json` was changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from recipelang.engine.records import read_plan
from recipelang.planning import types
from recipelang.planning.plan_form import Frozen
from recipelang.planning.prune_plan import PruneEvent
from recipelang.source import RecipeError

from .whole_plan import constant, target, whole

NAN, INF = float("nan"), float("inf")
PRUNE, HOLD = "stages.0.prunes.0", "stages.0.prunes.1"

#: where the model stands in the plan, the model, and what is written there instead: a field to a value
BAD: list[tuple[str, str, dict[str, list[Any]]]] = [
    ("model.drop", "DropPlan", {
        "keep": [[], [2, 0], [0, 0], [0, 4], [-1, 0], ["0"], None, [0.5]], "layers": [0, -4, "4", None], "parameters": [0, -1]
    }),
    ("model.drop.decoder", "KeptPlan", {
        "keep": [[], [1, 0], [0, 0], [0, 2], [-1, 0], ["0"], None, [0.5]], "layers": [0, -2, "2", None],
    }),
    ("model.roleless.0", "Roleless", {
        "what": ["", "norms", None, 3], "tensors": [0, -1, "1", None, 0.5], "example": [None, 3]
    }),
    ("model", "ModelPlan", {
        "task": ["", "poetry", 3], "dtype": ["fp8"], "dropout": [1.5, -0.1, NAN], "parameters": [-1, 0.5],
        "digest": ["sha256:", "a" * 64, 3], "labels": ["a", [1]], "fresh_head": ["yes"], "surplus": [1],
    }),
    ("data.0.splits.train.stream", "StreamPlan", {
        "portion": [0, -1, "9", None], "files": [-1, "2", 0.5], "bytes": [-1, "2", None], "shards": [1]
    }),
    ("data.0.splits.train", "SplitPlan", {
        "reference": [None, 3, ["a"]], "split": [None, 3, ["a"]], "digest": ["sha256:12", "md5:" + "a" * 32, 3], "rows": [1]
    }),
    ("data.0.meaning", "Meaning", {
        "columns": [3, ["text"], {"text": 3}], "left_out": [{"train": "1"}, {"train": 0.5}], "choices": [[2], [2, 3, 4], "2"],
        "answers": ["colour"], "causes": ["no"], "labels": [{"train": "words"}], "frames": [{"source": "$A"}, [3]],
    }),
    ("data.0.mixture.0", "SharePlan", {
        "name": [None, 3, ["a"]], "rows": [0, -1, "7", None, 0.5], "samples": [0, -1, "3"], "surplus": [1],
    }),
    ("data.0.chat", "ChatPlan", {
        "template": ["", "sha256:12", "md5:" + "a" * 32, None, 3], "marked": ["yes", 1, None], "pad": [None, 3, ["</s>"]],
    }),
    ("data.0", "DataPlan", {
        "task": ["", "poetry"], "splits": [[], None], "max_length": [0, -1, "64", None], "stride": [-1], "samples": [0, -3],
        "examples": [{"train": -1}], "sequences": [0], "seed": ["7"], "shuffle": [1], "lost": [{"train": 0}],
        "unanswered": [{"train": 0}], "tokens_read": [{"train": -1}], "tokens_predicted": [{"train": "5"}],
    }),
    ("stages.0.loss", "LossPlan", {
        "label_smoothing": [-0.1, 1.5, NAN, "0.1"], "class_weights": [[0.0, 1.0], [-1.0, 1.0], [INF, 1.0], ["1", "2"], 3],
        "class_counts": [[0, 1], [-1, 1], [1], ["1", "2"], 3], "surplus": [1],
    }),
    ("stages.0.best", "WatchPlan", {
        "evaluation": ["", "test", None, 3], "metric": ["", "beauty", "f1", None], "since": [0, -1, 12, "5", 0.5],
        "every": [0, -6, 5, 12, "6"], "surplus": [1],
    }),
    ("stages.0.stop", "StopPlan", {
        "evaluation": ["", "test", 3], "metric": ["", "f1"], "since": [0, 12], "every": [0, 5, 12], "patience": [0, -1, "3", 0.5],
        "min_delta": [-0.1, NAN, INF, "0"],
    }),
    ("stages.0.learning_rate.0", "Segment", {
        "shape": ["wiggle", "", None], "start": [NAN, INF, "1"], "end": [-INF], "first": [-1, 13, 0.5], "last": [-1, "11"],
        "power": [0, -2], "cycles": [[0, 0], [5, 3], [-1], [99]], "ends": ["never"], "whole": [[3, 3], [4.0, 1.0]],
    }),
    (f"{PRUNE}.targets.0", "Target", {
        "name": [None, 3, ["a"]], "shape": [None, [-4, 8], ["4"], 32, [4.5]], "purpose": [None, 3], "dtype": ["fp8"]
    }),
    (f"{PRUNE}.events.0", "PruneEvent", {
        "step": [-1, 0.5, "2", None], "sparsity": [-0.1, 1.01, NAN, 50], "zeros": [[-1, 8], ["8", 8], None], "grown": [[-3]],
        "late": [1],
    }),
    (f"{PRUNE}.dense.0", "DenseGroup", {
        "what": [None, 3], "tensors": [0, -1, "1"], "weights": [-1, 0.5, None], "protected": ["yes", 1, None]
    }),
    (PRUNE, "PrunePlan", {
        "method": ["", "magnitudes", 3], "scope": ["all"], "pattern": ["2:4", "N:M"], "pattern_size": [[-2, 4], [2, 4]],
        "order": ["random"], "events": [[]], "scoring": [-1], "passes": [0], "ties": ["last"], "args": [{"scope": NAN}],
        "held": [[-1], [1, 2, 3], [33, 0]], "targets": [[target("a")], None],
    }),
    ("stages.0.distills.0.terms.0", "TermPlan", {
        "kind": ["words", None], "output": [3], "layers": [[[-1, 0]], [[0]], [["0", "1"]], 3], "widths": [[0, 64], [32], "32"],
        "weight": [None, 1.0],
    }),
    ("stages.0.distills.0", "DistillPlan", {
        "teacher": [None, 3], "teacher_ref": [None], "teacher_parameters": [-1], "teacher_digest": ["sha256:zz", 3],
        "terms": [[], None], "cache": ["fp8", True], "hardness": [None], "temperature": [None],
    }),
    ("stages.1.calibration", "CalibrationPlan", {
        "samples": [0, -1, "16", None], "length": [0, -64], "layers": [-1, 0.5], "statistics": [-1], "states": [-1, None]
    }),
    ("stages.0.freezes.0", "FreezePlan", {
        "name": [None, 3], "targets": [None, "d", [3]], "weights": [-1, "32", 0.5], "until": [-1, "3", 0.5]
    }),
    ("stages.0.adapters.0", "AdapterPlan", {
        "name": [None, 3], "method": ["dora", "", None], "rank": [0, -1, 9, "2", 1.5], "alpha": [0, -1.0, NAN, INF, "4"],
        "targets": [[], None, [3]], "also": [None, [3]], "trained": [-1, 0.5, 1, "32"],
    }),
    ("stages.0.groups.0", "GroupPlan", {
        "names": [None, "own"], "targets": [None, [3]], "weights": [-1, 0.5], "weight_decay": [-0.1, NAN, INF, "0"],
        "learning_rate": [3],
    }),
    ("stages.1.shrinks.0.sizes.0", "SizePlan", {
        "axis": ["", "width", None], "before": [0, -8, 4, "8"], "after": [0, -1, 8, 0.5, None]
    }),
    ("stages.1.shrinks.0.reshapes.0.cuts.0", "CutPlan", {
        "dim": [-1, "1", None, 0.5], "axis": ["layers", "", 3, None], "parts": [0, -1, None], "unit": [0, "1", 0.5]
    }),
    ("stages.1.prunes.0.reconstruct", "ReconstructPlan", {
        "steps": [0, -1, 1.5, "50", None], "learning_rate": [0, -1e-3, NAN, INF, "1e-3", None], "momentum": [0.9],
    }),
    ("stages.1.shrinks.0.reshapes.0", "ReshapePlan", {
        "name": [None, 3, ["a"]], "shape": [[0, 8], ["4", 8], None, 8, [4.5, 8]], "cuts": [[], None, {}], "surplus": [1],
    }),
    ("stages.1.shrinks.0", "ShrinkPlan", {
        "name": [None, 3], "by": ["", "chance"], "sizes": [[], None], "groups": [0, -1], "keep": [[-1], [0, 1, 2], ["0"]],
        "reshapes": [[{"name": "a", "shape": s, "cuts": [c]}] for s, c in (
            ([], {"dim": 0, "axis": "ffn"}), ([7], {"dim": 0, "axis": "ffn"}), ([8], {"dim": 1, "axis": "ffn"}),
            ([8], {"dim": 0, "axis": "heads"}), ([8], {"dim": 0, "axis": "ffn", "unit": 2}),
        )],
        "config": [None, {"a": 0.5}], "parameters": [[1000], [0, 500], "1000", [1000, 601], [600, 500]], "extra": [1],
    }),
    ("stages.1.shrinks.0.budget", "BudgetPlan", {
        "of": ["weights", None, "speedup"], "share": [-0.1, 1.1, "0.6", NAN], "most": [0, 499, 1000, "600", None],
        "chosen": [{}, {"width": 4}, {"ffn": 0}, {"ffn": "4"}, {"ffn": 3}, None], "extra": [1],
    }),
    ("stages.0", "StagePlan", {
        "index": [-1, "0"], "mode": ["both"], "steps": [-1, 11, 13], "steps_per_epoch": [0], "epochs": [-1.0, NAN],
        "batch": [0, -8], "micro_batch": [0], "accumulation": [0], "optimizer": ["adam2", ""], "clip": [0, -1.0],
        "learning_rate": [[], constant(1e-3, 11), constant(1e-3) * 2, constant(-1e-3)], "seed": [-1], "precision": ["fp8"],
        "keep": [0], "checkpoint_every": [0], "checkpoint_seconds": [0.0, -1.0, INF, "9"], "compat": ["sparseml_9"], "optimizer_args": [{"eps": NAN}],
    }),
    ("harnesses.0", "HarnessPlan", {
        "name": [None, 3], "task": [None, 3], "file": [None], "digest": ["sha256:zz", "", None, 3], "data": [None, {"a": "b"}, [1]],
        "metrics": [[], ["beauty"], None], "few_shot": [-1, 0.5, "5"], "samples": [0, -1, "9"], "batch": [0, -8, None, 1.5],
    }),
    ("evaluations.0", "EvaluatePlan", {
        "name": [None], "split": [None, 3], "samples": [0, -1], "metrics": [["beauty"], [3], None], "null_threshold": [NAN],
        "every": [{"sparse": 0}, {"sparse": -6}], "dense": ["no"],
    }),
    ("claims.0", "ClaimPlan", {
        "kind": ["require", "", None, 3], "id": [-1, "0", 0.5, None], "text": [None, 3], "message": [3], "met": [True]
    }),
    ("export", "ExportPlan", {
        "formats": [["pickle"], "safetensors", [3], None], "card": ["yes", 1, None], "max_shard": [0, -1, "5 GB", None]
    }),
    ("", "Plan", {
        "name": [None, 3], "source": [None], "spec_digest": ["sha256:", "x"], "behaviour_digest": [3], "seed": [-1, "42"],
        "data": [[], None], "stages": [[], None], "peak_memory": [-1], "rehearsal": [0], "evaluations": [[{}]], "extra": [1],
    }),
]  # fmt: skip

CASES = [
    pytest.param(at, model, name, value, id=f"{model}.{name}={json.dumps(value)[:24]}")
    for at, model, fields in BAD
    for name, values in fields.items()
    for value in values
]


def inside(form: Any, path: str) -> Any:
    for part in path.split(".") if path else ():
        form = form[int(part)] if isinstance(form, list) else form[part]
    return form


def tuples(form: object) -> object:
    """As Python code would write it: strict models take no lists."""
    match form:
        case {"zeros": _}:  # a plain dataclass, for there may be very many
            return PruneEvent(**{name: tuples(value) for name, value in form.items()})
        case dict():
            return {name: tuples(value) for name, value in form.items()}
        case list():
            return tuple(tuples(item) for item in form)
    return form


def test_the_whole_plan_is_one(tmp_path: Path) -> None:
    assert written(tmp_path, whole()).stages[0].prunes[0].events[1].zeros == (16, 16)
    assert types.Plan.model_validate(tuples(whole())).steps == 12


def _below(model: type) -> set[type]:
    return {c for sub in model.__subclasses__() for c in (sub, *_below(sub))}


def test_every_model_has_its_ten_worst() -> None:
    models = {m.__name__ for m in _below(Frozen) if m.__module__.startswith("recipelang.planning.")}
    counted = {model: sum(map(len, fields.values())) for _, model, fields in BAD}
    assert models | {"PruneEvent", "Meaning", "BudgetPlan"} == counted.keys()
    assert min(counted.values()) >= 10, counted


@pytest.mark.parametrize(("at", "model", "name", "value"), CASES)
def test_a_bad_value_is_refused_where_it_is_made(at: str, model: str, name: str, value: Any) -> None:
    form = whole()
    inside(form, at)[name] = value
    # pydantic raises `ValueError`s; events, of which there may be very many, are plain dataclasses
    with pytest.raises((ValueError, TypeError)) as refused:
        types.Plan.model_validate(tuples(form))
    assert name in str(refused.value)


@pytest.mark.parametrize(("at", "model", "name", "value"), CASES)
def test_a_bad_value_is_refused_in_a_plan_that_was_changed(
    at: str, model: str, name: str, value: Any, tmp_path: Path
) -> None:
    form = whole()
    inside(form, at)[name] = value
    with pytest.raises(RecipeError) as refused:
        written(tmp_path, form)
    (found,) = refused.value.diagnostics
    said = " ".join((found.message, *found.notes))
    assert found.code == "E137" and (name in said or "is not JSON" in said), found


def written(folder: Path, form: dict[str, Any]) -> types.Plan:
    (folder / "recipe").mkdir()
    (folder / "recipe" / "plan.json").write_text(json.dumps(form))
    return read_plan(folder)

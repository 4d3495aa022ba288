"""One plan, as JSON, in which every model of a plan occurs: what the tests of bad values change."""

from __future__ import annotations

from typing import Any

SHA = "sha256:" + "a" * 64
STEPS = 12


def constant(value: float, steps: int = STEPS) -> list[dict[str, Any]]:
    return [{"shape": "constant", "start": value, "end": value, "first": 0, "last": steps - 1}]


def target(name: str) -> dict[str, Any]:
    return {"name": name, "shape": [4, 8], "purpose": ""}


def whole() -> dict[str, Any]:
    split = {"reference": "train.json", "split": "train", "digest": SHA}
    pruned = {
        "name": "weights",
        "method": "magnitude",
        "args": {"scope": "uniform"},
        "targets": [target("a"), target("b")],
        "dense": [{"what": "embeddings", "tensors": 1, "weights": 100, "protected": True}],
        "events": [
            {"step": 2, "sparsity": 0.25, "zeros": [8, 8]},
            {"step": 4, "sparsity": 0.5, "zeros": [16, 16]},
        ],
    }
    held = {"name": "old", "method": "hold", "targets": [target("c")], "held": [3]}
    distilled = {
        "teacher": "stage.dense",
        "teacher_ref": "stage.dense",
        "terms": [
            {"kind": "hidden", "layers": [[0, 1]], "widths": [32, 64], "weight": constant(0.1)},
        ],
        "hardness": constant(1.0),
        "temperature": constant(5.5),
    }
    rate = [{"shape": "linear", "start": 8e-5, "end": 0.0, "first": 0, "last": STEPS - 1, "ends": "after"}]
    trained = {
        "name": "sparse",
        "index": 0,
        "steps": STEPS,
        "steps_per_epoch": 6,
        "epochs": 2.0,
        "batch": 8,
        "micro_batch": 4,
        "accumulation": 2,
        "optimizer": "adamw",
        "optimizer_args": {"betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.0},
        "learning_rate": rate,
        "loss": {"label_smoothing": 0.1, "class_weights": [1.5, 0.75], "class_counts": [10, 20]},
        "best": {"evaluation": "dev", "metric": "accuracy", "since": 5, "every": 6},
        "stop": {"evaluation": "dev", "metric": "accuracy", "since": 5, "every": 6, "patience": 3, "min_delta": 0.001},
        "seed": 42,
        "prunes": [pruned, held],
        "distills": [distilled],
        "adapters": [
            {"name": "side", "rank": 2, "alpha": 32.0, "targets": [target("e")], "also": ["f"], "trained": 24}
        ],
        "freezes": [{"name": "low", "targets": ["d"], "weights": 32, "until": 3}],
        "groups": [{"names": ["own"], "targets": ["e"], "weights": 32, "learning_rate": rate, "weight_decay": 0.0}],
    }
    once = {
        **{k: trained[k] for k in ("batch", "micro_batch", "accumulation", "optimizer", "seed")},
        "name": "once",
        "index": 1,
        "mode": "one_shot",
        "steps": 0,
        "steps_per_epoch": 1,
        "epochs": 0.0,
        "learning_rate": [],
        "prunes": [
            {
                "name": "all",
                "method": "wanda",
                "scope": "row",
                "reconstruct": {"steps": 50, "learning_rate": 0.001},
                "targets": [target("a")],
                "events": [{"step": 0, "sparsity": 0.5, "zeros": [16]}],
            }
        ],
        "shrinks": [
            {
                "name": "body",
                "by": "magnitude",
                "sizes": [{"axis": "ffn", "before": 8, "after": 4}, {"axis": "layers", "before": 4, "after": 2}],
                "keep": [0],
                "reshapes": [{"name": "a", "shape": [4, 8], "cuts": [{"dim": 1, "axis": "ffn"}]}],
                "config": {"intermediate_size": 4},
                "config_before": {"intermediate_size": 8},
                "parameters": [1000, 500],
                "budget": {"of": "parameters", "share": 0.6, "most": 600, "chosen": {"ffn": 4}},
            }
        ],
        "calibration": {"samples": 16, "length": 64, "layers": 2, "statistics": 1000, "states": 1000},
    }
    return {
        "format_version": "1.1",
        "name": "whole",
        "source": "whole.recipe",
        "spec_digest": SHA,
        "behaviour_digest": SHA,
        "seed": 42,
        "model": {
            "ref": "./model",
            "path": "model",
            "task": "sequence_classification",
            "digest": SHA,
            "parameters": 1000,
            "labels": ["a", "b"],
            "dropout": 0.1,
            "drop": {"keep": [0, 2], "layers": 4, "parameters": 2000, "decoder": {"keep": [0], "layers": 2}},
            "roleless": [{"what": "linear", "tensors": 2, "example": "layers.0.mixer.in_proj.weight"}],
        },
        "data": [
            {
                "label": "",
                "task": "sequence_classification",
                "splits": {
                    "train": {**split, "stream": {"portion": 9, "files": 1, "bytes": 1}},
                    "validation": {**split, "split": "validation"},
                },
                "max_length": 64,
                "stride": 0,
                "examples": {"train": 48},
                "items": {"train": 48},
                "chat": {"template": "sha256:" + "0" * 64, "marked": False, "pad": "</s>"},
                "mixture": [{"name": "a", "rows": 7, "samples": 3}],
                "meaning": {"columns": {"text": "text"}, "left_out": {"train": 1}, "choices": [2, 4]},
            }
        ],
        "stages": [trained, once],
        "evaluations": [{"name": "dev", "split": "validation", "metrics": ["accuracy"], "every": {"sparse": 6}}],
        "claims": [{"kind": "expect", "id": 0, "text": "dev.accuracy >= 50%"}],
        "harnesses": [
            {
                "name": "arc",
                "task": "arc_easy",
                "file": "arc.yaml",
                "digest": SHA,
                "data": {"a.jsonl": SHA},
                "metrics": ["acc"],
            }
        ],
        "export": {"formats": ["safetensors"], "card": True, "max_shard": 5_000_000_000},
    }

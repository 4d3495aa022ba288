"""Small model folders written without torch: a config, and weights of numpy for a family and a task."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from recipelang.planning.families import FAMILIES

CONFIGS: dict[str, dict[str, Any]] = {
    "bert": {
        "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16, "vocab_size": 24,
        "max_position_embeddings": 16, "type_vocab_size": 2,
    },
    "distilbert": {
        "dim": 8, "n_layers": 2, "n_heads": 2, "hidden_dim": 16, "vocab_size": 24, "max_position_embeddings": 16,
    },
    "llama": {
        "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1,
        "intermediate_size": 16, "vocab_size": 24, "max_position_embeddings": 16,
    },
}  # fmt: skip
CONFIGS["roberta"] = CONFIGS["bert"] | {"max_position_embeddings": 18, "type_vocab_size": 1, "pad_token_id": 1}


def make_folder(folder: Path, family: str, task: str, seed: int = 0, **config: object) -> Path:
    """A folder that holds what a model of the family has for the task; `None` takes a field out of the config."""
    folder.mkdir(parents=True)
    values = {"model_type": family, **CONFIGS[family], **config}
    values = {k: v for k, v in values.items() if v is not None}
    (folder / "config.json").write_text(json.dumps(values), "utf-8")
    drawn = np.random.default_rng(seed)
    save(folder, {t.name: drawn.standard_normal(t.shape, np.float32) for t in FAMILIES[family](values, task)})
    return folder


def load(folder: Path) -> dict[str, np.ndarray]:
    return load_file(folder / "model.safetensors")


def save(folder: Path, tensors: Mapping[str, np.ndarray]) -> None:
    save_file(dict(tensors), folder / "model.safetensors", {"format": "pt"})


def configure(folder: Path, **changes: object) -> None:
    values = json.loads((folder / "config.json").read_text("utf-8")) | changes
    (folder / "config.json").write_text(json.dumps({k: v for k, v in values.items() if v is not None}), "utf-8")

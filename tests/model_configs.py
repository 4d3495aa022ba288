"""Models of full size of which there is only what a plan reads: a config, and the header of weights that are a hole."""

from __future__ import annotations

import hashlib
import json
import struct
from math import prod
from pathlib import Path
from types import SimpleNamespace

import pytest

from recipelang.planning import data, resolve
from recipelang.planning.families import FAMILIES

CONFIGS: dict[str, dict[str, object]] = {
    "bert-base": {
        "model_type": "bert",
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "vocab_size": 30522,
        "max_position_embeddings": 512,
        "type_vocab_size": 2,
    },
    "roberta-large": {
        "model_type": "roberta",
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
        "vocab_size": 50265,
        "max_position_embeddings": 514,
        "type_vocab_size": 1,
    },
    "llama-1b": {
        "model_type": "llama",
        "hidden_size": 2048,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "intermediate_size": 8192,
        "vocab_size": 128256,
        "max_position_embeddings": 131072,
        "tie_word_embeddings": True,
    },
}


def make_config(folder: Path, name: str, task: str, labels: tuple[str, ...] = ()) -> Path:
    """A model folder for a task, head and all. The weights take no room on the disk."""
    config = dict(CONFIGS[name])
    if labels:
        config |= {
            "id2label": {str(i): n for i, n in enumerate(labels)},
            "label2id": {n: i for i, n in enumerate(labels)},
        }
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    header, at = {}, 0
    for tensor in FAMILIES[str(config["model_type"])](config, task):
        header[tensor.name] = {
            "dtype": "F32",
            "shape": tensor.shape,
            "data_offsets": [at, at := at + 4 * prod(tensor.shape)],
        }
    raw = json.dumps(header).encode()
    with open(folder / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(raw)) + raw)
        file.truncate(8 + len(raw) + at)
    return folder


def pretend(monkeypatch: pytest.MonkeyPatch, inputs: int) -> None:
    """As many training inputs as wanted, and no gigabytes of nothing to hash."""
    size = data._Size(examples=inputs, items=inputs, sequences=inputs, **dict.fromkeys(data._COUNTED, 0))
    monkeypatch.setattr(data, "_sizes", lambda *_: size)
    monkeypatch.setattr(resolve, "check_weights", lambda facts: None)
    monkeypatch.setattr(resolve, "zeros_of_folder", lambda path: SimpleNamespace(get=lambda name, default: (1, 1)))
    monkeypatch.setattr(resolve, "model_digest", _digest)
    monkeypatch.setattr("recipelang.planning.identities.model_digest", _digest)


def _digest(path: Path, **_: object) -> str:
    return "sha256:" + hashlib.sha256(path.name.encode()).hexdigest()

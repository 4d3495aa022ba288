"""Models of full size of which there is only what a plan reads: a config, and the header of weights that are a hole."""

from __future__ import annotations

import hashlib
import json
import struct
import sys
from collections.abc import Callable
from functools import cache
from math import prod
from pathlib import Path
from types import SimpleNamespace

import pytest

from recipelang.planning import data, facts, macs, resolve, structure, weights, zeros
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
    # of the types that are read from the model class
    "modernbert-base": {
        "model_type": "modernbert",
        "hidden_size": 768,
        "num_hidden_layers": 22,
        "num_attention_heads": 12,
        "intermediate_size": 1152,
        "vocab_size": 50368,
        "max_position_embeddings": 8192,
    },
    "electra-base": {
        "model_type": "electra",
        "embedding_size": 768,
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "vocab_size": 30522,
        "max_position_embeddings": 512,
        "type_vocab_size": 2,
    },
    "deberta-v3-base": {
        "model_type": "deberta-v2",
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "vocab_size": 128100,
        "max_position_embeddings": 512,
        "type_vocab_size": 0,
        "relative_attention": True,
        "position_buckets": 256,
        "norm_rel_ebd": "layer_norm",
        "share_att_key": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_biased_input": False,
    },
    "gpt2": {
        "model_type": "gpt2",
        "n_embd": 768,
        "n_layer": 12,
        "n_head": 12,
        "n_positions": 1024,
        "vocab_size": 50257,
    },
    "qwen2-0.5b": {
        "model_type": "qwen2",
        "hidden_size": 896,
        "num_hidden_layers": 24,
        "num_attention_heads": 14,
        "num_key_value_heads": 2,
        "intermediate_size": 4864,
        "vocab_size": 151936,
        "max_position_embeddings": 32768,
        "tie_word_embeddings": True,
    },
    "qwen2-moe": {
        "model_type": "qwen2_moe",
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "moe_intermediate_size": 24,
        "shared_expert_intermediate_size": 24,
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "vocab_size": 64,
        "max_position_embeddings": 64,
    },
    "t5-small": {
        "model_type": "t5",
        "d_model": 512,
        "d_kv": 64,
        "d_ff": 2048,
        "num_layers": 6,
        "num_heads": 8,
        "vocab_size": 32128,
        "decoder_start_token_id": 0,
    },
    "mt5-small": {
        "model_type": "mt5",
        "d_model": 512,
        "d_kv": 64,
        "d_ff": 1024,
        "num_layers": 8,
        "num_heads": 6,
        "vocab_size": 250112,
        "feed_forward_proj": "gated-gelu",
        "decoder_start_token_id": 0,
    },
    "bart-base": {
        "model_type": "bart",
        "d_model": 768,
        "encoder_layers": 6,
        "decoder_layers": 6,
        "encoder_attention_heads": 12,
        "decoder_attention_heads": 12,
        "encoder_ffn_dim": 3072,
        "decoder_ffn_dim": 3072,
        "vocab_size": 50265,
        "max_position_embeddings": 1024,
        "decoder_start_token_id": 2,
    },
    "mistral-7b": {
        "model_type": "mistral",
        "hidden_size": 4096,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "intermediate_size": 14336,
        "vocab_size": 32000,
        "max_position_embeddings": 32768,
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
    family = FAMILIES.get(str(config["model_type"]))
    known = family(config, task) if family else structure.structure(folder, config, task, None).tensors
    for tensor in known:
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


def walk_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Model classes are read in this process, each question once: a process of its own takes seconds."""
    monkeypatch.setattr(structure, "_ask", lambda request, kind: _walked(request))


@cache
def _walked(request: str) -> object:
    from recipelang.engine.walk import walk

    return structure._ANSWER.validate_json(json.dumps(walk(json.loads(request))), strict=True)


def count_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Operations are counted in this process, too."""
    monkeypatch.setattr(macs, "apart", lambda module, request: SimpleNamespace(stdout=_counted(request)))


@cache
def _counted(request: str) -> str:
    from recipelang.engine.macs import answer

    return json.dumps(answer(json.loads(request)))


def pretend(monkeypatch: pytest.MonkeyPatch, inputs: int) -> None:
    """As many training inputs as wanted, and no gigabytes of nothing to hash."""
    size = data._Size(examples=inputs, items=inputs, sequences=inputs, **dict.fromkeys(data._COUNTED, 0))
    monkeypatch.setattr(data, "_sizes", lambda *_: size)
    wherever_used(monkeypatch, weights.check_weights, lambda facts: None)
    wherever_used(monkeypatch, zeros.stored_zeros, lambda path: SimpleNamespace(get=lambda name, default: (1, 1)))
    wherever_used(monkeypatch, facts.model_digest, _digest)


def wherever_used(monkeypatch: pytest.MonkeyPatch, function: Callable[..., object], instead: object) -> None:
    """Exchange a function of planning in every module of it that has imported it: one that is forgotten reads the holes.

    Not where it is written: what is imported meanwhile would keep the other one.
    """
    assert resolve.Resolver, "with all that it imports"
    for name, module in [*sys.modules.items()]:
        if name.startswith("recipelang.planning.") and name != function.__module__:
            for own in [own for own, value in vars(module).items() if value is function]:
                monkeypatch.setattr(module, own, instead)


def _digest(path: Path, **_: object) -> str:
    return "sha256:" + hashlib.sha256(path.name.encode()).hexdigest()

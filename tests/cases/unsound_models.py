"""Circumstances of model folders that cannot be used, each made of the tiny model by a change of names or numbers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

WEIGHTS = Path("model/model.safetensors")
QUERY = "bert.encoder.layer.1.attention.self.query"
Change = Callable[[dict[str, Any]], dict[str, Any]]


def rewrite(change: Change, path: Path = WEIGHTS) -> None:
    """Write the weights again as `change` makes them of the dict of tensors."""
    from safetensors.torch import load_file, save_file

    save_file(change(load_file(path)), path, {"format": "pt"})


def weights(change: Change) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda monkeypatch: rewrite(change)


def configured(**changes: object) -> Callable[[pytest.MonkeyPatch], None]:
    """With other entries in config.json; `None` takes one out."""

    def change(monkeypatch: pytest.MonkeyPatch) -> None:
        path = Path("model/config.json")
        values = json.loads(path.read_text("utf-8")) | changes
        path.write_text(json.dumps({k: v for k, v in values.items() if v is not None}), "utf-8")

    return change


def quantised(tensors: dict[str, Any]) -> dict[str, Any]:
    import torch

    return {**tensors, f"{QUERY}.weight_scale": torch.ones(1)}


def prefixed(tensors: dict[str, Any]) -> dict[str, Any]:
    return {f"_orig_mod.{n}": w for n, w in tensors.items()}


def in_parts(tensors: dict[str, Any]) -> dict[str, Any]:
    whole = tensors.pop(f"{QUERY}.weight")
    return {**tensors, f"{QUERY}.weight_orig": whole, f"{QUERY}.weight_mask": (whole > 0).float()}


def surplus(tensors: dict[str, Any]) -> dict[str, Any]:
    return {**tensors, f"{QUERY}.gate": tensors[f"{QUERY}.bias"].clone()}


def strange(tensors: dict[str, Any]) -> dict[str, Any]:
    return {**tensors, "regressor.weight": tensors["qa_outputs.weight"].clone()}


def not_a_number(tensors: dict[str, Any]) -> dict[str, Any]:
    tensors[f"{QUERY}.weight"][2, 7] = float("nan")
    return tensors


def with_adapter(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("model/adapter_config.json").write_text('{"base_model_name_or_path": "elsewhere"}', "utf-8")


def masked_lm(monkeypatch: pytest.MonkeyPatch, tied: bool = True) -> None:
    import torch
    from transformers import BertConfig, BertForMaskedLM

    torch.manual_seed(0)
    config = BertConfig.from_pretrained("model", tie_word_embeddings=tied)
    BertForMaskedLM(config).save_pretrained("model")


def two_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A masked language model whose config ties what its weights hold twice, and differently."""
    masked_lm(monkeypatch, tied=False)
    configured(tie_word_embeddings=True)(monkeypatch)


def another_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("model/consolidated.safetensors").write_bytes(WEIGHTS.read_bytes())


def one_more_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after `add_tokens`, without a resized table."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file("model/tokenizer.json")
    tokenizer.add_tokens(["lima"[:2]])
    tokenizer.save("model/tokenizer.json")


def vocabulary_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """A `vocab.txt` that is not the one that added tokens were numbered for."""
    Path("model/tokenizer.json").unlink()
    Path("model/vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\ngold\n", "utf-8")
    Path("model/added_tokens.json").write_text('{"<city>": 24}', "utf-8")


UNSOUND: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "a masked language model": masked_lm,
    "the config gives its width as a list": configured(hidden_size=[32]),
    "the config unties the head": configured(tie_word_embeddings=False),
    "the config has three heads": configured(num_attention_heads=3),
    "the weights are quantised": weights(quantised),
    "the weights are those of a compiled model": weights(prefixed),
    "the weights are stored apart from masks": weights(in_parts),
    "the weights hold more than the model": weights(surplus),
    "the weights hold a part of somebody's own": weights(strange),
    "the weights hold two heads": two_heads,
    "a weight is not a number": weights(not_a_number),
    "the model folder holds an adapter": with_adapter,
    "the config has no padding token": configured(pad_token_id=-1),
    "the config names code": configured(auto_map={"AutoModel": "modeling_mine.Mine"}),
    "another copy of the weights": another_copy,
    "the tokenizer has one token more": one_more_token,
    "the vocabulary is another model's": vocabulary_of_another,
}

"""A tiny mixture of experts of which the router never chooses some."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.decoders import make_text
from tests.model_table import tokenizer
from tests.model_types import config_of

#: of every layer; every token goes to the other two
AVOIDED = (2, 3)


def make_avoiding(folder: Path) -> Any:
    """`model` and `data.jsonl` in a folder: a state that is above zero for every token decides."""
    import torch
    import transformers

    torch.manual_seed(0)
    config = config_of("mixtral")
    model = transformers.AutoModelForCausalLM.from_config(config)
    model.model.embed_tokens.weight.detach()[:, 0] = 4
    for layer in model.model.layers:
        gate = layer.mlp.gate.weight.detach()
        gate[:] = 0
        gate[:, 0] = torch.tensor([1.0, 1.5, -1.0, -1.5])
    (folder / "model").mkdir(parents=True)
    model.save_pretrained(folder / "model")
    tokenizer(folder / "model", config.vocab_size, False)
    make_text(folder / "data.jsonl", 24)
    return model

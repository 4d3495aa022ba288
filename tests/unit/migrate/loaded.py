"""Run inside an environment with llm-compressor: recipes as its modifiers do them, to small models with the same names.

Takes a file of JSON, a list of pairs: a recipe's path, and the model's type, class, layers, and whether its head is tied.
Every modifier is initialized, shown two inputs and finalized as its pipeline does. Prints JSON, as the last line: the
tool logs on the screen too.
"""

from __future__ import annotations

import json
import sys
from typing import Any

_SMALL: dict[str, dict[str, Any]] = {
    "llama": {
        "hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2, "num_key_value_heads": 2,
        "vocab_size": 64, "max_position_embeddings": 32,
    },
    "bert": {
        "hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2, "vocab_size": 64,
        "max_position_embeddings": 32,
    },
}  # fmt: skip


def model_of(facts: dict[str, Any]) -> Any:
    import torch
    import transformers

    torch.manual_seed(0)
    kind = facts["model_type"]
    config = transformers.AutoConfig.for_model(
        kind, **_SMALL[kind], num_hidden_layers=facts["layers"], tie_word_embeddings=facts["tied"]
    )
    return getattr(transformers, facts["class"]).from_config(config).eval()


def _zeros(module: Any) -> float:
    return float((module.weight == 0).float().mean())


def done(path: str, facts: dict[str, Any]) -> list[dict[str, Any]]:
    """What each modifier is, and the share of zeros of every matrix that has more of them after it than at first."""
    import torch
    from llmcompressor.core import Event, EventType, State
    from llmcompressor.recipe import Recipe

    model = model_of(facts)
    matrices = {n: m for n, m in model.named_modules() if getattr(getattr(m, "weight", None), "ndim", 0) == 2}
    before = {name: _zeros(module) for name, module in matrices.items()}  # of padding
    tokens = torch.randint(0, 64, (2, 16), generator=torch.Generator().manual_seed(1))
    recipe = Recipe.create_instance(path)
    state = State()
    state.model = model
    for modifier in recipe.modifiers:  # the tool initializes all of them before it calibrates the first
        modifier.initialize(state)
    found: list[dict[str, Any]] = []
    for modifier in recipe.modifiers:
        modifier.update_event(state, Event(type_=EventType.CALIBRATION_START))
        with torch.no_grad():
            for row in tokens:
                model(row[None])
        modifier.update_event(state, Event(type_=EventType.SEQUENTIAL_EPOCH_END), modules=[])
        modifier.update_event(state, Event(type_=EventType.CALIBRATION_END))
        names = {"sparsity", "mask_structure", "block_size", "dampening_frac", "preserve_sparsity_mask"}
        zeros = {n: share for n, m in matrices.items() if (share := _zeros(m)) > before[n]}
        shown = {k: v for k, v in modifier.model_dump(include=names).items() if v is not None}
        found.append({"name": type(modifier).__name__, "zeros": zeros, **shown})
    for modifier in recipe.modifiers:
        modifier.finalize(state)
    return found


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        print(json.dumps([done(path, facts) for path, facts in json.load(file)]))

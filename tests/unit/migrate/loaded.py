"""Run inside an environment with llm-compressor: a recipe of its own as it loads it, and the modules that it means.

Prints JSON, as the last line: the tool logs on the screen too.
"""

from __future__ import annotations

import json
import sys
from typing import Any


def main(path: str) -> None:
    import torch
    from compressed_tensors.utils import match_named_modules
    from llmcompressor.recipe import Recipe
    from transformers import LlamaConfig, LlamaForCausalLM

    with torch.device("meta"):
        model = LlamaForCausalLM(LlamaConfig(num_hidden_layers=32))
    found: list[dict[str, Any]] = []
    for modifier in Recipe.create_instance(path).modifiers:
        means = [name for name, _ in match_named_modules(model, modifier.targets, modifier.ignore)]
        shown = modifier.model_dump(include={"sparsity", "mask_structure", "block_size", "dampening_frac"})
        found.append({"name": type(modifier).__name__, "modules": sorted(means), **shown})
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])

"""Files of other tools, told by words that only they hold, so that a refusal can name them."""

from __future__ import annotations

import re

from recipelang.source import Diagnostic, Label, Source, Span

#: what `migrate` reads, for every refusal of a whole file
READS = "`migrate` reads SparseML and llm-compressor"

#: tool -> texts that its files hold, all of them; the first that fits counts
_TOOLS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Axolotl", (r"^base_model\s*:", r"^(datasets|llmcompressor|adapter|micro_batch_size)\s*:")),
    ("Axolotl", (r"^llmcompressor\s*:",)),
    ("LLaMA-Factory", (r"^model_name_or_path\s*:", r"^(finetuning_type|template|stage)\s*:")),
    ("NNCF", (r"\bcompression['\"]?\s*:", r"\balgorithm['\"]?\s*:")),
    ("NNCF", (r"\b(nncf_config|input_info)['\"]?\s*:",)),
    ("Intel Neural Compressor", (r"\b(weight_compression|weight_compression_v2|pruners)\b", r"\b(approach|pruning_type)\b")),
    ("Intel Neural Compressor", (r"^(quantization|pruning|distillation)\s*:", r"\b(approach|tuning|accuracy_criterion)\s*:")),
    ("Distiller", (r"^pruners\s*:", r"^policies\s*:")),
    ("nni", (r"\bop_(types|names)['\"]?\s*:", r"\b(sparsity|sparse_ratio|total_sparsity|quant_\w+|sparsity_per_layer)['\"]?\s*:")),
    ("DeepSpeed", (r"\b(compression_training|zero_optimization|sparse_pruning)['\"]?\s*:",)),
    ("Model Optimizer", (r"\$import\b|modelopt|\bquant_cfg['\"]?\s*:",)),
    ("nn_pruning", (r"\b(dense_pruning_method|attention_pruning_method)\b",)),
    ("Olive", (r"\binput_model['\"]?\s*:", r"\bpasses['\"]?\s*:")),
    ("TextBrewer", (r"\b(hard_label_weight|intermediate_matches|kd_loss_type)\b",)),
    ("torchtune", (r"\b_component_\s*:",)),
    ("mergekit", (r"^merge_method\s*:",)),
    ("PaddleSlim", (r"\b(ChannelPrune|UnstructurePrune|TransformerPrune|ASPPrune)\b",)),
    ("Hugging Face Optimum", (r"\b(pruning_config|optimum_version)['\"]?\s*:",)),
)  # fmt: skip
_PYTHON = re.compile(
    r"^[ \t]*(?:from[ \t]+[\w.]+[ \t]+import\b|import[ \t]+\w|def[ \t]+\w+\(|\w+[ \t]*=[ \t]*[fr]?(?:\"\"\"|'''))",
    re.MULTILINE,
)
_OWN = re.compile(r"^[ \t]*recipe[ \t]+\d+[ \t]+\"", re.MULTILINE)
_CONFIG = re.compile(r"\bmodel_type['\"]\s*:")


def told(source: Source) -> Diagnostic | None:
    """E111 for a file without modifiers, by what it is instead."""
    text = source.text[: 64 * 1024]
    if at := _OWN.search(text):
        message, help = "this file is already a recipe of this language", "check it with `recipelang validate`"
    elif at := _PYTHON.search(text):
        message = f"this is Python; {READS}"
        help = "copy the text of the recipe to a file that ends in `.yaml`"
    elif (at := _CONFIG.search(text)) and re.search(r"\b(architectures|transformers_version)['\"]\s*:", text):
        message, help = f"this is the config of a model; {READS}", "look for `recipe.yaml` in the same folder"
    else:
        found = ((tool, [re.search(w, text, re.MULTILINE) for w in words]) for tool, words in _TOOLS)
        tool, matches = next((f for f in found if all(f[1])), ("", []))
        if not matches:
            return None
        at = matches[0]
        message = f"this is a configuration of {tool}; {READS}"
        help = "write the recipe by hand: start with `recipelang init`"
        if re.search(r"\brecipe\s*:", text) and "Modifier" in text:
            help = "copy the text below `recipe:` to a separate file"
    assert at is not None
    span = Span(source.base + at.start(), source.base + at.end())
    return Diagnostic("E111", message, Label(source, span), help=(help,))

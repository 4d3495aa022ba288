"""What users of other tools write, and the word of this language for it. Offered in messages, never read.

Trainer, SparseML, LLM Compressor, torch and everyday English. Attributes have their own table beside the blocks.
"""

from __future__ import annotations

from collections.abc import Container

Table = dict[str, str]


def _table(words: dict[str, str]) -> Table:
    """`{meant: "alias alias"}` the other way round."""
    return {alias: word for word, aliases in words.items() for alias in aliases.split()}


#: names that stand for a value
SYMBOLS = _table(
    {
        "true": "yes on enabled",
        "false": "no off disabled",
        "none": "null nil None undefined",
        "fp32": "float32 float single",
        "bf16": "bfloat16 brain16",
        "fp16": "float16 half",
        "adamw": "adam AdamW adamw_torch adamw_hf adamw_torch_fused",
        "uniform": "local layerwise layer_wise per_layer",
        "linear": "linear_decay lin polynomial_decay",
        "constant": "const constant_with_warmup flat",
        "cosine": "cos cosine_annealing cosine_with_restarts",
        "exponential": "exp",
        "polynomial": "poly",
        "step": "multistep multi_step",
        "cubic": "cube agp",
        "sequential": "layer_by_layer",
        "one_shot": "oneshot post_training",
        "train": "training fine_tune finetune",
        "question_answering": "qa squad extractive_qa",
        "sequence_classification": "text_classification classification glue",
        "token_classification": "ner pos tagging",
        "masked_lm": "mlm fill_mask",
        "causal_lm": "clm text_generation language_modeling lm",
        "f1": "f1_score eval_f1",
        "exact_match": "em exact eval_exact_match",
        "accuracy": "acc eval_accuracy",
        "matthews": "mcc matthews_correlation matthews_corr",
        "perplexity": "ppl",
        "loss": "eval_loss nll",
        "logits": "outputs output logit",
        "hidden": "hidden_states",
        "attention": "attentions",
        "start": "begin beginning",
        "end": "stop finish",
    }
)

ROLES = _table(
    {
        "linear": "dense fc Linear matrices",
        "embeddings": "embed emb word_embeddings",
        "head": "classifier qa_outputs lm_head output",
        "norm": "layernorm LayerNorm layer_norm ln",
        "attention": "attn self_attention",
        "ffn": "mlp feed_forward feedforward intermediate",
        "query": "q q_proj",
        "key": "k k_proj",
        "value": "v v_proj",
        "out": "o o_proj",
    }
)

BLOCKS = _table(
    {
        "meta": "metadata info",
        "model": "base network",
        "data": "dataset datasets",
        "stage": "phase training train training_modifiers",
        "prune": "pruning pruner pruning_modifiers sparsify sparsity_modifiers",
        "distill": "distillation distillation_modifiers kd teacher",
        "freeze": "frozen freezing freeze_modules",
        "group": "param_group param_groups parameter_group parameter_groups parameters",
        "drop": "layer_drop drop_layers LayerPruningModifier",
        "evaluate": "eval evaluation test validate",
        "export": "save output outputs",
    }
)

TYPES = _table(
    {
        "number": "float double real num decimal",
        "int": "integer count long",
        "bool": "boolean flag",
        "string": "str text char",
        "ratio": "percent percentage fraction share",
        "span": "duration time length",
        "bytes": "size",
        "one_of": "enum choice oneof literal",
    }
)

#: `%` clings to its number
UNITS = _table(
    {
        "epochs": "ep eps pass passes",
        "steps": "iteration iterations iter iters it its update updates",
        "samples": "example examples row rows record records sentences questions",
        "tokens": "word words subword subwords wordpieces",
        "%": "percent pct percents percentage",
        "B": "byte bytes",
        "s": "second seconds sec secs",
        "min": "minute minutes mins",
        "h": "hour hours hr hrs",
        "x": "times fold",
    }
)


def learn(words: dict[str, str]) -> None:
    """Also what declarations say of their own names."""
    SYMBOLS.update(_table(words))


def meant(word: str, table: Table, known: Container[str]) -> str | None:
    """The word of `known` that users of other tools write as `word`."""
    found = table.get(word) or table.get(word.lower())
    return found if found is not None and found in known else None

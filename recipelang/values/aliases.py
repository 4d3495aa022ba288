"""What users of other tools write, and the word of this language for it. Offered in messages, never read.

Trainer, SparseML, LLM Compressor, torch and everyday English.
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
        "regression": "regressor scoring",
        "token_classification": "ner pos tagging",
        "masked_lm": "mlm fill_mask",
        "sentence_similarity": "similarity sts stsb embedding embeddings sentence_embedding sentence_embeddings feature_extraction",
        "causal_lm": "clm text_generation language_modeling lm",
        "text_to_text": "text2text seq2seq seq2seq_lm text2text_generation summarization translation",
        "f1": "f1_score eval_f1",
        "exact_match": "em exact eval_exact_match",
        "accuracy": "acc eval_accuracy",
        "matthews": "mcc matthews_correlation matthews_corr",
        "pearson": "pearsonr pearson_correlation pearson_corr eval_pearson",
        "spearman": "spearmanr spearman_correlation spearman_corr eval_spearmanr spearman_cosine cosine_spearman rho",
        "mse": "mean_squared_error squared_error eval_mse",
        "perplexity": "ppl",
        "rouge1": "rouge rouge_1 eval_rouge1",
        "rouge2": "rouge_2 eval_rouge2",
        "rougeL": "rouge_l rougel eval_rougeL",
        "bleu": "sacrebleu eval_bleu",
        "mrr": "MRR mean_reciprocal_rank",
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
        "adapter": "adapters lora peft low_rank",
        "shrink": "structured structured_pruning StructuredPruningModifier width slim",
        "evaluate": "eval evaluation test validate",
        "harness": "lm_eval lm_evaluation_harness lm_harness",
        "export": "save output outputs",
        "track": "tracker trackers tracking logger loggers log_with report_to",
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
        "ms": "millisecond milliseconds msec msecs",
        "s": "second seconds sec secs",
        "min": "minute minutes mins",
        "h": "hour hours hr hrs",
        "x": "times fold",
    }
)


#: names of attributes
ATTRIBUTES: Table = {
    "lr": "learning_rate",
    "init_lr": "learning_rate",
    "learning_rates": "learning_rate",
    "epochs": "length",
    "num_train_epochs": "length",
    "num_epochs": "length",
    "max_steps": "length",
    "batch_size": "batch",
    "per_device_train_batch_size": "micro_batch",
    "gradient_accumulation_steps": "micro_batch",
    "max_grad_norm": "clip",
    "max_seq_length": "max_length",
    "doc_stride": "stride",
    "null_score_diff_threshold": "null_threshold",
    "pos_label": "positive",
    "class_names": "classes",
    "label_list": "classes",
    "distill_output_keys": "on",
    "params": "targets",
    "modules": "targets",
    "ignore": "never",
    "mask_type": "pattern",
    "mask_structure": "pattern",
    "final_sparsity": "sparsity",
    "init_sparsity": "sparsity",
    "model_name_or_path": "base",
    "dataset_name": "source",
    "bf16": "precision",
    "fp16": "precision",
    "warmup": "learning_rate",
    "warmup_steps": "learning_rate",
    "warmup_ratio": "learning_rate",
    "lr_scheduler_type": "learning_rate",
    "lr_func": "learning_rate",
    "train_batch_size": "batch",
    "per_device_batch_size": "micro_batch",
    "accumulate": "micro_batch",
    "start_epoch": "sparsity",
    "end_epoch": "length",
    "update_frequency": "sparsity",
    "inter_func": "sparsity",
    "global_sparsity": "method",
    "score_type": "method",
    "pruner": "method",
    "layers": "targets",
    "block_size": "method",
    "distill_temperature": "temperature",
    "alpha": "hardness",
    "kd_weight": "hardness",
    "distill_hardness": "hardness",
    "teacher_model": "teacher",
    "distill_teacher": "teacher",
    "optim": "optimizer",
    "weight_decay": "optimizer",
    "gradient_clipping": "clip",
    "grad_clip": "clip",
    "save_steps": "checkpoint_every",
    "save_total_limit": "keep",
    "eval_steps": "every",
    "max_train_samples": "samples",
    "max_seq_len": "max_length",
    "model": "base",
    "pretrained": "base",
    "checkpoint": "base",
    "name_or_path": "base",
    "torch_dtype": "dtype",
    "task_name": "task",
    "dataset": "source",
    "path": "source",
    "metric": "metrics",
    "torch_compile": "compile",
    "load_best_model_at_end": "keep_best",
    "metric_for_best_model": "keep_best",
    "early_stopping_patience": "stop_early",
    "early_stopping_threshold": "stop_early",
    "gradient_checkpointing": "activation_checkpointing",
    "tf32": "precision",
    "label_names": "classes",
    "lr_scheduler": "learning_rate",
    "random_seed": "seed",
}

_WARMED_UP = "warm-up is the first part of a list, `[linear(0 -> 5e-5, over = start..1 epoch), linear(5e-5 -> 0, over = 1 epoch..end)]`"
_ACCUMULATED = "`batch` counts the examples of a whole optimizer step; `micro_batch` splits it into passes"
_PATIENT = "as in `stop_early = dev.f1`, with `patience = 3` and `min_delta = 0.1%`"
_DEVICES = "examples per pass; `batch` counts the whole optimizer step, over all passes and devices"

#: of these, those whose value means or is written something else here, so that no fix puts the name right alone; and
#: what to write, where the attribute's own example does not say it
OTHER_VALUES: dict[str, str] = {
    **dict.fromkeys(("warmup", "warmup_steps", "warmup_ratio"), _WARMED_UP),
    **dict.fromkeys(("gradient_accumulation_steps", "accumulate"), _ACCUMULATED),
    **dict.fromkeys(("per_device_train_batch_size", "per_device_batch_size"), _DEVICES),
    **dict.fromkeys(("early_stopping_patience", "early_stopping_threshold"), _PATIENT),
    "max_steps": "with its unit, as in `length = 100 steps`",
    "update_frequency": "how often it changes, as in `cubic(0% -> 90%, over = 10%..90%, every = 100 steps)`",
    "weight_decay": "as in `optimizer = adamw(weight_decay = 0.01)`",
    **dict.fromkeys(("init_lr", "lr_scheduler_type", "lr_func", "lr_scheduler", "optim"), ""),
    **dict.fromkeys(("final_sparsity", "init_sparsity", "start_epoch", "end_epoch", "inter_func"), ""),
    **dict.fromkeys(("global_sparsity", "score_type", "pruner", "block_size", "distill_output_keys"), ""),
    **dict.fromkeys(("bf16", "fp16", "tf32", "mask_type", "mask_structure", "save_steps", "eval_steps", "alpha"), ""),
    **dict.fromkeys(("dataset", "path", "load_best_model_at_end", "metric_for_best_model"), ""),
}


def learn(words: dict[str, str]) -> None:
    """Also what declarations say of their own names."""
    SYMBOLS.update(_table(words))


def meant(word: str, table: Table, known: Container[str]) -> str | None:
    """The word of `known` that users of other tools write as `word`."""
    found = table.get(word) or table.get(word.lower())
    return found if found is not None and found in known else None

"""Model types of transformers with sizes so small that each can be made, pruned and read again in seconds."""

from __future__ import annotations

from typing import Any

#: sizes that most configs have; those a config does not know are left out
SIZES: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 64,
    "initializer_range": 0.1,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_SEQ2SEQ = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "decoder_start_token_id": 2,
}
_T5 = {
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 48,
    "num_layers": 2,
    "num_decoder_layers": 2,
    "num_heads": 4,
    "decoder_start_token_id": 0,
}
_GPT = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64, "n_inner": 48}
_MOE = {
    "num_experts": 4,
    "num_local_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 24,
    "shared_expert_intermediate_size": 24,
}

ENCODERS: dict[str, dict[str, Any]] = {
    "bert": {},
    "roberta": {},
    "xlm-roberta": {},
    "camembert": {},
    "distilbert": {"dim": 32, "hidden_dim": 48, "n_layers": 2, "n_heads": 4},
    "electra": {"embedding_size": 16},
    "albert": {"embedding_size": 16},
    "deberta": {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]},
    "deberta-v2": {
        "relative_attention": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_buckets": 8,
        "norm_rel_ebd": "layer_norm",
        "share_att_key": True,
    },
    "mpnet": {},
    "modernbert": {"local_attention": 6, "global_attn_every_n_layers": 2, "cls_token_id": 1, "sep_token_id": 2},
    "ernie": {},
    "roformer": {"embedding_size": 32},
    "eurobert": {},
    "nomic_bert": {},
    "xlm-roberta-xl": {},
    "megatron-bert": {},
    "convbert": {"embedding_size": 32},
    "squeezebert": {"embedding_size": 32},
    "mobilebert": {"embedding_size": 32, "intra_bottleneck_size": 16},
    "layoutlm": {},
    "rembert": {"input_embedding_size": 16, "output_embedding_size": 16},
    "fnet": {"use_tpu_fourier_optimizations": False},
    "nystromformer": {"num_landmarks": 4, "segment_means_seq_len": 64},
    "ibert": {},
    "flaubert": {"emb_dim": 32, "n_layers": 2, "n_heads": 4},
    "xlm": {"emb_dim": 32, "n_layers": 2, "n_heads": 4},
    "data2vec-text": {},
    "funnel": {"d_model": 32, "n_head": 4, "d_head": 8, "d_inner": 48, "block_sizes": [1, 1]},
    "longformer": {"attention_window": 4},
    "big_bird": {"attention_type": "original_full"},
    "luke": {"entity_vocab_size": 8, "entity_emb_size": 16},
    "esm": {"mask_token_id": 3},
    "yoso": {},
    "mra": {},
    "xmod": {"languages": ["en_XX"], "default_language": "en_XX"},
    "roberta-prelayernorm": {},
    "jina_embeddings_v3": {},
}
SEQ2SEQ: dict[str, dict[str, Any]] = {
    "bart": _SEQ2SEQ,
    "mbart": _SEQ2SEQ,
    "pegasus": _SEQ2SEQ,
    "marian": _SEQ2SEQ | {"decoder_vocab_size": 64},
    "blenderbot": _SEQ2SEQ,
    "blenderbot-small": _SEQ2SEQ,
    "m2m_100": _SEQ2SEQ,
    "plbart": _SEQ2SEQ,
    "mvp": _SEQ2SEQ,
    "t5": _T5,
    "mt5": _T5,
    "umt5": _T5,
    "longt5": _T5,
    "led": _SEQ2SEQ
    | {"attention_window": 4, "max_encoder_position_embeddings": 64, "max_decoder_position_embeddings": 64},
    "t5gemma": {},
}
DECODERS: dict[str, dict[str, Any]] = {
    "llama": {},
    "mistral": {"sliding_window": 4},
    "mixtral": _MOE,
    "qwen2": {},
    "qwen3": {},
    "qwen2_moe": _MOE,
    "qwen3_moe": _MOE,
    "gemma": {},
    "gemma2": {"sliding_window": 4, "query_pre_attn_scalar": 8},
    "gemma3_text": {"sliding_window": 4, "query_pre_attn_scalar": 8},
    "phi": {},
    "phi3": {},
    "gpt2": _GPT,
    "gpt_neo": {"num_layers": 2, "num_heads": 4, "attention_types": [[["global", "local"], 1]], "window_size": 4},
    "gpt_neox": {},
    "gptj": _GPT | {"rotary_dim": 4},
    "opt": {"ffn_dim": 48, "word_embed_proj_dim": 32},
    "bloom": {"n_layer": 2, "n_head": 4},
    "falcon": {},
    "olmo": {},
    "olmo2": {},
    "olmoe": _MOE,
    "granite": {},
    "granitemoe": _MOE,
    "starcoder2": {},
    "smollm3": {"no_rope_layers": [1, 0]},
    "cohere": {},
    "cohere2": {"sliding_window": 4},
    "gpt_oss": {"sliding_window": 4, "num_local_experts": 4, "num_experts_per_tok": 2},
    "glm": {},
    "glm4": {},
    "deepseek_v3": {
        **_MOE, "n_routed_experts": 4, "n_group": 1, "topk_group": 1, "q_lora_rank": 16, "kv_lora_rank": 16,
        "qk_rope_head_dim": 4, "qk_nope_head_dim": 4, "v_head_dim": 8, "first_k_dense_replace": 1, "head_dim": 4,
    },
    "stablelm": {},
    "codegen": _GPT | {"rotary_dim": 4},
    "gpt_bigcode": _GPT,
    "mpt": {"d_model": 32, "n_heads": 4, "n_layers": 2},
    "persimmon": {},
    "nemotron": {},
    "exaone4": {"sliding_window": 4},
    "helium": {},
    "ernie4_5": {},
    "ernie4_5_moe": _MOE | {"moe_num_experts": 4, "moe_k": 2, "moe_num_shared_experts": 1},
    "hunyuan_v1_dense": {},
    "seed_oss": {},
    "arcee": {},
    "apertus": {},
    "biogpt": {},
    "xglm": {"d_model": 32, "ffn_dim": 48, "num_layers": 2, "attention_heads": 4},
    "openai-gpt": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64},
    "mamba": {"state_size": 4},
    "mamba2": {"state_size": 4, "num_heads": 8, "head_dim": 8, "n_groups": 1, "expand": 2},
    "jamba": {**_MOE, "mamba_d_state": 4, "use_mamba_kernels": False},
    "phimoe": _MOE,
    "lfm2": {"layer_types": ["conv", "full_attention"]},
    "bitnet": {},
    "modernbert-decoder": {"local_attention": 6, "global_attn_every_n_layers": 2, "cls_token_id": 1, "sep_token_id": 2},
}  # fmt: skip


def config_of(kind: str) -> Any:
    """The tiny config of a type."""
    from transformers import AutoConfig

    own = {**ENCODERS, **SEQ2SEQ, **DECODERS}[kind]
    known = set(AutoConfig.for_model(kind).to_dict())
    sizes = {k: v for k, v in SIZES.items() if k in known or k in own}
    return AutoConfig.for_model(kind, **{**sizes, **own})

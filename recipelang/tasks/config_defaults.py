"""What transformers takes for a field that a config.json leaves out, where a batch depends on it: it differs by type.

`tests/unit/tasks/test_config_defaults.py` compares both tables with the classes of configs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: `type_vocab_size`: rows of the table of token types -> the types of models. Types that are not named have no table
_TOKEN_TYPES = {
    1: "gte jina_embeddings_v3 mra xlm-roberta-xl yoso",
    2: """albert bert big_bird bros camembert convbert data2vec-text electra ernie ibert layoutlm layoutlmv2 layoutlmv3
    lilt longformer luke lxmert markuplm megatron-bert mobilebert nomic_bert nystromformer rembert roberta
    roberta-prelayernorm roc_bert roformer splinter squeezebert xlm-roberta xmod""",
    4: "fnet",
    16: "canine",
}
#: `pad_token_id` -> the types of models. Types that are not named have none
_PADDING = {
    0: """albert bamba bert bert-generation big_bird bigbird_pegasus blenderbot blenderbot-small bros canine cohere cohere2
    cohere2_moe cohere_compass_text deberta deberta-v2 distilbert electra ernie ernie4_5 ernie4_5_moe exaone exaone_moe
    falcon_h1 falcon_mamba gemma gemma2 gemma3_text gemma3n_text gemma4_text gemma4_unified_text git hunyuan_v1_dense
    hunyuan_v1_moe jamba layoutlm layoutlmv2 lfm2 lfm2_moe lilt longt5 mamba markuplm megatron-bert mobilebert mt5 nemotron_h
    neomme nomic_bert pegasus pegasus_x prophetnet recurrent_gemma reformer rembert roc_bert roformer sarvam_moe seamless_m4t seamless_m4t_v2 splinter
    squeezebert switch_transformers t5 tapas ultrabert umt5 vaultgemma zamba zamba2 zaya""",
    1: """bart biogpt camembert convbert data2vec-text esmc fsmt gte ibert jina_embeddings_v3 layoutlmv3 led longformer luke
    m2m_100 mamba2 mbart mpnet mra mvp nanochat nllb-moe nystromformer olmo olmo2 olmo3 olmoe omniasr opt plbart roberta roberta-prelayernorm
    seed_oss trocr xglm xlm-roberta xlm-roberta-xl xlstm xmod yoso""",
    2: "aria_text flaubert internlm3 xlm",
    3: "apertus apertus1p5_text fnet helium",
    5: "xlnet",
    11: "ministral3 mistral4",
    32000: "phi3",
    50256: "whisper",
    50283: "modernbert modernbert-decoder",
    58100: "marian",
    100277: "flex_olmo olmo_hybrid",
    120002: "hy_v4",
    124893: "lfm3",
    128001: "eurobert",
    128004: "smollm3",
    151329: "glm glm4",
    151645: "qwen3_asr",
    151659: "dots3_note_text",
    156892: "bailing_hybrid",
    163839: "kimi_linear",
    199999: "openai_privacy_filter phi4_multimodal",
}
TOKEN_TYPES = {kind: rows for rows, kinds in _TOKEN_TYPES.items() for kind in kinds.split()}
PADDING = {kind: token for token, kinds in _PADDING.items() for kind in kinds.split()}


def token_types(config: Mapping[str, Any]) -> int:
    """Rows of a model's table of token types; 0: it has none.

    >>> token_types({"model_type": "bert"}), token_types({"model_type": "llama"})
    (2, 0)
    """
    rows = config.get("type_vocab_size")
    return rows if isinstance(rows, int) else TOKEN_TYPES.get(config.get("model_type", ""), 0)


def padding(config: Mapping[str, Any]) -> int | None:
    """The token that a model takes for padding; a default beyond the vocabulary is none.

    >>> padding({"model_type": "roberta"}), padding({"model_type": "phi3", "vocab_size": 64})
    (1, None)
    """
    if "pad_token_id" in config:
        return config["pad_token_id"]  # type: ignore[no-any-return]
    token = PADDING.get(config.get("model_type", ""))
    return token if token is None or token < config.get("vocab_size", token + 1) else None

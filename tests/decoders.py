"""A tiny decoder of Llama's architecture with random weights, and text for it."""

from __future__ import annotations

import random
from pathlib import Path

from tests.conftest import WORDS


def make_decoder(folder: Path, *, hidden: int = 32, layers: int = 3, tied: bool = False, positions: int = 64) -> Path:
    """Grouped heads and an uneven width of the mlp, so that no two shapes are mixed up."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM

    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {w: i for i, w in enumerate(["<unk>", "</s>", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=3 * hidden // 2,
        max_position_embeddings=positions,
        eos_token_id=1,
        bos_token_id=None,
        tie_word_embeddings=tied,
        initializer_range=0.3,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def make_text(path: Path, sentences: int, seed: int = 0) -> Path:
    """Words that follow each other more often than not, so that there is something to learn."""
    rng = random.Random(seed)
    texts = []
    for _ in range(sentences):
        at = rng.randrange(len(WORDS))
        words = []
        for _ in range(rng.randint(8, 20)):
            words.append(WORDS[at])
            at = (at + 1) % len(WORDS) if rng.random() < 0.8 else rng.randrange(len(WORDS))
        texts.append(" ".join(words))
    import json

    path.write_text("".join(json.dumps({"text": t}) + "\n" for t in texts), "utf-8")
    return path

"""A tiny decoder of Llama's architecture with random weights, and texts and chats for it."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

from tests.conftest import WORDS
from tests.model_folders import make_folder

#: of a kind in wide use: every message between two marks, with its role
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role + '\n' + m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
#: the same with its answers marked, the mark at their end included
MARKED = (
    "{% for m in messages %}<|im_start|>{{ m.role + '\n' }}{% if m.role == 'assistant' %}{% generation %}"
    "{{ m.content }}<|im_end|>{% endgeneration %}{% else %}{{ m.content }}<|im_end|>{% endif %}\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def make_decoder(
    folder: Path,
    *,
    hidden: int = 32,
    layers: int = 3,
    tied: bool = False,
    positions: int = 64,
    more: Sequence[str] = (),
) -> Path:
    """Grouped heads and an uneven width of the mlp, so that no two shapes are mixed up."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=write_tokenizer(folder, more),
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


def write_tokenizer(folder: Path, more: Sequence[str] = ()) -> int:
    """Whole words; how many there are."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    vocabulary = {w: i for i, w in enumerate(["<unk>", "</s>", *WORDS, *more])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens([word for word in more if word.startswith("<")])
    tokenizer.save(str(folder / "tokenizer.json"))
    return len(vocabulary)


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
    path.write_text("".join(json.dumps({"text": t}) + "\n" for t in texts), "utf-8")
    return path


_OF_CHATS = ("<|im_start|>", "<|im_end|>", "system", "user", "assistant")


def make_instruct(folder: Path, template: str | None = CHATML, **shape: int) -> Path:
    """A decoder whose tokenizer knows the words of a chat; the template in the tokenizer's config."""
    make_decoder(folder, more=_OF_CHATS, **shape)
    return write_instruct_tokenizer(folder, template)


def make_instruct_folder(folder: Path, template: str | None = CHATML) -> Path:
    """The same as files alone, for plans: nothing is loaded to write it."""
    make_folder(folder, "llama", "causal_lm", vocab_size=24 + len(WORDS), max_position_embeddings=64, eos_token_id=1)
    return write_instruct_tokenizer(folder, template)


def write_instruct_tokenizer(folder: Path, template: str | None = CHATML) -> Path:
    write_tokenizer(folder, _OF_CHATS)
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>", "unk_token": "<unk>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config | {"chat_template": template}), "utf-8")
    return folder


def chat(*contents: str, system: str | None = None) -> list[dict[str, str]]:
    """A conversation that the user begins."""
    said = [{"role": ("user", "assistant")[i % 2], "content": content} for i, content in enumerate(contents)]
    return said if system is None else [{"role": "system", "content": system}, *said]


def make_chats(path: Path, conversations: int, seed: int = 0, turns: int = 2) -> Path:
    rng = random.Random(seed)
    rows = [
        {"messages": chat(*(" ".join(rng.choices(WORDS, k=rng.randint(2, 6))) for _ in range(2 * turns)))}
        for _ in range(conversations)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path

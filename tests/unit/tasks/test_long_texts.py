"""A long text is encoded in portions, and its tokens are those of the whole."""

import random

import numpy as np
import pytest
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

from recipelang.tasks import causal_lm


def words(n: int) -> str:
    draw = random.Random(0)
    known = ["".join(draw.choices("abcdeé", k=draw.randint(1, 9))) for _ in range(200)]
    return "".join(draw.choice(known) + draw.choice([" ", " ", "\n", "\n\n", "  ", ". "]) for _ in range(n))


TEXT = words(9_000)


def trained(tokenizer: Tokenizer) -> Tokenizer:
    letters = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=500, initial_alphabet=letters, show_progress=False)  # type: ignore[call-arg]
    tokenizer.train_from_iterator([TEXT[:20_000]], trainer)
    return tokenizer


def byte_level() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    return trained(tokenizer)


def metaspace() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    return trained(tokenizer)


def whole_text() -> Tokenizer:
    """No pre-tokenizer: in principle every merge may hang on all of the text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    return trained(tokenizer)


def one_token() -> Tokenizer:
    """Portions cannot agree: the first letters of what is encoded are another token each time."""
    tokenizer = Tokenizer(models.WordLevel({"x": 0, "a": 1}, unk_token="x"))
    tokenizer.normalizer = normalizers.Replace(Regex(r"(?m).+"), "a")
    return tokenizer


@pytest.fixture
def portions(monkeypatch):
    monkeypatch.setattr(causal_lm, "_PORTION", 5_000)
    monkeypatch.setattr(causal_lm, "_AROUND", 300)


@pytest.mark.parametrize("make", [byte_level, metaspace, whole_text, one_token])
@pytest.mark.parametrize("text", [TEXT, TEXT.replace("\n", " "), TEXT.replace("\n", "").replace(" ", "")])
def test_tokens_of_portions_are_those_of_the_whole(make, text, portions):
    tokenizer = make()
    whole = np.asarray(tokenizer.encode(text, add_special_tokens=False).ids, np.int32)
    assert np.array_equal(causal_lm._long_text(text, tokenizer), whole)


def test_long_texts_keep_their_order_and_end_tokens(portions):
    tokenizer = byte_level()
    texts = ["one", TEXT, "two"]
    rows = causal_lm.joined_blocks(texts, causal_lm.Reader(tokenizer, 7), 4)
    wanted = [i for text in texts for i in [*tokenizer.encode(text, add_special_tokens=False).ids, 7]]
    assert rows.ravel().tolist() == wanted[: len(wanted) // 4 * 4]

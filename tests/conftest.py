"""Fixtures shared by the tests: tiny models, small data, and the folder of real data where there is one."""

from __future__ import annotations

import gc
import json
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# workers of xdist say how wide a terminal is that nobody has
os.environ.pop("COLUMNS", None)
# no test cuts the power, so no test waits for the disk; those of a disk that fails replace this one
os.fsync = lambda handle: None


# the same examples every time, so that a change is judged by itself; `make fuzz` looks for others
settings.register_profile("suite", derandomize=not os.environ.get("RECIPELANG_SEARCH"), deadline=None)
settings.load_profile("suite")


def pytest_collection() -> None:
    """What is collected stays to the end: no collector of garbage has to go through it again and again."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Tests make much and leave little that only the collector finds: it looks for it less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)
    gc.enable()


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real data, public recipes, measured figures; `.ci/run` names the folder."""
    folder = os.environ.get("RECIPELANG_SHARED")
    if not folder:
        pytest.skip("RECIPELANG_SHARED is not set: no folder of real data here")
    return Path(folder)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECIPELANG_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


WORDS = [
    "the",
    "of",
    "is",
    "in",
    "capital",
    "symbol",
    "a",
    "who",
    "what",
    "where",
    "city",
    "river",
    "gold",
    "france",
    "paris",
    "seine",
    "iron",
    "fe",
    "lima",
    "peru",
]


def make_model(
    folder: Path,
    *,
    hidden: int = 32,
    layers: int = 2,
    heads: int = 2,
    dropout: float = 0.1,
    labels: int = 2,
    words: int = 20,
    intermediate: int = 0,
) -> Path:
    """A tiny BERT with random weights and a word tokenizer, saved as any model folder is."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertForQuestionAnswering

    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {w: i for i, w in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS])}
    vocabulary |= {f"word{i}": len(vocabulary) + i for i in range(words - len(WORDS))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=intermediate or 2 * hidden,
        max_position_embeddings=64,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        num_labels=labels,
    )
    BertForQuestionAnswering(config).save_pretrained(folder)
    return folder


def make_data(path: Path, n: int, seed: int = 0) -> Path:
    """`n` questions in SQuAD's format whose answers are single words of a short passage."""
    import random

    rng = random.Random(seed)
    paragraphs = []
    for i in range(n):
        words = rng.choices(WORDS, k=rng.randint(6, 14))
        at = rng.randrange(len(words))
        start = len(" ".join(words[:at])) + (at > 0)
        answer = {"text": words[at], "answer_start": start}
        question = " ".join(rng.choices(WORDS, k=4))
        qa = {"id": f"q{i}", "question": question, "answers": [answer]}
        paragraphs.append({"context": " ".join(words), "qas": [qa]})
    path.write_text(json.dumps({"data": [{"title": "t", "paragraphs": paragraphs}]}), "utf-8")
    return path


def make_inputs(folder: Path, train: int = 44, dev: int = 20, **model: int) -> Path:
    """The same folder with a `model`, and so many questions in `train.json` and `dev.json`."""
    make_model(folder / "model", **model)
    make_data(folder / "train.json", train)
    make_data(folder / "dev.json", dev, seed=1)
    return folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny `model`, `train.json` and `dev.json`, to be read or copied only."""
    if made := os.environ.get("RECIPELANG_TINY"):  # by tests that run these: it takes seconds to load what makes it
        return Path(made)
    return make_inputs(tmp_path_factory.mktemp("tiny"))


RECIPE = """recipe 1 "tiny"

param precision: one_of(fp32, bf16) = fp32
param scope: one_of(uniform, global) = uniform
param micro: int = 8
param target: ratio in 50%..99% = 90%

model {{ base = "model", task = question_answering }}
data {{ train = "train.json", validation = "dev.json", max_length = 32 tokens, stride = 8 tokens }}

stage dense {{
  length = 1 epoch
  batch = 8
  precision = precision
  learning_rate = linear(1e-3 -> 0, over = start..end), checkpoint_every = 1 epoch
}}

stage sparse {{
  length = {length}
  batch = 8
  micro_batch = micro
  precision = precision
  learning_rate = linear(1e-3 -> 1e-4, over = start..end, rewind = 1 epoch), checkpoint_every = 1 epoch
  {extra}
  prune weights {{
    targets = @linear & @encoder
    never = @embeddings | @head
    method = if scope == uniform then magnitude(scope = uniform) else magnitude(scope = global)
    sparsity = cubic(50% -> target, over = 0%..80%, every = 2 steps)
  }}
  distill {{ teacher = stage.dense, hardness = 80%, temperature = 2 }}
}}

evaluate dev {{ metrics = [f1, exact_match] }}

expect sparsity(@linear & @encoder) == target ± 0.1%
expect sparsity(@embeddings | @head) <= 4%
prefer dev.f1 >= 0%
"""


@pytest.fixture
def project(tmp_path: Path, tiny: Path):
    """A folder with a tiny model, data and `tiny.recipe`; call it with changes to the recipe."""
    shutil.copytree(tiny, tmp_path, dirs_exist_ok=True)

    def write(length: str = "2 epochs", extra: str = "", replace: tuple[str, str] = ("", "")) -> Path:
        text = RECIPE.format(length=length, extra=extra)
        if replace[0]:
            assert replace[0] in text
            text = text.replace(*replace)
        (tmp_path / "tiny.recipe").write_text(text, "utf-8")
        return tmp_path / "tiny.recipe"

    write()
    return write

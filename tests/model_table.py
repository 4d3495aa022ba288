"""Every model type of transformers × the tasks it has a head for: planned, trained, pruned in one shot, read again.

`make models` tries all of `tests.model_types` and writes `docs/models.md`; the suite tries a few.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tests import expert_inputs as experts
from tests.conftest import WORDS
from tests.decoders import make_text
from tests.layer_walks import Texts, compare
from tests.model_types import config_of

#: task -> the class of transformers, data files and what an evaluation measures
TASKS = {
    "causal_lm": ("AutoModelForCausalLM", "perplexity"),
    "masked_lm": ("AutoModelForMaskedLM", "perplexity"),
    "sequence_classification": ("AutoModelForSequenceClassification", "accuracy"),
    "token_classification": ("AutoModelForTokenClassification", "f1"),
    "question_answering": ("AutoModelForQuestionAnswering", "f1"),
    "multiple_choice": ("AutoModelForMultipleChoice", "accuracy"),
    "text_to_text": ("AutoModelForSeq2SeqLM", "perplexity"),
}
SPECIAL = ["[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]"]

RECIPE = """recipe 1 "table"
seed = 1
model {{ base = "model", task = {task} }}
data {{ train = "data.jsonl", validation = "data.jsonl", max_length = 16 tokens{more} }}
stage train {{
  length = 4 steps
  batch = 4
  micro_batch = 2
  learning_rate = 1e-3
  prune weights {{
    targets  = @linear & (@encoder | @decoder) except @router
    never    = @embeddings | @head | @pooler | @router
    method   = magnitude(scope = row)
    sparsity = linear(25% -> 50%, over = 0%..50%, every = 1 step)
  }}
}}
evaluate dev {{ split = "validation" }}
"""
ONE_SHOT = """recipe 1 "table"
seed = 1
model {{ base = "model", task = {task} }}
data {{ train = "data.jsonl", validation = "data.jsonl", max_length = 16 tokens, samples = 8 samples{more} }}
stage shot {{
  mode = one_shot
  prune weights {{
    targets  = @linear & (@encoder | @decoder) except (@router{less})
    never    = @embeddings | @head | @pooler | @router
    method   = {method}
    sparsity = 50%
  }}
}}
evaluate dev {{ split = "validation" }}
"""


def tokenizer(folder: Path, vocabulary: int, pair: bool, more: str = "") -> None:
    """`more` stands between the two texts of a pair."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = [*SPECIAL, *WORDS][:vocabulary]
    made = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    if pair:
        made.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]",
            pair=f"[CLS] $A [SEP]{more} $B:1 [SEP]:1",
            special_tokens=[("[CLS]", 1), ("[SEP]", 2)],
        )
    made.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"pad_token": "[PAD]", "mask_token": "[MASK]"}), "utf-8")


def data(path: Path, task: str) -> None:
    rng = random.Random(1)
    if task in ("causal_lm", "masked_lm"):
        make_text(path, 24)
        return
    rows: list[dict[str, Any]] = []
    for i in range(16):
        words = [rng.choice(WORDS) for _ in range(8)]
        match task:
            case "sequence_classification":
                rows.append({"text": " ".join(words), "label": ("no", "yes")[i % 2]})
            case "token_classification":
                rows.append({"tokens": words, "ner_tags": [("O", "B-X")[i % 2]] * 8})
            case "question_answering":
                text = " ".join(words)
                at = {"text": [words[0]], "answer_start": [0]}
                rows.append({"id": str(i), "question": words[3], "context": text, "answers": at})
            case "text_to_text":
                rows.append({"source": " ".join(words), "target": " ".join(words[: 1 + i % 5])})
            case "multiple_choice":
                rows.append({"question": words[0], "choices": words[1:4], "answer": i % 3})
    path.write_text("".join(json.dumps(r) + "\n" for r in rows), "utf-8")


def make(folder: Path, kind: str, task: str) -> Any:
    """A folder of the type with random weights, and the model in memory."""
    import torch
    import transformers

    torch.manual_seed(0)
    config = config_of(kind)
    if task == "sequence_classification":
        config.id2label, config.label2id = {0: "no", 1: "yes"}, {"no": 0, "yes": 1}
    if task == "token_classification":
        config.id2label, config.label2id = {0: "O", 1: "B-X"}, {"O": 0, "B-X": 1}
    model = getattr(transformers, TASKS[task][0]).from_config(config)
    (folder / "model").mkdir(parents=True)
    model.save_pretrained(folder / "model")
    more = " [SEP]" if kind == "longformer" else ""  # it looks for three of them
    tokenizer(folder / "model", getattr(config, "vocab_size", 64), task not in ("causal_lm",), more)
    data(folder / "data.jsonl", task)
    return model


@dataclass
class Seen:
    """What is to be said of a type beside what works."""

    chained: bool = True
    unseen: set[str] = field(default_factory=set)  # weights that methods which look at inputs cannot take


CHECKS = ("facts", "plan", "train", "zeros", "files", "magnitude", "walk", "wanda", "sparsegpt")


def checks(folder: Path, kind: str, task: str, seen: Seen | None = None, *, whole: bool = True) -> Iterator[str]:
    """The names of what works, one after the other, as in `CHECKS`; what does not raises.

    Unless `whole`, the layers are not taken one by one: of a type's tasks they are the same.
    """
    import transformers

    import recipelang
    from recipelang.planning.facts import read_model_facts

    seen = Seen() if seen is None else seen
    model = make(folder, kind, task)
    facts = read_model_facts(folder / "model", task)
    real = {n: tuple(p.shape) for n, p in model.named_parameters()}
    assert {t.name: t.stored_shape for t in facts.tensors} == real
    seen.chained = facts.chained
    if task == "causal_lm":
        looks_back(model)
    yield "facts"
    recipe = folder / "train.recipe"
    recipe.write_text(RECIPE.format(task=task, more=""), "utf-8")
    plan = recipelang.plan(recipe)
    yield "plan"
    recipelang.run(recipe, out=folder / "out")
    yield "train"
    again = getattr(transformers, TASKS[task][0]).from_pretrained(folder / "out")
    pruned = {t.name for s in plan.stages for p in s.prunes for t in p.targets}
    parameters = dict(again.named_parameters())
    assert pruned, "nothing was pruned"
    for name in pruned:
        stack, _, expert = name.rstrip("]").partition("[")
        weight = parameters[stack][int(expert)] if expert else parameters[stack]
        share = float((weight == 0).float().mean())
        assert abs(share - 0.5) < 0.05, (name, share)
    yield "zeros"
    assert (folder / "out" / "tokenizer.json").read_bytes() == (folder / "model" / "tokenizer.json").read_bytes()
    yield "files"
    one_shot(folder, task, "magnitude", set())
    yield "magnitude"
    if not (whole and facts.chained):
        return
    walk(folder / "model", plan, task, sorted(pruned), seen.unseen)
    yield "walk"
    for method in ("wanda", "sparsegpt"):
        one_shot(folder, task, method, seen.unseen)
        yield method


def looks_back(model: Any) -> None:
    """Fails where what is said of a word depends on the words after it."""
    import torch

    words = torch.arange(3, 19)[None]
    other = words.clone()
    other[0, -1] = 40
    model.eval()
    with torch.no_grad():
        one, two = (model(input_ids=w).logits[0, :-1] for w in (words, other))
    assert torch.allclose(one, two, atol=1e-6), "a word depends on the words after it"


def walk(folder: Path, plan: Any, task: str, names: list[str], unseen: set[str]) -> None:
    """Fails where a matrix reads something else than in a plain pass; those that no pass calls are put among `unseen`."""
    from recipelang.engine.models import load_model
    from recipelang.pruning.stacks import layouts

    model = load_model(folder, plan.model, 1).eval()
    texts = {"multiple_choice": Choices, "text_to_text": Targets}.get(task, Texts)((12, 9, 12, 5, 7))
    parameters = dict(model.named_parameters())
    lying = layouts(model)
    if task in ("causal_lm", "masked_lm") and any(how.experts for how in lying.values()):
        experts.compare(model, Texts((12, 12, 12)))
    names = [n for n in names if parameters[n].dim() == 2 and not (n in lying and lying[n].experts)]
    before = set(names) - set(compare(model, names, texts))
    unseen |= {re.sub(r"\.\d+\.", ".*.", name) for name in before}


class Choices(Texts):
    """Of one choice each."""

    def batch(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        return {k: v[:, None] for k, v in super().batch(rows).items()}


class Targets(Texts):
    """To be written as they are."""

    def batch(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        found = super().batch(rows)
        return found | {"labels": np.where(found["attention_mask"] > 0, found["input_ids"], -100)}


def one_shot(folder: Path, task: str, method: str, unseen: set[str]) -> None:
    import recipelang

    less = "".join(f' | "{name}"' for name in sorted(unseen))
    recipe = folder / f"{method}.recipe"
    recipe.write_text(ONE_SHOT.format(task=task, more="", method=method, less=less), "utf-8")
    recipelang.run(recipe, out=folder / method)

"""Small data for every task but question answering, and a recipe of two stages for each."""

from __future__ import annotations

import json
import random
from pathlib import Path

from tests.conftest import WORDS, make_model
from tests.decoders import make_text

RECIPE = """recipe 1 "task"

param micro: int = 8

model {{ base = "model", task = {task} }}
data {{ train = "train.jsonl", validation = "dev.jsonl", max_length = 24 tokens
  {more}
}}

stage dense {{
  length = 1 epoch
  batch = 8
  learning_rate = linear(1e-3 -> 0, over = start..end)
}}

stage sparse {{
  length = 8 steps
  batch = 8
  micro_batch = micro
  learning_rate = linear(1e-3 -> 1e-4, over = start..end)
  prune weights {{
    targets = @linear & @encoder
    never = @embeddings | @head
    method = {method}
    sparsity = cubic(50% -> 90%, over = 0%..80%, every = 2 steps)
  }}
  {distill}
}}

evaluate dev {{ split = "validation" }}
"""

TASKS = (
    "sequence_classification",
    "regression",
    "multiple_choice",
    "token_classification",
    "masked_lm",
    "sentence_similarity",
)


def records(task: str, count: int, seed: int) -> list[dict[str, object]]:
    """What a model can learn: the label, the choice, the tag depend on single words."""
    rng = random.Random(seed)
    found: list[dict[str, object]] = []
    for i in range(count):
        words = rng.choices(WORDS, k=rng.randint(3, 14))
        match task:
            case "sequence_classification":
                row = {"sentence1": " ".join(words), "sentence2": " ".join(words[::-1]), "label": i % 3}
            case "regression":
                share = sum(w in WORDS[10:] for w in words) / len(words)
                row = {"sentence1": " ".join(words), "sentence2": " ".join(words[::-1]), "score": round(5 * share, 2)}
            case "multiple_choice":
                right = rng.randrange(4)
                choices = [words[0] if c == right else rng.choice(WORDS) + " of" for c in range(4)]
                row = {"question": " ".join(words), "choices": choices, "answer": right}
            case "sentence_similarity":
                row = {"sentence1": " ".join(words), "sentence2": " ".join(words[: i % 3 + 1]), "score": i % 3 / 2}
            case _:
                row = {"tokens": words, "ner_tags": ["B-X" if w in WORDS[10:] else "O" for w in words]}
        found.append(row)
    return found


def make_task(folder: Path, task: str, *, method: str = "magnitude", distill: str = "", more: str = "") -> Path:
    """A folder with model, data and `task.recipe`."""
    if not (folder / "model").exists():
        make_model(folder / "model")
        path = folder / "model" / "tokenizer.json"
        saved = json.loads(path.read_text("utf-8"))
        words = saved["model"]["vocab"]
        words["[MASK]"] = words.pop("peru")
        path.write_text(json.dumps(saved), "utf-8")
        for name, count, seed in (("train", 36, 0), ("dev", 19, 1)):
            if task == "masked_lm":
                make_text(folder / f"{name}.jsonl", count, seed)
            else:
                lines = (json.dumps(r) + "\n" for r in records(task, count, seed))
                (folder / f"{name}.jsonl").write_text("".join(lines), "utf-8")
    recipe = folder / "task.recipe"
    recipe.write_text(RECIPE.format(task=task, method=method, distill=distill, more=more), "utf-8")
    return recipe

"""One stage for the engine and for loops that are not its own: a recipe, its model, and the very same batches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from recipelang.engine.models import load_model
from recipelang.engine.order import batches
from recipelang.loading.plan import planned
from recipelang.planning.data import load_examples
from recipelang.planning.types import Plan
from recipelang.tasks import question_answering as task

RECIPE = """recipe 1 "one stage"

param method: one_of(magnitude, movement) = magnitude
param length: epochs = 2 epochs

model { base = "model", task = question_answering, dropout = 0%, attention_dropout = 0% }
data { train = "train.json", validation = "dev.json", max_length = 32 tokens, stride = 8 tokens, shuffle = false }

stage sparse {
  length = length
  batch = 8
  clip = 0.5
  learning_rate = linear(1e-3 -> 1e-4, over = start..end)
  prune weights {
    targets = @linear & @encoder
    never = @embeddings | @head
    method = if method == magnitude then magnitude(scope = global) else movement(scope = global)
    sparsity = cubic(0% -> 70%, over = start..end, every = 2 steps)
  }
  distill { teacher = "teacher", hardness = 60%, temperature = 2 }
}
"""


def write(folder: Path) -> Path:
    """The recipe, and a teacher that is not its student."""
    from transformers import AutoModelForQuestionAnswering

    teacher = AutoModelForQuestionAnswering.from_pretrained(folder / "model")
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in teacher.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    teacher.save_pretrained(folder / "teacher")
    (folder / "one.recipe").write_text(RECIPE, "utf-8")
    return folder / "one.recipe"


class Loop:
    """What somebody with a loop of his own has: a model, a teacher, data in an order."""

    def __init__(self, recipe: Path, around) -> None:
        _, self.plan, _ = planned(str(recipe), around)
        self.stage = self.plan.stages[0]
        self.model = self.load("model")
        self.teacher = self.load("teacher")
        data = self.plan.data[0]
        self.features = task.featurize(
            load_examples(data, "train"),
            task.load_tokenizer(Path(self.plan.model.path)),
            data.max_length,
            data.stride,
        )
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=0.0, fused=True, **self.stage.optimizer_args)

    def load(self, name: str) -> nn.Module:
        return load_model(Path(self.plan.model.path).parent / name, self.plan.model, self.plan.seed).train()

    def batches(self, first: int = 0) -> Iterator[dict[str, torch.Tensor]]:
        for rows in batches(self.stage, len(self.features), False, self.plan.seed, first, self.stage.steps):
            yield self.collate(list(rows))

    def collate(self, rows: list[int]) -> dict[str, torch.Tensor]:
        return {k: torch.from_numpy(v) for k, v in task.collate(self.features, rows).items()}


def same(model: nn.Module, weights: dict[str, torch.Tensor]) -> bool:
    """Bit for bit; so the masks are the same too."""
    return all(torch.equal(p, weights[n]) for n, p in model.named_parameters())


def zeros(weights: dict[str, torch.Tensor], plan: Plan) -> int:
    return sum(int((weights[t.name] == 0).sum()) for t in plan.stages[0].prunes[0].targets)

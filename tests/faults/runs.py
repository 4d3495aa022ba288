"""The runs that are disturbed: two recipes that between them hold what has a state, each run once in peace."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from tests.conftest import make_data, make_model
from tests.faults.process import Child

#: steps between checkpoints: what a kill may cost at most
EVERY = 7

_HEAD = """recipe 1 "NAME"
model { base = "model", task = question_answering }
data { train = "train.json", validation = "dev.json", max_length = 32 tokens, stride = 8 tokensMORE }
stage dense {
  length = 4 epochs
  batch = 8
  learning_rate = linear(1e-3 -> 0, over = start..end)
  checkpoint_every = EVERY steps
  FIRST
}
stage sparse {
  length = 12 epochs
  batch = 8
  micro_batch = 4
  learning_rate = linear(1e-3 -> 1e-4, over = start..end, rewind = 4 epochs)
  checkpoint_every = EVERY steps
  SECOND
  distill { teacher = stage.dense, hardness = 80%, temperature = 2CACHE }
}
evaluate dev { metrics = [f1, exact_match], every = 5 epochs }
expect sparsity(@linear & @encoder) == 80% ± 0.1%
"""
_PRUNE = """prune weights {
    targets = @linear & @encoder
    never = @embeddings | @head
    method = METHOD
    sparsity = cubic(30% -> 80%, over = 10%..80%, every = 5 steps)
  }"""
_CONTROLS = """freeze embeddings { targets = @embeddings, until = 5 epochs }
  optimizer = adamw(weight_decay = 0.01)
  group no_decay { targets = @bias | @norm, weight_decay = 0 }
  """

RECIPES = {
    "magnitude": {"FIRST": "drop layers { keep = [1, 3] }", "SECOND": _CONTROLS + _PRUNE, "METHOD": "magnitude"},
    "movement": {
        "SECOND": _PRUNE,
        "METHOD": "movement(scope = global)",
        "CACHE": ", cache = true",
        "MORE": ", group_by_length = true",
    },
}


@dataclass
class Runs:
    """A folder with model, data and recipes. `whole` has the bytes that a run in peace wrote."""

    folder: Path
    whole: dict[str, bytes] = field(default_factory=dict)
    metrics: dict[str, object] = field(default_factory=dict)
    memory: int = 0

    def make(self) -> None:
        make_model(self.folder / "model", layers=4)
        make_data(self.folder / "train.json", 44)
        make_data(self.folder / "dev.json", 20, seed=1)
        for name, parts in RECIPES.items():
            (self.folder / f"{name}.recipe").write_text(_text(name, parts), "utf-8")

    def in_peace(self, name: str) -> None:
        child = Child(self.folder, "run", f"{name}.recipe", "-o", f"{name}-whole")
        child.wait_for(child.watch_memory, 0.05)
        self.memory = max(self.memory, child.most_memory)
        code, said = child.end()
        assert code == 0, said
        self.whole[name] = self.weights(f"{name}-whole")
        self.metrics[name] = self.record(f"{name}-whole")["metrics"]

    def weights(self, out: str) -> bytes:
        return (self.folder / out / "model.safetensors").read_bytes()

    def record(self, out: str) -> dict:  # type: ignore[type-arg]
        return json.loads((self.folder / out / "run.json").read_text("utf-8"))

    def same(self, name: str, out: str) -> bool:
        """The same weights, byte for byte, and the same measurements."""
        return self.weights(out) == self.whole[name] and self.record(out)["metrics"] == self.metrics[name]

    def checkpoints(self, out: str) -> list[Path]:
        """The newest first."""
        return sorted((self.folder / out / "checkpoints").glob("stage-*-step-*"), reverse=True)

    def position(self, out: str) -> int:
        """Steps that the newest checkpoint holds, counted over both stages."""
        newest = self.checkpoints(out)[:1]
        return at(*map(int, re.findall(r"\d+", newest[0].name))) if newest else 0


def at(stage: int, step: int) -> int:
    """A step counted over both stages; the first has 4 epochs of 6 steps."""
    return (0, 24, 24 + 72)[stage] + step


def _text(name: str, parts: dict[str, str]) -> str:
    text = _HEAD.replace("NAME", name)
    for word in ("FIRST", "SECOND", "CACHE", "MORE", "METHOD"):
        text = text.replace(word, parts.get(word, ""))
    return text.replace("EVERY", str(EVERY))

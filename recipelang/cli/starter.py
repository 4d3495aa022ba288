"""The recipe that `init` writes: a dense stage, then gradual pruning, by the three guidelines of arXiv 2312.13547."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from recipelang.kinds.text import percent, string, time
from recipelang.spec.metrics import METRICS
from recipelang.values.quantities import Time

#: tasks that a first recipe can be written for
TASKS = ("question_answering",)
#: of the other tasks, what the library has for them
LIBRARY = {
    "sequence_classification": "lib://glue/texts-90",
    "regression": "lib://glue/scores-90",
    "multiple_choice": "lib://commonsenseqa/choices-90",
    "token_classification": "lib://wikiann/tags-90",
    "masked_lm": "lib://upstream/mlm-90",
    "causal_lm": "lib://oneshot/decoder-50",
    "text_to_text": "lib://cnn/summaries-50",
    "sentence_similarity": "lib://allnli/sentences-50",
}
MODEL, DATA, TASK, TARGET = "hf://google-bert/bert-base-uncased", "hf://rajpurkar/squad", "question_answering", "90%"
#: above this target, the second of two lengths: oBERT needs 30 epochs for 97 % where 10 lose more than a point of F1
HIGH = Fraction(9, 10)
LENGTHS = ("10 epochs", "30 epochs")


@dataclass(frozen=True)
class Answers:
    """`length` none: as the target asks for. `validation` none: `data` is a data set with splits."""

    name: str
    model: str
    data: str
    validation: str | None
    task: str
    target: Fraction
    length: Time | None
    distill: bool


def recipe(a: Answers) -> str:
    """Text in the one style."""
    from recipelang.syntax.fmt import format

    parts = [_head(a), _parameters(a), _inputs(a), _dense(), _sparse(a), _claims(a)]
    return format("\n\n".join(parts))


def _head(a: Answers) -> str:
    return f"""recipe 1 {string(a.name)}

## Fine-tune the dense model, then prune it gradually by magnitude{", with the dense model as the teacher" if a.distill else ""}.
meta {{
  version = "0.1.0"
  cites = ["arxiv:2312.13547"]
}}"""


def _parameters(a: Answers) -> str:
    length, dense = f"if target > {percent(HIGH)} then {LENGTHS[True]} else {LENGTHS[False]}", "2 epochs"
    if a.length is not None:
        length = time(a.length)
        dense = dense if a.length.epochs else time(Time(steps=Fraction(max(1, a.length.steps // 5))))
    return f"""## Target sparsity of the pruned weights.
param target: ratio in 1%..99% = {percent(a.target)}
## Length of the dense fine-tuning.
param dense: span = {dense}
## Length of the pruning stage; a higher target needs a longer stage. Its windows are relative to it.
param length: span = {length}
## Seed of all random numbers of the run.
param seed: int = 42

# the first pruning step: large where the target is high, so that the later ones have less left to do
let first = if target >= 90% then 70% else 0.5 * target

seed = seed"""


def _inputs(a: Answers) -> str:
    data = f"source = {string(a.data)}"
    if a.validation is not None:
        data = f"train = {string(a.data)}\n  validation = {string(a.validation)}"
    return f"""model {{
  base = {string(a.model)}
  task = {a.task}
}}

data {{
  {data}
}}"""


def _dense() -> str:
    return """# the task is learnt before anything is pruned
stage dense {
  length = dense
  batch = 16
  learning_rate = linear(8e-5 -> 0, over = start..end)
}"""


def _sparse(a: Answers) -> str:
    distill = """
  # learn from the dense model; hardness and temperature matter: 2 and 5.5 are temperatures to try first
  distill {
    teacher = stage.dense
    hardness = 100%
    temperature = 5.5
  }
"""
    return f"""stage sparse {{
  length = length
  batch = 16
  learning_rate = linear(8e-5 -> 8e-6, over = start..end)

  prune weights {{
    targets = @linear & @encoder
    never = @embeddings | @head  # an invariant: they stay dense, whatever becomes of `targets`
    method = magnitude(scope = uniform)
    # a start without pruning, 31 events, and 30% of the stage to recover
    sparsity = cubic(first -> target, over = 10%..70%, every = length / 50)
  }}
{distill if a.distill else ""}}}"""


def _claims(a: Answers) -> str:
    metrics = METRICS[a.task]
    return f"""# measured after every stage
evaluate dev {{
  split = "validation"
  metrics = [{", ".join(metrics)}]
}}

expect sparsity(@linear & @encoder) == target ± 0.1%
expect sparsity(@embeddings | @head) <= 0.1%
prefer dev.{metrics[0]} >= 0.95 * stage.dense.dev.{metrics[0]}, "at least 95 % of the dense model"
"""

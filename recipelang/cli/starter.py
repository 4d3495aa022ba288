"""The recipe that `init` writes, by the three guidelines of arXiv 2312.13547: what a task declares as its `First` decides it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from recipelang.kinds.text import percent, string, time
from recipelang.source.words import plural
from recipelang.spec.metrics import MEASURES, METRICS, TASKS
from recipelang.tasks import First, task_of
from recipelang.values.quantities import Time

#: of the data set that is taken where none is named
TASK = TASKS[0]
#: above this target, the second of two lengths: oBERT needs 30 epochs for 97 % where 10 lose more than a point of F1
HIGH = Fraction(9, 10)
#: events of a pruning stage, and steps of it for each: fewer leave too little training between two of them
_EVENTS, _STEPS = 50, 10


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
    #: field -> the column that the recipe names
    named: Mapping[str, str] = field(default_factory=dict)
    #: training examples, where they are known
    examples: int | None = None
    #: of a model and data that were looked at: a selector of what is pruned, tokens that the model reads, what is measured
    targets: str = ""
    positions: int | None = None
    metrics: tuple[str, ...] = ()
    #: whether the model can do the task before it is trained here
    has_head: bool = True

    @property
    def way(self) -> str:
        """Of `First`: a model without a head has nothing to teach."""
        return self.first.way if self.has_head or self.first.way != "recover" else "tune"

    @property
    def first(self) -> First:
        return first_of(self.task)

    @property
    def measured(self) -> tuple[str, ...]:
        theirs = self.first.metrics if self.data == self.first.data else ()
        return self.metrics or theirs or METRICS[self.task]


def first_of(task: str) -> First:
    found = task_of(task).first
    assert found is not None, task
    return found


def lengths(task: str, target: Fraction, examples: int | None) -> str:
    """Of the pruning stage: of few examples, more epochs."""
    first = first_of(task)
    usual = int(first.lengths[target > HIGH].split()[0])
    return plural(max(usual, _least_epochs(first, examples)) if examples else usual, "epoch")


def _least_epochs(first: First, examples: int) -> int:
    return math.ceil(_EVENTS * _STEPS / math.ceil(examples / first.batch))


def recipe(a: Answers) -> str:
    """Text in the one style."""
    from recipelang.syntax.fmt import format

    stages = [_dense(a)] if a.way == "tune" else []
    stages.append(_one_shot(a) if a.way == "calibrate" else _sparse(a))
    return format("\n\n".join([_head(a), _parameters(a), _inputs(a), *stages, _claims(a)]))


def _head(a: Answers) -> str:
    taught = ", with the dense model as the teacher" if a.distill else ""
    does, cites = {
        "tune": (f"Fine-tune the dense model, then prune it gradually by magnitude{taught}.", "2312.13547"),
        "recover": (f"Prune a trained model gradually by magnitude{taught}.", "2312.13547"),
        "calibrate": (
            "Prune a decoder in one shot: layer by layer, from a few samples, without training.",
            "2301.00774",
        ),
    }[a.way]
    return f"""recipe 1 {string(a.name)}

## {does}
meta {{
  version = "0.1.0"
  cites = ["arxiv:{cites}"]
}}"""


def _parameters(a: Answers) -> str:
    target = f"""## Target sparsity of the pruned weights.
param target: ratio in 1%..99% = {percent(a.target)}"""
    # what is also the teacher has one name
    base = f"## The model to start with.\nparam base: model = {string(a.model)}\n" if _taught_by_base(a) else ""
    seed = """## Seed of all random numbers of the run.
param seed: int = 42
"""
    if a.way == "calibrate":
        return f"""{target}
## Number of calibration samples, drawn from the whole text.
param samples: samples = 128 samples
{seed}
seed = seed"""
    dense, length = "2 epochs", ""
    if a.length is not None:
        length = time(a.length)
        dense = dense if a.length.epochs else time(Time(steps=Fraction(max(1, a.length.steps // 5))))
    else:
        low, high = lengths(a.task, HIGH, a.examples), lengths(a.task, Fraction(1), a.examples)
        length = low if low == high else f"if target > {percent(HIGH)} then {high} else {low}"
    tuned = f"""## Length of the dense fine-tuning.
param dense: span = {dense}
"""
    return f"""{base}{target}
{tuned if a.way == "tune" else ""}## Length of the pruning stage; a higher target needs a longer stage. Its windows are relative to it.
{_counted(a)}param length: span = {length}
{seed}
# the first pruning step: large where the target is high, so that the later ones have less left to do
let first = if target >= 90% then 70% else 0.5 * target

seed = seed"""


def _taught_by_base(a: Answers) -> bool:
    return a.distill and a.way == "recover"


def _counted(a: Answers) -> str:
    """What the number of examples makes of an epoch."""
    if not a.examples:
        return ""
    steps = math.ceil(a.examples / a.first.batch)
    few = _least_epochs(a.first, a.examples) > int(a.first.lengths[0].split()[0])
    why = f": few, so more epochs leave {_STEPS} steps of training between two pruning events" if few else ""
    return f"# {a.examples:,} examples are {plural(steps, 'step')} an epoch{why}\n"


def _inputs(a: Answers) -> str:
    lines = [f"source = {string(a.data)}"]
    if a.validation is not None:
        lines = [f"train = {string(a.data)}", f"validation = {string(a.validation)}"]
    elif a.data == a.first.data:
        lines += [f"{name} = {string(value)}" for name, value in a.first.settings]
    if a.named:
        lines.append(f"columns {{ {', '.join(f'{name} = {string(c)}' for name, c in a.named.items())} }}")
    longest = min(a.first.max_length, a.positions or a.first.max_length)
    lines += ["samples = samples"] if a.way == "calibrate" else []
    task = task_of(a.task)
    longer = "longer inputs are truncated"
    if task.blocks:
        longer = "of a block of text"
    elif "stride" in task.settings:
        longer = "longer passages are read in windows"
    lines.append(f"max_length = {longest} tokens  # {longer}")
    data = "\n  ".join(lines)
    return f"""model {{
  base = {"base" if _taught_by_base(a) else string(a.model)}
  task = {a.task}
}}

data {{
  {data}
}}"""


def _dense(a: Answers) -> str:
    return f"""# the task is learnt before anything is pruned
stage dense {{
  length = dense
  batch = {a.first.batch}
  learning_rate = linear({a.first.rate} -> 0, over = start..end)
}}"""


def _sparse(a: Answers) -> str:
    first, task = a.first, task_of(a.task)
    tuned = a.way == "tune"
    soft = (
        ("5.5" if tuned else "2", "hardness and temperature matter: 2 and 5.5 are temperatures to try first")
        if task.softmax
        else ("1", "outputs are compared as they are: a temperature has nothing to soften")
    )
    on = "\n    on = embeddings" if task.gives == "embeddings" else ""
    distill = f"""
  # learn from the dense model; {soft[1]}
  distill {{
    teacher = {"stage.dense" if tuned else "base"}{on}
    hardness = {"100%" if tuned else "50%"}
    temperature = {soft[0]}
  }}
"""
    window = (
        "a start without pruning, 31 events, and 30% of the stage to recover"
        if tuned
        else "36 events, and 30% of the stage to recover"
    )
    return f"""stage sparse {{
  length = length
  batch = {first.batch}
  learning_rate = linear({first.rate} -> {_tenth(first.rate)}, over = start..end)

  prune weights {{
    targets = {a.targets or first.targets}
    never = {_never(a)}  # an invariant: dense, whatever becomes of `targets`
    method = magnitude(scope = uniform)
    # {window}
    sparsity = cubic(first -> target, over = {"10%" if tuned else "0%"}..70%, every = length / {_EVENTS})
  }}
{distill if a.distill else ""}}}"""


def _tenth(rate: str) -> str:
    digits, _, exponent = rate.partition("e-")
    return f"{digits}e-{int(exponent) + 1}"


def _one_shot(a: Answers) -> str:
    return f"""stage calibrate {{
  mode = one_shot

  prune weights {{
    targets = {a.targets or a.first.targets}
    never = {_never(a)}  # an invariant: dense, whatever becomes of `targets`
    # `wanda` is faster, and keeps the outputs of layers less well; `magnitude` uses no samples
    method = sparsegpt
    sparsity = target
  }}
}}"""


def _never(a: Answers) -> str:
    return "@embeddings" if task_of(a.task).gives == "embeddings" else "@embeddings | @head"


def _claims(a: Answers) -> str:
    metrics, tuned = a.measured, a.way == "tune"
    dense = f"stage.dense.dev.{metrics[0]}" if tuned else f"dev.dense.{metrics[0]}"
    falls, compare = MEASURES[metrics[0]].falls, "" if tuned else "\n  compare = dense  # the model as it came"
    kept = (
        f'prefer dev.{metrics[0]} >= 0.95 * {dense}, "at least 95 % of the dense model"'
        if not falls
        else f'prefer dev.{metrics[0]} <= 1.5 * {dense}, "at most half more than the dense model"'
    )
    return f"""# measured after every stage
evaluate dev {{
  split = "validation"
  metrics = [{", ".join(metrics)}]{compare}
}}

expect sparsity({a.targets or a.first.targets}) == target ± 0.1%
expect sparsity({_never(a)}) <= 0.1%
{kept}
"""

"""What a one-shot stage reads: samples, and the memory that its statistics take, from shapes alone."""

from __future__ import annotations

from collections.abc import Sequence

from recipelang.methods import METHODS
from recipelang.planning.facts import ModelFacts
from recipelang.planning.families import TensorFact
from recipelang.planning.types import CalibrationPlan, DataPlan, PrunePlan
from recipelang.source import Diagnostics
from recipelang.spec.blocks import StageSpec
from recipelang.spec.recipe import Recipe
from recipelang.tasks import task_of

#: samples that go through a layer at once, where the recipe does not say
BATCH = 8
#: of matrices whose roles are of one group, inputs are gathered once: they read the same
_TOGETHER = (frozenset({"query", "key", "value"}), frozenset({"gate", "up"}))


def plan(prunes: Sequence[PrunePlan], facts: ModelFacts, data: DataPlan) -> CalibrationPlan:
    samples, length = data.items["train"], data.max_length
    width = int(facts.config.get("hidden_size") or facts.config.get("dim") or 0)
    layers = _layers(prunes, facts)
    statistics = max(
        (
            sum(_experts(t) * METHODS[p.method].memory.statistics(t.shape[-1]) for p, t in readers)
            for readers in layers.values()
        ),
        default=0,
    )
    states = 4 * samples * data.sequences * length * width if layers else 0
    return CalibrationPlan(samples=samples, length=length, layers=len(layers), statistics=statistics, states=states)


def _experts(tensor: TensorFact) -> int:
    """Matrices of a tensor, each with inputs of its own."""
    return tensor.shape[0] if len(tensor.shape) > 2 else 1


def _layers(
    prunes: Sequence[PrunePlan], facts: ModelFacts
) -> dict[tuple[str, int], list[tuple[PrunePlan, TensorFact]]]:
    """For each layer the targets whose inputs are gathered, one of those that read the same."""
    known = {t.name: t for t in facts.tensors}
    found: dict[tuple[str, int], dict[object, tuple[PrunePlan, TensorFact]]] = {}
    for prune in prunes:
        for target in prune.targets if METHODS[prune.method].looks_at == "inputs" else ():
            tensor = known[target.name]
            assert tensor.layer is not None
            shared = next((g for g in _TOGETHER if g & tensor.roles), tensor.name)
            stack = tensor.name.partition(f".{tensor.layer}.")[
                0
            ]  # an encoder has layers of the same numbers as its decoder
            found.setdefault((stack, tensor.layer), {})[prune.name, shared] = prune, tensor
    return {layer: list(readers.values()) for layer, readers in found.items()}


def check(
    recipe: Recipe,
    stage: StageSpec,
    prunes: Sequence[PrunePlan],
    data: DataPlan,
    read: CalibrationPlan,
    found: Diagnostics,
) -> None:
    """E078 where there is less than was asked for, W107 where there are fewer tokens than inputs."""
    block = f"data.{stage.data}" if stage.data else "data"
    if data.samples is not None and read.samples < data.samples:
        message = f"the calibration data has only {read.samples:,} of {data.samples:,} samples"
        blocks = task_of(data.task).blocks and data.chat is None
        notes = (f"a sample is a block of {read.length:,} tokens",) if blocks else ()
        more = "add text, or lower `max_length`" if blocks else "or add examples"
        help = f"write `samples = {read.samples} samples`, {more}"
        at = recipe.label(f"{block}.samples")
        found.say("E078", message, at, notes=notes, help=help)
        return
    tokens = data.tokens_read.get("train", read.samples * read.length)  # rows are shorter than their limit
    if not task_of(data.task).labels:  # the decoder reads its own
        tokens = min(tokens, data.tokens_predicted["train"])
    inputs = max((t.shape[-1] for p in prunes if METHODS[p.method].memory.pair for t in p.targets), default=0)
    if tokens < inputs:
        message = f"{tokens:,} tokens of calibration for matrices of {inputs:,} inputs"
        notes = ("with fewer tokens than inputs, correlations between inputs are unknown and `damp` decides",)
        at = recipe.label(f"{block}.samples")
        found.say("W107", message, at, notes=notes, help="use more samples, or longer ones")

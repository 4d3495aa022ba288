"""What a one-shot stage reads: samples, and the memory that its statistics take, from shapes alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from recipelang.methods import METHODS
from recipelang.methods.declaration import Memory
from recipelang.planning.data_plan import DataPlan
from recipelang.planning.facts import ModelFacts
from recipelang.planning.prune_plan import PrunePlan
from recipelang.planning.types import CalibrationPlan
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
    statistics = max((work.statistics for work in works(prunes, facts)), default=0)
    tracks = 2 if any(p.reconstruct for p in prunes) else 1  # as the pruned and as the dense model have them
    states = 4 * tracks * samples * data.sequences * length * width if layers else 0
    return CalibrationPlan(samples=samples, length=length, layers=len(layers), statistics=statistics, states=states)


@dataclass(frozen=True)
class Work:
    """Bytes that one block takes at its largest layer."""

    gathered: int  # of all inputs
    statistics: int  # of the same and what is made of them, while one matrix after the other is done
    fitted: int  # of these and of the matrix that is done


def works(prunes: Sequence[PrunePlan], facts: ModelFacts) -> list[Work]:
    """Of every block that goes through layers, in each of them: blocks act one after the other."""
    blocks: dict[tuple[str, tuple[str, int]], list[_Read]] = {}
    for layer, readers in _layers(prunes, facts).items():
        for prune, read in readers:
            blocks.setdefault((prune.name, layer), []).append(read)
    memory = {p.name: METHODS[p.method].memory for p in prunes}
    return [_work(reads, memory[name]) for (name, _), reads in blocks.items()]


@dataclass(frozen=True)
class _Read:
    """A matrix, and what tells the inputs that it shares with others."""

    shared: object
    inputs: int
    weights: int


def _work(reads: Sequence[_Read], memory: Memory) -> Work:
    """What is gathered is there until the last matrix that reads it is done; what is made of it takes its place."""
    left = Counter(r.shared for r in reads)
    gathered = held = statistics = sum(memory.statistics(n) for n in {r.shared: r.inputs for r in reads}.values())
    fitted, made = held, set()
    for r in reads:
        more = memory.made * r.inputs**2
        if more and r.shared not in made:
            statistics = max(statistics, held + more)
            held += more - memory.statistics(r.inputs)
            made.add(r.shared)
        fitted = max(fitted, statistics, held + memory.fitted * r.weights + memory.beside * r.inputs**2)
        left[r.shared] -= 1
        if not left[r.shared]:
            held -= more or memory.statistics(r.inputs)
    return Work(gathered, statistics, fitted)


def _layers(prunes: Sequence[PrunePlan], facts: ModelFacts) -> dict[tuple[str, int], list[tuple[PrunePlan, _Read]]]:
    """For each layer the matrices whose inputs are gathered, in the order in which they are done."""
    known = {t.name: t for t in facts.tensors}
    found: dict[tuple[str, int], list[tuple[PrunePlan, _Read]]] = {}
    for prune in prunes:
        for target in prune.targets if METHODS[prune.method].looks_at == "inputs" else ():
            tensor = known[target.name]
            assert tensor.layer is not None
            group = next((g for g in _TOGETHER if g & tensor.roles), tensor.name)
            # an encoder has layers of the same numbers as its decoder
            stack = tensor.stack
            experts = tensor.shape[0] if len(tensor.shape) > 2 else 1  # each with inputs of its own
            found.setdefault((stack, tensor.layer), []).extend(
                (prune, _Read((group, tensor.name if experts > 1 else "", i), tensor.shape[-1], tensor.size // experts))
                for i in range(experts)
            )
    return found


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
    if data.mixture and data.samples is None:
        message = "one shot takes a mixture only with `samples`"
        notes = ("without `samples` every row of every source is read once, whatever its share",)
        help = "write `samples = 128 samples`, say, in `data`"
        found.say("E225", message, recipe.label(f"{block}.mix.{data.mixture[0].name}.share"), notes=notes, help=help)
        return
    tokens = sum(data.tokens_read.get(n, 0) for n in data.parts_of("train")) or (
        read.samples * read.length
    )  # rows are shorter than their limit
    if not task_of(data.task).labels:  # the decoder reads its own
        tokens = min(tokens, sum(data.tokens_predicted[n] for n in data.parts_of("train")))
    inputs = max((t.shape[-1] for p in prunes if METHODS[p.method].memory.pair for t in p.targets), default=0)
    if tokens < inputs:
        message = f"{tokens:,} tokens of calibration for matrices of {inputs:,} inputs"
        notes = ("with fewer tokens than inputs, correlations between inputs are unknown and `damp` decides",)
        at = recipe.label(f"{block}.samples")
        found.say("W107", message, at, notes=notes, help="use more samples, or longer ones")

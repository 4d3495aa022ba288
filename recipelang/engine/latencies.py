"""How long the parts of a model take at several sizes, for the plan to predict speeds from: `planning/latencies.py`.

At each combination of sizes two small models with random weights are made of the shrunk configs, of one layer and of two.
They take turns in one process; the time of a layer is the median over the rounds of the difference of one round, and the
fixed time is what one layer leaves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn

from recipelang.engine import paired
from recipelang.engine.bench import (
    Opened,
    clock_of,
    drawn,
    export_aside,
    how_long,
    machine_of,
    on_threads,
    one_pass,
    pass_in,
    versions_of,
    vocabulary_of,
)
from recipelang.engine.models import leave_out_cache, leave_out_unread, loading, only_used, quiet
from recipelang.engine.shrink import empty_like
from recipelang.kinds.formats import FORMATS
from recipelang.kinds.sizes import AXES
from recipelang.planning.budgets import Reach
from recipelang.planning.facts import ModelFacts, read_model_facts
from recipelang.planning.formats import can_run
from recipelang.planning.latencies import Latencies, LatencyRow, shape_digest
from recipelang.planning.references import locate_model
from recipelang.planning.shrink import Here, plan_shrink
from recipelang.source.waiting import waiting
from recipelang.source.words import plural
from recipelang.spec.controls import ShrinkSpec
from recipelang.tasks import task_of
from recipelang.values.composite import Budget, Size

#: shares of the units that are measured; fewer where two rows of them are combined
_SHARES = (0.125, 0.25, 0.5, 0.75)
#: layers of the deeper one of two models
_DEEP = 2
#: a layer that takes less than the clock can tell apart
_LEAST = 1e-9


def measure_latencies(
    name: str, task: str, axes: Sequence[str], *, batch: int, length: int, threads: int, rounds: int, seed: int,
    device: str | None = None, runtime: str = "torch",
) -> Latencies:  # fmt: skip
    """E152 for an axis that cannot shrink, E188 and E247 for a model that cannot be measured so, E144 without the runtime."""
    if runtime != "torch":
        can_run(runtime)
        device = "cpu"
    where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    facts = read_model_facts(locate_model(name, Path.cwd()), task)
    rows = _rows(facts, axes)
    points = [_sizes(rows, corner) for corner in product(*(row.sizes for row in rows))]
    with on_threads(threads), TemporaryDirectory() as aside, loading(facts.path), quiet():
        opened = _small_models(name, facts, points, length, where)
        tokens = drawn(min(o.vocabulary for o in opened), batch, length, seed).to(where)
        clock, said = clock_of(where, threads)
        if runtime == "torch":
            passes = [one_pass(o, tokens) for o in opened]
        else:
            waiting(f"exporting {plural(len(opened), 'small model')} for {FORMATS[runtime].runtime}")
            places = [
                export_aside(partial(getattr, o, "model"), name, runtime, Path(aside, str(at)))
                for at, o in enumerate(opened)
            ]
            passes = [pass_in(o, place, runtime, tokens, threads) for o, place in zip(opened, places, strict=True)]
        waiting(how_long(passes, rounds))
        times = paired.interleaved(passes, rounds, clock)
    fixed, layer = [], []
    for one, more in zip(times[::2], times[1::2], strict=True):
        each = [(b - a) / (_DEEP - 1) for a, b in zip(one, more, strict=True)]
        layer.append(max(_LEAST, median(each)))
        fixed.append(max(0.0, median(a - of_layer for a, of_layer in zip(one, each, strict=True))))
    return Latencies(
        model=name, family=facts.family, task=task, config=shape_digest(facts.config), runtime=runtime, batch=batch,
        length=length, threads=threads, rounds=rounds, seed=seed, clock=said,
        machine=machine_of(where), versions=versions_of(runtime), rows=tuple(rows), fixed=tuple(fixed), layer=tuple(layer),
    )  # fmt: skip


def _rows(facts: ModelFacts, axes: Sequence[str]) -> list[LatencyRow]:
    """The sizes to measure: those that the axes can have which are nearest to some shares, and the whole."""
    spec = ShrinkSpec(
        name="axes",
        axes=tuple(Size(a, None) for a in AXES if a in axes or a == "layers"),
        budget=Budget("parameters", 1),
    )
    rows = [row for row in Reach(spec, facts, ()).rows if row.axes != ("layers",)]
    shares = _SHARES if len(rows) < 2 else _SHARES[1:]
    found = []
    for row in rows:
        whole = row.sizes[-1]
        near = {min((abs(size[0] - share * whole[0]), size) for size in row.sizes)[1] for share in shares}
        found.append(LatencyRow(axes=row.axes, sizes=tuple(sorted({*near, whole}))))
    return found


def _sizes(rows: Sequence[LatencyRow], corner: Sequence[tuple[int, ...]]) -> dict[str, int]:
    return {axis: to for row, size in zip(rows, corner, strict=True) for axis, to in zip(row.axes, size, strict=True)}


def _small_models(
    name: str, facts: ModelFacts, points: Sequence[Mapping[str, int]], length: int, device: torch.device
) -> list[Opened]:
    """Of every point a model of one layer and one of two, as transformers makes them of the shrunk configs."""
    import transformers

    with torch.device("meta"):
        config = transformers.AutoConfig.from_pretrained(facts.path)
        whole = only_used(getattr(transformers, task_of(facts.task).auto_model).from_config(config), facts.task)
    words = vocabulary_of(name, whole, length)
    here, found = Here(facts), []
    for point in points:
        for depth in (1, _DEEP):
            sizes = [Size(a, n) for a, n in {**point, "layers": depth}.items() if n < here.count(a)]
            small = whole
            if sizes:
                spec = ShrinkSpec(name="axes", axes=tuple(sizes), by="magnitude")
                small = empty_like(whole, plan_shrink(spec, facts, ())[0])
            found.append(Opened(name, facts.path, _with_weights(small, facts.task).to(device), words))
    return found


def _with_weights(small: Any, task: str) -> nn.Module:
    """The same model with random weights, ready to be measured."""
    with torch.random.fork_rng(), torch.inference_mode(False):  # the exporters take no tensors of that mode
        torch.manual_seed(0)
        made = only_used(type(small)(small.config), task).eval()
    leave_out_cache(made)
    leave_out_unread(made)
    return made

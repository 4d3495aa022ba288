"""Measure the parts of a model at several sizes, and write the table from which a budget of `speedup` chooses sizes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from recipelang.api.bench import check_counts
from recipelang.engine.latencies import measure_latencies
from recipelang.kinds.formats import RUNTIMES
from recipelang.kinds.sizes import AXES
from recipelang.planning.latencies import Latencies
from recipelang.source import fail
from recipelang.source.suggest import closest
from recipelang.spec.metrics import TASKS
from recipelang.storage.writing import write_json


def latencies(
    folder: str | Path,
    file: str | Path,
    *,
    task: str,
    axes: Sequence[str] = ("ffn", "layers"),
    batch: int = 1,
    length: int = 128,
    threads: int = 1,
    rounds: int = 50,
    seed: int = 0,
    device: str | None = None,
    runtime: str = "torch",
) -> Latencies:
    """Write the table of a model to a file, and return it.

    Args:
        folder: a model folder, or a `package://` or `hf://` reference. Its config counts, not its weights.
        file: where the table goes.
        task: of the recipe; it decides the head.
        axes: that recipes may shrink by this table; layers are always measured.
        batch: texts of one pass, and `length` their tokens; the others as for `recipelang.bench`.

    Raises:
        RecipeError: for what is no model, cannot shrink or cannot be measured so.
    """
    for name, value, known in (
        *(("axes", axis, (*AXES,)) for axis in axes), ("task", task, (*TASKS,)), ("runtime", runtime, RUNTIMES)
    ):  # fmt: skip
        if value not in known:
            near = closest(str(value), known)
            help = f"did you mean `{near}`?" if near else f"choose {', '.join(known)}"
            raise fail("E038", f"`{name}` cannot be {value!r:.40}", help=help)
    given = {"batch": batch, "length": length, "threads": threads, "rounds": rounds}
    check_counts(given)
    table = measure_latencies(str(folder), task, axes, **given, seed=seed, device=device, runtime=runtime)
    write_json(Path(file), table.model_dump(mode="json"))
    return table

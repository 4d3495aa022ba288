"""`recipelang.bench`: how fast and how large models are, measured side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

from recipelang.engine import bench as engine, paired
from recipelang.kinds.formats import RUNTIMES
from recipelang.source import fail

#: columns of a table that is printed by a program
_WIDTH = 100


class Bench(engine.Bench):
    """What was measured of each model. Printed, it reads as `recipelang bench` does; a notebook shows a table."""

    def __str__(self) -> str:
        from recipelang.report.cleaned import plain
        from recipelang.report.speed import shown

        return plain(shown(self), _WIDTH)

    def __repr__(self) -> str:
        return "<Bench " + ", ".join(f"{m.name}: {m.speedup.median:.2f}x" for m in self.models) + ">"

    def _repr_html_(self) -> str:
        from recipelang.report.notebook import bench

        return bench(self)

    def as_json(self) -> dict[str, Any]:
        """What `recipelang bench --json` prints."""
        around = (
            "batch",
            "length",
            "threads",
            "rounds",
            "seed",
            "vocabulary",
            "clock",
            "machine",
            "runtime",
            "versions",
        )
        models = [{f.name: getattr(m, f.name) for f in fields(m)} for m in self.models]
        for m, own in zip(self.models, models, strict=True):
            own["speedup"] = {f.name: getattr(m.speedup, f.name) for f in fields(m.speedup)}
        return {"format_version": "1.0", **{n: getattr(self, n) for n in around}, "models": models}


def bench(
    *folders: str | Path,
    batch: int = 1,
    length: int = 128,
    threads: int = 1,
    rounds: int = 50,
    seed: int = 0,
    device: Literal["cpu", "cuda"] | None = None,
    runtime: Literal["torch", "onnx", "onnx_int8", "openvino"] = "torch",
) -> Bench:
    """Measure the forward passes of models in turn, in this process.

    Args:
        folders: model folders, or `package://` and `hf://` references; the first is the reference for the others.
        batch: texts of one pass, and `length` their tokens.
        threads: of the processor. With one, its time is counted; with more, the time on the clock.
        rounds: in each, every model makes one pass.
        seed: of the random tokens, which all models read.
        device: a GPU where there is one, unless it is given. Other runtimes than torch measure on the processor.
        runtime: what runs the models; a model without a file of its own for it is exported for the measurement.

    Raises:
        RecipeError: for what is no model folder, and for a model that cannot be measured so.
    """
    given = {"batch": batch, "length": length, "threads": threads, "rounds": rounds}
    check_counts(given)
    if runtime not in RUNTIMES:
        raise fail("E038", f"`runtime` cannot be {runtime!r:.40}", help=f"choose {', '.join(RUNTIMES)}")
    if not folders:
        raise fail("E076", "no model to measure is named", help="name model folders, the reference first")
    found = engine.measure([str(f) for f in folders], **given, seed=seed, device=device, runtime=runtime)  # type: ignore[arg-type]
    return Bench(**{f.name: getattr(found, f.name) for f in fields(engine.Bench)})


def check_counts(given: Mapping[str, object]) -> None:
    """E038 for a setting of a measurement that is no whole number, or too small."""
    for name, value in given.items():
        least = paired.LEAST_ROUNDS if name == "rounds" else 1
        if type(value) is not int or value < least:
            raise fail("E038", f"`{name}` must be a whole number of at least {least}, not {value!r:.40}")

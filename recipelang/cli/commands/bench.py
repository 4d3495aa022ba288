"""`recipelang bench`: how fast and how large models are, measured side by side."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import typer

from recipelang.cli import complete, screen


class Runtime(StrEnum):
    torch = "torch"
    onnx = "onnx"
    onnx_int8 = "onnx_int8"
    openvino = "openvino"


class Device(StrEnum):
    cpu = "cpu"
    cuda = "cuda"


def bench(
    folders: list[str] = typer.Argument(
        ...,
        metavar="DIR",
        help="Model folders: of a run, of one of its stages, or of transformers. The first is the reference.",
        autocompletion=complete.models,
    ),
    batch: int = typer.Option(1, "--batch", min=1, metavar="N", help="Texts of one forward pass."),
    length: int = typer.Option(128, "--length", min=1, metavar="N", help="Tokens of each text."),
    threads: int = typer.Option(
        1, "--threads", min=1, metavar="N", help="Threads; with one, processor time is measured, else wall-clock time."
    ),
    rounds: int = typer.Option(50, "--rounds", min=6, metavar="N", help="Forward passes of each model."),
    seed: int = typer.Option(0, "--seed", min=0, metavar="N", help="Seed of the random tokens."),
    device: Device | None = typer.Option(None, "--device", help="Measure here; a GPU, if there is one, by default."),
    runtime: Runtime = typer.Option(
        Runtime.torch, "--runtime", help="Run the models with this; others than torch on the CPU."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print every figure as JSON."),
    latencies: Path | None = typer.Option(
        None, "--latencies", metavar="FILE", help="Measure the parts of one model at several sizes; write them here."
    ),
    task: str | None = typer.Option(None, "--task", help="Task of the recipe, with --latencies.", metavar="TASK"),
    axes: str | None = typer.Option(
        None, "--axes", metavar="LIST", help="Axes to measure, with --latencies: ffn,layers by default; heads, hidden."
    ),
) -> None:
    """Compare the speed and size of models.

    All models are loaded into one process and take turns, so that a busy machine slows
    all of them alike. The speed is the median, over the rounds, of the ratio of two
    times of one round, with its 95 % interval. One forward pass is measured: a decoder
    reads a text, and writes none.

    A model without a file for the runtime is exported first, as `formats` in `export`
    does, and the export thrown away.

    The same folder twice shows how far two equal models differ on your machine.

    Examples:

      recipelang bench runs/first/stages/dense runs/first

      recipelang bench model runs/first --batch 8 --length 64 --json

      recipelang bench model runs/first --runtime onnx

      recipelang bench model --latencies latencies.json --task question_answering
    """
    around = {"batch": batch, "length": length, "threads": threads, "rounds": rounds, "seed": seed}
    if latencies is not None:
        _latencies(folders, latencies, task, axes, as_json, device, runtime, around)
        return
    for name, given in (("--task", task), ("--axes", axes)):
        if given is not None:
            raise typer.BadParameter(f"{name} goes with --latencies FILE")
    from recipelang.api.bench import bench as measured
    from recipelang.report.speed import shown

    found = measured(
        *folders,
        **around,
        device=device.value if device else None,
        runtime=runtime.value,
    )
    screen.show(found.diagnostics.sorted())
    if as_json:
        print(screen.json_text(found.as_json()))
    else:
        screen.console().print(shown(found))


def _latencies(
    folders: list[str],
    file: Path,
    task: str | None,
    axes: str | None,
    as_json: bool,
    device: Device | None,
    runtime: Runtime,
    around: dict[str, int],
) -> None:
    """Measure the parts of one model, and write the table."""
    from recipelang.api.latencies import latencies
    from recipelang.report.latencies import shown

    if len(folders) != 1:
        raise typer.BadParameter("--latencies measures one model: name one folder")
    if task is None:
        raise typer.BadParameter("--latencies needs --task, the task of the recipe: it decides the head of the model")
    chosen = tuple(name.strip() for name in axes.split(",")) if axes else ("ffn", "layers")
    where = device.value if device else None
    table = latencies(folders[0], file, task=task, axes=chosen, device=where, runtime=runtime.value, **around)
    if as_json:
        print(screen.json_text(table.model_dump(mode="json")))
    else:
        screen.console().print(shown(table, str(file)))

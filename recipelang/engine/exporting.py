"""The model in other formats, by transformers' own exporters: tried before the run, written and compared at its end.

The exporters call themselves experimental. What they refuse is refused before anything is done: the model is exported
once without weights, which takes seconds and no memory. At the end of a run it is a warning, for the weights are there.
"""

from __future__ import annotations

import contextlib
import io
import logging
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from recipelang.engine import compressed
from recipelang.engine.export import carry
from recipelang.engine.models import is_out_of_memory, load_whole, loading, only_used, planned_config, quiet, unread
from recipelang.engine.runtimes import largest_difference, open_exported
from recipelang.kinds.formats import FORMATS, others
from recipelang.planning.formats import size_of
from recipelang.planning.types import Plan
from recipelang.source import Diagnostics, fail
from recipelang.storage.writing import new_folder, remove_folder
from recipelang.tasks import task_of

#: of the largest output, from which on a difference is no rounding: fp32 sums in another order
TOLERANCE = 1e-3
#: of the inputs that the exporter follows; 1 would be taken for a constant
_TEXTS, _TOKENS, _CHOICES = 2, 8, 2


@dataclass(frozen=True)
class Written:
    """What became of a format; `error` where it could not be written."""

    bytes: int = 0
    largest_difference: float | None = None
    error: str = ""

    def told(self) -> dict[str, Any]:
        return {"error": self.error} if self.error else {n: v for n, v in vars(self).items() if n != "error"}


def check_exports(plan: Plan) -> None:
    """E249 for a model that an exporter refuses. It is made without weights, on no device."""
    for name in (n for n in others(plan.export) if not FORMATS[n].of):
        folder = Path(plan.model.path)
        # OpenVINO takes the numbers of every weight at once
        with loading(folder), quiet(), torch.device("cpu" if name == "openvino" else "meta"):
            config = planned_config(folder, plan.model)
            model = only_used(_auto_model(plan).from_config(config), plan.model.task).eval()
        try:
            _exported(model, name, weights=False)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            help = f"remove `{name}` from `formats`; the safetensors files are written in any case"
            message = f"this model cannot be exported for {FORMATS[name].runtime}"
            raise fail("E249", message, notes=[_why(error)], help=help) from None


def write_exports(plan: Plan, out: Path, batch: Mapping[str, Tensor] | None) -> tuple[dict[str, Written], Diagnostics]:
    """Export the weights in `out`; each format is written whole or not at all. `batch`: what outputs are compared on."""
    done: dict[str, Written] = {}
    found = Diagnostics()
    names = others(plan.export)
    for first in (n for n in names if not FORMATS[n].of):
        target = out / Path(FORMATS[first].file).parent
        if target.is_dir():  # of an end that was interrupted
            remove_folder(target, inside=out)
        dtype = None if FORMATS[first].int8 else torch.float32
        model, _ = load_whole(out, dtype)
        quantized = [n for n in names if FORMATS[n].of == first]
        program = _tried(first, done, found, _exported, model, first)
        if program is None:
            done |= dict.fromkeys(quantized, done[first])
            continue
        with new_folder(target, inside=out) as part:
            program.save_pretrained(part)
            if first == compressed.NAME:
                carry(out, part, plan.model.task)  # a server is given this folder alone
            for name in quantized:
                _tried(name, done, found, _quantize, program, model, part / Path(FORMATS[name].file).name)
            for path in part.iterdir():
                shutil.copymode(out / "config.json", path)
        if first == compressed.NAME:
            model, _ = load_whole(out, torch.float32)  # in place of the one that was compressed
        for name in (n for n in (first, *quantized) if n not in done):
            most, share = _compared(model, out, name, plan, batch)
            done[name] = Written(size_of(out, name), most)
            if not (share <= TOLERANCE or FORMATS[name].int8):  # nor is NaN; quantized numbers are rounded
                notes = [f"the largest difference of an output is {most:.3g}, {share:.2%} of the largest output"]
                help = "compare the metrics of both before you use it"
                found.say("W206", f"outputs of {FORMATS[name].runtime} differ from PyTorch's", notes=notes, help=help)
    return done, found


def _tried(name: str, done: dict[str, Written], found: Diagnostics, write: Callable[..., Any], *given: Any) -> Any:
    """What is written, or W207 and none."""
    try:
        return write(*given)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        notes = [_why(error), "the safetensors files are written, and sound"]
        found.say("W207", f"the model could not be exported for {FORMATS[name].runtime}", notes=notes)
        done[name] = Written(error=_why(error))
        return None


@torch.no_grad()
def _compared(model: Any, out: Path, name: str, plan: Plan, batch: Mapping[str, Tensor] | None) -> tuple[float, float]:
    given = dict(batch) if batch is not None else _sample(model)
    if plan.model.pooling:  # texts of an item are read one by one
        given = {k: v.flatten(0, 1) if v.dim() == 3 else v for k, v in given.items()}
    given = {k: v for k, v in given.items() if k not in unread(model)}
    exported = open_exported(out, name, torch.get_num_threads())
    return largest_difference(model(**given), exported(**given))


def export_to(model: Any, name: str, folder: Path) -> None:
    """Write a model that is in memory in a format of its own, quantized ones included."""
    program = _exported(model, FORMATS[name].of or name)
    program.save_pretrained(folder)
    if FORMATS[name].of:
        _quantize(program, model, folder / Path(FORMATS[name].file).name)


def _exported(model: Any, name: str, weights: bool = True) -> Any:
    """For any number of texts of any length. Without weights nothing can be computed, and so nothing simplified."""
    if name == compressed.NAME:
        with _silently():
            return compressed.Compressed(model)
    sample = _sample(model)
    axes = {name: dict.fromkeys(range(t.dim()), torch.export.Dim.DYNAMIC) for name, t in sample.items()}
    more = {"use_cache": False} if getattr(model.config, "use_cache", None) else {}
    exporter: Any
    config: Any
    with _silently():
        if name == "openvino":
            from transformers.exporters.exporter_openvino import OpenVINOConfig, OpenVINOExporter

            exporter, config = OpenVINOExporter(), OpenVINOConfig(dynamic=True, dynamic_shapes=axes)
        else:
            from transformers.exporters.exporter_onnx import OnnxConfig, OnnxExporter

            exporter, config = OnnxExporter(), OnnxConfig(dynamic=True, dynamic_shapes=axes, optimize=weights)
        return exporter.export(model, {**sample, **more}, config)


def _quantize(program: Any, model: Any, path: Path) -> None:
    """ONNX Runtime's own: weights once, symmetric, so that zero stays zero; activations as they come."""
    from transformers.exporters.configs import ExportFormat
    from transformers.exporters.exporter_onnx import OnnxExporter
    from transformers.exporters.quantizers import OnnxRuntimeDynamicConfig, OnnxRuntimeQuantizer

    with _silently():
        config = OnnxRuntimeDynamicConfig(op_types_to_quantize=["MatMul", "Gemm", "Gather"], per_channel=True)
        made = OnnxRuntimeQuantizer(config).quantize(program.program, _sample(model), ExportFormat.ONNX)
        OnnxExporter.save_program(made, path)


def _sample(model: Any) -> dict[str, Tensor]:
    """What the exporter follows through the model, on its device: one tensor each, for it would take one for the other."""
    shape = (_TEXTS, _CHOICES, _TOKENS) if type(model).__name__.endswith("ForMultipleChoice") else (_TEXTS, _TOKENS)
    each = {"input_ids": 1, "attention_mask": 1, "token_type_ids": 0}
    every = {name: torch.full(shape, value, device=model.device) for name, value in each.items()}
    return {name: tensor for name, tensor in every.items() if name not in unread(model)}


def _auto_model(plan: Plan) -> Any:
    import transformers

    return getattr(transformers, task_of(plan.model.task).auto_model)


@contextlib.contextmanager
def _silently() -> Iterator[None]:
    """The exporters print, log and warn of what does not concern a model that can be exported."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with quiet(), warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _why(error: Exception) -> str:
    """The last of the causes: the exporters wrap each other's."""
    while error.__cause__ is not None and isinstance(error.__cause__, Exception):
        error = error.__cause__
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]

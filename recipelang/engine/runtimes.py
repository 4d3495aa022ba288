"""A model as another runtime runs it: what was exported, called as a model of transformers is."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from recipelang.engine import compressed
from recipelang.kinds.formats import FORMATS
from recipelang.planning.formats import can_run, lacking
from recipelang.source import fail
from recipelang.storage.reading import Unreadable, check_regular


class Outputs(dict[str, Tensor]):
    """As transformers gives them: by name, as attributes too."""

    def __getattr__(self, name: str) -> Tensor:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


#: of the inputs by name the outputs, in their order
Run = Callable[[dict[str, np.ndarray]], list[np.ndarray]]


class Exported(nn.Module):
    """An exported model on the processor. It takes what it was exported with, and zeros where a batch lacks it."""

    def __init__(self, run: Run, reads: Sequence[str], gives: Sequence[str]) -> None:
        super().__init__()
        self.run, self.reads, self._gives = run, reads, gives

    def feed(self, batch: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
        lacks = torch.zeros_like(batch["input_ids"])
        return {name: batch.get(name, lacks).cpu().numpy() for name in self.reads}

    def forward(self, **batch: Tensor) -> Outputs:
        device, found = batch["input_ids"].device, self.run(self.feed(batch))
        return Outputs((n, torch.from_numpy(f).to(device)) for n, f in zip(self._gives, found, strict=True))


def open_exported(folder: Path, name: str, threads: int) -> nn.Module:
    """What a run left in this format. E144 without the runtime, E076 for a file that it does not take."""
    if name != compressed.NAME:
        return open_session(folder, name, threads)
    can_run(name)
    _check_files(folder, name)
    return compressed.open_compressed(folder / name)


def open_session(folder: Path, name: str, threads: int) -> Exported:
    """The same, of formats with a runtime of their own."""
    _check_files(folder, name)
    path = str(folder / FORMATS[name].file)
    try:
        return _in_openvino(path, threads) if name == "openvino" else _in_onnxruntime(path, threads)
    except ImportError as error:
        raise lacking(name, error.name or FORMATS[name].packages[-1]) from None
    except Exception as error:  # of classes of its own, which are private
        raise fail("E076", f"{FORMATS[name].runtime} cannot load `{path}`", notes=[_first_line(error)]) from None


def _check_files(folder: Path, name: str) -> None:
    try:
        for file in (n for n in FORMATS[name].files if n == FORMATS[name].file or os.path.lexists(folder / n)):
            check_regular(folder / file, inside=folder)
    except Unreadable as error:
        raise error.coded("E076") from None


def _in_onnxruntime(path: str, threads: int) -> Exported:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors only
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    gives = [o.name for o in session.get_outputs()]
    return Exported(lambda feed: session.run(gives, feed), [i.name for i in session.get_inputs()], gives)


def _in_openvino(path: str, threads: int) -> Exported:
    import openvino

    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    with _own_signal_stack():
        compiled = openvino.Core().compile_model(path, "CPU", settings)
    request, gives = compiled.create_infer_request(), compiled.outputs

    def run(feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        found = request.infer(feed)
        return [found[port] for port in gives]

    return Exported(run, [p.get_any_name() for p in compiled.inputs], [p.get_any_name() for p in gives])


class _Stack(ctypes.Structure):
    """`stack_t` of C: where a thread's signal handlers run."""

    _fields_ = (("at", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))
    if sys.platform == "darwin":
        _fields_ = (("at", ctypes.c_void_p), ("size", ctypes.c_size_t), ("flags", ctypes.c_int))


@contextmanager
def _own_signal_stack() -> Iterator[None]:
    """OpenVINO has this thread's signal handlers run on memory of its own, and with two models frees it without a word:
    the next Ctrl-C would be a segmentation fault."""
    change = getattr(ctypes.CDLL(None), "sigaltstack", None) if os.name == "posix" else None
    before = _Stack()
    if change is not None:
        change(None, ctypes.byref(before))
    try:
        yield
    finally:
        if change is not None:
            change(ctypes.byref(before), None)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def largest_difference(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> tuple[float, float]:
    """Of two models' outputs of one batch: the largest difference, and what share of the largest output it is."""
    both = ((ours[n], theirs[n]) for n in ours.keys() & theirs.keys())
    pairs = [(a.float(), b.float()) for a, b in both if isinstance(a, Tensor)]  # a decoder has a cache among them
    most = max(float((a - b).abs().max()) for a, b in pairs)
    largest = max(float(a.abs().max()) for a, _ in pairs)
    return most, most / (largest or 1.0)

"""A model as another runtime runs it: what was exported, called as a model of transformers is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from recipelang.planning.formats import lacking
from recipelang.source import fail
from recipelang.spec.formats import FORMATS
from recipelang.storage.reading import Unreadable, check_regular


class Outputs(dict[str, Tensor]):
    """As transformers gives them: by name, as attributes too."""

    def __getattr__(self, name: str) -> Tensor:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class Exported(nn.Module):
    """An exported model on the processor. It takes what it was exported with, and zeros where a batch lacks it."""

    def __init__(self, session: Any) -> None:
        super().__init__()
        self._session = session
        self.reads = [i.name for i in session.get_inputs()]
        self._gives = [o.name for o in session.get_outputs()]

    def forward(self, **batch: Tensor) -> Outputs:
        device, lacks = batch["input_ids"].device, torch.zeros_like(batch["input_ids"])
        feed = {name: batch.get(name, lacks).cpu().numpy() for name in self.reads}
        found = self._session.run(self._gives, feed)
        return Outputs((n, torch.from_numpy(f).to(device)) for n, f in zip(self._gives, found, strict=True))


def open_exported(folder: Path, name: str, threads: int) -> Exported:
    """What a run left in this format. E144 without the runtime, E076 for a file that it does not take."""
    path = folder / FORMATS[name].file
    try:
        check_regular(path, inside=folder)
        import onnxruntime
    except Unreadable as error:
        raise error.coded("E076") from None
    except ImportError:
        raise lacking(name, "onnxruntime") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors only
    try:
        return Exported(onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]))
    except Exception as error:  # of its own classes, which are private
        raise fail("E076", f"{FORMATS[name].runtime} cannot load `{path}`", notes=[_first_line(error)]) from None


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def largest_difference(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> tuple[float, float]:
    """Of two models' outputs of one batch: the largest difference, and what share of the largest output it is."""
    pairs = [(ours[n].float(), theirs[n].float()) for n in ours.keys() & theirs.keys()]
    most = max(float((a - b).abs().max()) for a, b in pairs)
    largest = max(float(a.abs().max()) for a, _ in pairs)
    return most, most / (largest or 1.0)

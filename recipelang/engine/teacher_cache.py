"""A teacher's outputs, computed once and kept in the run's folder, so that the teacher never runs again.

Files of up to `SHARD` items appear one by one, each whole, and each with the digest of what it holds: a run
that was cut off goes on after the last one, and a damaged one is computed again. An item's outputs are
computed at the full width of the data set: padding does not change them, and any batch is a part of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from recipelang import processes
from recipelang.engine.delivery import delivered
from recipelang.modifiers.distill import inputs
from recipelang.modifiers.modifier import State
from recipelang.source import fail
from recipelang.storage.reading import Unreadable, check_regular
from recipelang.storage.writing import new_file
from recipelang.tasks import Features

FORMAT = 1
SHARD = 1024  # items; a few MB of logits, seconds to minutes of work
_TYPES = {"fp16": torch.float16, "fp32": torch.float32}


@dataclass(frozen=True)
class Wanted:
    """Which outputs of which items, in which type."""

    teacher: str  # digest of the teacher
    features: Features
    per_token: bool  # outputs are [items, tokens, ...]
    rows: np.ndarray  # sorted, those that the stage will draw
    outputs: tuple[str, ...]
    kept: str
    precision: str

    def key(self) -> str:
        """What the outputs depend on: teacher, inputs (so data, tokenizer, lengths), items, arithmetic."""
        f = self.features
        parts = [FORMAT, torch.__version__, self.teacher, self.outputs, self.kept, self.precision]
        total = hashlib.sha256(repr([*parts, f.width, [a.shape for a in f.inputs()]]).encode())
        for array in (*f.inputs(), self.rows):
            total.update(np.ascontiguousarray(array).data)
        return total.hexdigest()

    def shards(self) -> Iterator[tuple[int, np.ndarray]]:
        for number, first in enumerate(range(0, len(self.rows), SHARD)):
            yield number, self.rows[first : first + SHARD]


class Kept:
    """A teacher that only remembers: outputs [rows, ...] by name, at the full width of the data set."""

    def __init__(self, rows: np.ndarray, outputs: dict[str, Tensor], per_token: bool = True) -> None:
        self.rows = rows
        self.outputs = outputs
        self.per_token = per_token

    def fetch(self, rows: np.ndarray, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Those of some rows, as wide as their inputs."""
        width = inputs["input_ids"].shape[-1] if self.per_token else None
        places = torch.from_numpy(np.searchsorted(self.rows, rows))
        each = ((n, kept if width is None else kept[:, :width]) for n, kept in self.outputs.items())
        return {name: _as_wide(kept.index_select(0, places), width).numpy() for name, kept in each}

    def __call__(self, state: State) -> SimpleNamespace:
        return SimpleNamespace(**state.fetched)


def _as_wide(outputs: Tensor, width: int | None) -> Tensor:
    """[items, tokens, ...] of a batch that is padded past the longest row of the data; padding says nothing."""
    missing = 0 if width is None else width - outputs.shape[1]
    return outputs if missing <= 0 else F.pad(outputs, (0, 0) * (outputs.dim() - 2) + (0, missing))


def teacher_outputs(
    folder: Path,
    wanted: Wanted,
    load: Callable[[], nn.Module],
    autocast: Callable[[], AbstractContextManager[None]],
    batch: int,
    between: Callable[[], None],
    tell: Callable[[str], None],
) -> Kept:
    """What is there and sound, and the rest from the teacher, which is loaded only if needed.

    `between` is called after every file, and may stop the run.
    """
    folder = folder / wanted.key()[:16]
    model: nn.Module | None = None
    outputs: dict[str, Tensor] = {}
    for number, rows in wanted.shards():
        path = folder / f"items-{number:06d}.safetensors"
        found = _read(path, rows, wanted)
        if processes.most(found is None)[0]:
            if path.exists():
                tell(f"the teacher's outputs in `{path.name}` are damaged and will be recomputed")
            if model is None:
                tell(f"the teacher's outputs for {len(wanted.rows):,} items will be computed once")
                model = load().eval().requires_grad_(False)
            found = _compute(model, rows, wanted, autocast, batch)
            if processes.main():
                _write(path, found, rows)
            between()
        assert found is not None
        for name, part in found.items():
            whole = outputs.setdefault(name, part.new_empty(len(wanted.rows), *part.shape[1:]))
            whole[number * SHARD :][: len(rows)] = part
    return Kept(wanted.rows, outputs, wanted.per_token)


def _compute(
    model: nn.Module,
    rows: np.ndarray,
    wanted: Wanted,
    autocast: Callable[[], AbstractContextManager[None]],
    batch: int,
) -> dict[str, Tensor]:
    device = next(model.parameters()).device
    parts: dict[str, list[Tensor]] = {name: [] for name in wanted.outputs}
    mine = rows[processes.mine(len(rows))]
    # as many passes in each process: all of them give their rows of a teacher in shards
    for first in range(0, -(-len(rows) // processes.world()), batch):
        some = mine[first : first + batch] if first < len(mine) else rows[:1]
        collated = wanted.features.batch(some, wanted.features.width)
        (there,) = delivered(collated, device)
        with torch.no_grad(), autocast():
            outputs = model(**inputs(there))
        for name, own in parts.items():
            own.append(_narrow(getattr(outputs, name), wanted.kept))
    return {name: _of_all(torch.cat(own)[: len(mine)]) for name, own in parts.items()}


def _of_all(mine: Tensor) -> Tensor:
    """The items of every process, in their order."""
    return processes.joined(mine.reshape(-1)).view(-1, *mine.shape[1:])


def _narrow(logits: Tensor, kept: str) -> Tensor:
    narrow = logits.to(_TYPES[kept]).cpu()
    if not bool((narrow.isfinite() | logits.cpu().isneginf()).all()):  # -inf: a choice that a question lacks
        help = "write `cache = fp32`" if kept == "fp16" else "check the teacher"
        raise fail("E082", f"the teacher's outputs are not finite in {kept}", help=help)
    return narrow


def _write(path: Path, tensors: dict[str, Tensor], rows: np.ndarray) -> None:
    metadata = {"digest": _digest(tensors, rows)}
    with new_file(path) as part:
        save_file(tensors, part, metadata)


def _read(path: Path, rows: np.ndarray, wanted: Wanted) -> dict[str, Tensor] | None:
    """None when there is no such file, or it is not what was written."""
    try:
        check_regular(path)
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in wanted.outputs}
            metadata = file.metadata() or {}
    except (Unreadable, OSError, SafetensorError):
        return None
    return tensors if metadata.get("digest") == _digest(tensors, rows) else None


def _digest(tensors: dict[str, Tensor], rows: np.ndarray) -> str:
    total = hashlib.sha256(np.ascontiguousarray(rows).data)
    for name in sorted(tensors):
        total.update(f"{name}{tuple(tensors[name].shape)}{tensors[name].dtype}".encode())
        total.update(tensors[name].contiguous().numpy().data)
    return total.hexdigest()

"""Scores that a pass of `shrink` came to, kept in the cache folder: another size of the same model needs no second pass.

One file for each axis, named after all that decides its scores: the weights, what the model is shown, batch by batch, how
axes are ranked, the arithmetic, and the software. What is no more as it was written is computed again, and W166 says so.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from recipelang import processes
from recipelang.engine.places import Places
from recipelang.engine.roles import stacks_of
from recipelang.engine.worth import Read, Rows, Worth, passed, worth_of
from recipelang.planning.remembered import note_of, trim
from recipelang.planning.shrink_plan import ShrinkPlan
from recipelang.source import Diagnostics, RecipeError
from recipelang.storage.reading import Unreadable, check_regular
from recipelang.storage.writing import make_folder, new_file

FORMAT = 1
KIND = "scores"
#: bytes of all files, and of one: eight for each unit of an axis
MOST = 2**30
LONGEST = 2**28
#: between the axis and the place of a layer in the name of a tensor
_BETWEEN = ":"


def worth_kept(
    model: nn.Module,
    plan: ShrinkPlan,
    read: Read | None,
    rows: Rows | None,
    decided: Sequence[object],
    found: Callable[[Diagnostics], None],
) -> tuple[Worth, tuple[str, ...]]:
    """As `worth_of`, and the axes whose scores an earlier pass came to.

    `rows`: all that the pass can see. `decided`: what decides scores beside them, the model and the plan; any values
    whose `repr` is theirs.
    """
    axes = passed(plan)
    if read is None or rows is None or not axes:
        return worth_of(model, plan, read), ()
    files: dict[str, Path] = {}
    known: Worth = {}
    if processes.main():
        same = [FORMAT, state_digest(model), _rows_digest(rows, read.batch), *decided]
        files = {axis: _file(plan, axis, same) for axis in axes}
        known = _recalled(model, plan, files, found)
    known = processes.first(known)
    there = tuple(axis for axis in axes if any(of == axis for of, _ in known))
    if len(there) == len(axes):
        batches = -(-len(read.features) // read.batch)
        read.between(batches, batches)
    worth = worth_of(model, plan, read, known)
    for axis, file in files.items():
        if axis not in there:
            _keep(file, {f"{of}{_BETWEEN}{place}": scores for (of, place), scores in worth.items() if of == axis})
    return worth, there


def state_digest(model: nn.Module) -> str:
    """Of what a model computes with: its class, its config, and every parameter and buffer as it is now."""
    config = model.config.to_dict()  # type: ignore[operator, union-attr]
    own = {k: v for k, v in config.items() if k not in ("_name_or_path", "transformers_version")}
    attention = getattr(model.config, "_attn_implementation", None)
    total = hashlib.sha256(json.dumps([type(model).__name__, own, attention], sort_keys=True, default=str).encode())
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        total.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        total.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def _rows_digest(rows: Rows, batch: int) -> str:
    total = hashlib.sha256()
    for first in range(0, len(rows), batch):
        there = rows.batch(np.arange(first, min(first + batch, len(rows))))
        for name, array in sorted(there.items()):
            total.update(f"{name}{array.shape}{array.dtype}".encode())
            total.update(np.ascontiguousarray(array).data)
    return total.hexdigest()


def _file(plan: ShrinkPlan, axis: str, same: Sequence[object]) -> Path:
    ranking = "influence" if axis == "layers" else plan.by
    cuts = [
        (r.name, r.shape, c.dim, c.parts, c.unit, c.rest, c.blocks)
        for r in plan.reshapes
        for c in r.cuts
        if c.axis == axis
    ]
    return note_of(KIND, [axis, ranking, cuts, *same]).with_suffix(".safetensors")


def _recalled(
    model: nn.Module, plan: ShrinkPlan, files: dict[str, Path], found: Callable[[Diagnostics], None]
) -> Worth:
    known: Worth = {}
    for axis, file in files.items():
        own = _read(file, axis, places_of(model, plan, axis), _units(plan, axis))
        if own is None and file.exists():
            told = Diagnostics()
            notes = ["their file in the cache folder is not as it was written; the data is read again"]
            help = "nothing to do: the file is replaced"
            told.say("W166", f"the kept scores of `{axis}` are damaged", notes=notes, help=help)
            found(told)
        known |= {(axis, place): scores for place, scores in (own or {}).items()}
    return known


def places_of(model: nn.Module, plan: ShrinkPlan, axis: str) -> set[str]:
    """The layers, or what else (`Places`), that have units of an axis of their own; the empty place for units of all layers, and for layers."""
    if axis == "layers":
        return {*plan.stacks}
    if axis == "hidden":
        return {""}
    places = Places.of(plan, list(stacks_of(model)))
    return {places.place(axis, r.name) for r in plan.reshapes for c in r.cuts if c.axis == axis}


def _units(plan: ShrinkPlan, axis: str) -> int:
    size = plan.to(axis)
    assert size is not None
    return size.before


def _read(file: Path, axis: str, places: set[str], units: int) -> dict[str, Tensor] | None:
    """None when there is no such file, or it is not what was written."""
    try:
        check_regular(file, inside=file.parent)
        if file.stat().st_size > LONGEST:
            return None
        with safe_open(file, "pt") as opened:
            metadata = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (Unreadable, OSError, SafetensorError):
        return None
    if metadata.get("digest") != _digest(file, tensors) or tensors.keys() != {f"{axis}{_BETWEEN}{p}" for p in places}:
        return None
    sound = all(t.shape == (units,) and t.dtype == torch.float64 and bool(t.isfinite().all()) for t in tensors.values())
    return {name.partition(_BETWEEN)[2]: t for name, t in tensors.items()} if sound else None


def _keep(file: Path, scores: dict[str, Tensor]) -> None:
    """Nothing of scores that are not finite: they are an error of the run."""
    if not scores or not all(bool(t.isfinite().all()) for t in scores.values()):
        return
    with suppress(OSError, RecipeError):  # a cache that cannot be written only costs time
        make_folder(file.parent)
        with new_file(file, inside=file.parent) as part:
            save_file(scores, part, {"digest": _digest(file, scores)})
        trim(file, MOST)


def _digest(file: Path, scores: dict[str, Tensor]) -> str:
    """Of the name too: a file that lies under another one is not believed."""
    total = hashlib.sha256(file.name.encode())
    for name in sorted(scores):
        total.update(f"{name}{tuple(scores[name].shape)}{scores[name].dtype}".encode())
        total.update(scores[name].contiguous().numpy().data)
    return total.hexdigest()

"""Checkpoints: everything an exact resume needs, written atomically, read only when whole.

A checkpoint is a folder: `model.safetensors`, `state.safetensors` (masks,
optimizer, what modifiers remember, random states), `state.json` (position, measurements, digests) and
`manifest.json`, the digests of the others. No pickles.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from recipelang import processes
from recipelang.pruning.masks import Masks
from recipelang.pruning.shards import beside, whole
from recipelang.runtime.state import Modifier
from recipelang.source import RecipeError, fail
from recipelang.storage.reading import sha256
from recipelang.storage.writing import new_folder

#: 2: the same recipe means other weights than before, see `older`
FORMAT = 2


@dataclass
class Position:
    """Where the run goes on: the next step of a stage, and what was measured until then."""

    behaviour: str
    stage: int = 0
    step: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    zeros_at_start: dict[str, int] = field(default_factory=dict)
    processes: int = 1  # that wrote it


@dataclass(frozen=True)
class Loaded:
    position: Position
    model: dict[str, Tensor]
    state: dict[str, Tensor]


def save(
    folder: Path,
    position: Position,
    model: nn.Module,
    masks: Masks,
    optimizer: torch.optim.Optimizer | None,
    keep: int,
    modifiers: Sequence[Modifier] = (),
) -> Path:
    """Write `step-NNNNNNNN` and drop all but the newest `keep`."""
    path = folder / f"stage-{position.stage:02d}-step-{position.step:08d}"
    tensors = {f"mask/{n}": m for n, m in masks.state().items()}
    tensors |= {f"{m.name}/{key}": value for m in modifiers for key, value in m.state().items()}
    tensors |= _random_states()
    position.processes = processes.world()
    if optimizer is not None:
        for name, parameter in model.named_parameters():
            for key, value in optimizer.state.get(parameter, {}).items():
                assert isinstance(value, Tensor), f"{key} of the optimizer would be lost"
                tensors[f"optimizer/{name}/{key}"] = value
    weights, tensors = wholly(_each_once(model)), wholly(tensors)
    if not processes.main():
        return path
    with new_folder(path) as part:
        save_file(weights, part / "model.safetensors")
        save_file(tensors, part / "state.safetensors")
        body = {"format": FORMAT, **asdict(position), "python": _python_random()}
        (part / "state.json").write_text(json.dumps(body), "utf-8")
        digests = {f.name: sha256(f) for f in sorted(part.iterdir())}
        (part / "manifest.json").write_text(json.dumps(digests, indent=1), "utf-8")
    every = newest_first(folder)
    here = every.index(path)  # what sorts before it was damaged and is being done again
    for old in (*every[:here], *every[here + keep :]):
        shutil.rmtree(old, ignore_errors=True)
    return path


def newest_first(folder: Path) -> list[Path]:
    return sorted((p for p in folder.glob("stage-*-step-*") if p.is_dir()), reverse=True) if folder.is_dir() else []


def older(what: str) -> RecipeError:
    """Of a run that another version began, in which recipes meant something else."""
    return fail(
        "E083",
        f"{what} is of another version of recipelang",
        notes=[
            "since format 2 a learning rate, a temperature and a hardness are read at the start of their step and end "
            "after the last one, and weight decay spares norms and biases: going on would mix two runs",
        ],
        help="start again with `run --overwrite`; `ends = last` and `no_decay = nothing` give the earlier meaning",
    )


def load(path: Path, behaviour: str) -> Loaded:
    """E083 when a file is missing or changed, or the checkpoint is another run's."""
    try:
        manifest = json.loads((path / "manifest.json").read_text("utf-8"))
        bad = [n for n, d in manifest.items() if not (path / n).is_file() or sha256(path / n) != d]
        body = json.loads((path / "state.json").read_text("utf-8"))
    except (OSError, ValueError, AttributeError):
        bad, body = ["manifest.json"], {}
    if bad:
        raise fail("E083", f"the checkpoint `{path.name}` is damaged", notes=[f"{bad[0]} is missing or has changed"])
    if body.get("format") != FORMAT:
        raise older(f"the checkpoint `{path.name}`")
    if body["behaviour"] != behaviour:
        raise fail(
            "E083",
            f"the checkpoint `{path.name}` belongs to another run",
            notes=[f"its behaviour digest is {body['behaviour'][:19]}, the recipe's {behaviour[:19]}"],
            help="what decides the weights has changed since; start again with `run --overwrite`",
        )
    fields = Position.__dataclass_fields__
    _set_python_random(body["python"])
    return Loaded(
        Position(**{k: v for k, v in body.items() if k in fields}),
        load_file(path / "model.safetensors"),
        load_file(path / "state.safetensors"),
    )


def restore(
    loaded: Loaded,
    model: nn.Module,
    masks: Masks,
    optimizer: torch.optim.Optimizer | None,
    *,
    modifiers: Sequence[Modifier] = (),
    random_states: bool = True,
) -> None:
    """Weights, masks, optimizer and random states, bit for bit.

    A checkpoint from between two stages has no optimizer, and the next stage seeds its own streams.
    """
    now = _each_once(model)
    assert loaded.model.keys() == now.keys(), "the checkpoint is of another model"
    # a tied weight has two names, and is kept under one
    model.load_state_dict({n: beside(t, now[n]) for n, t in loaded.model.items()}, strict=False)
    parameters = dict(model.named_parameters())
    masks.load({n[5:]: m for n, m in loaded.state.items() if n.startswith("mask/")}, parameters)
    if optimizer is not None:
        for where, value in loaded.state.items():
            if where.startswith("optimizer/"):
                name, key = where[len("optimizer/") :].rsplit("/", 1)
                parameter = parameters[name]
                home = torch.device("cpu") if key == "step" and not _fused_on_gpu(optimizer) else parameter.device
                optimizer.state[parameter][key] = beside(value.to(home), parameter)
    device = next(iter(parameters.values())).device
    for modifier in modifiers:
        own = {n.removeprefix(f"{modifier.name}/"): v for n, v in loaded.state.items() if _is_of(n, modifier)}
        modifier.load({n: v.to(device) for n, v in own.items()})
    if not random_states:
        return
    mine = f"/{processes.rank()}" if processes.rank() else ""
    if f"random/torch{mine}" in loaded.state:  # a process that was not there before keeps the stream of its own
        torch.set_rng_state(loaded.state[f"random/torch{mine}"])
    if torch.cuda.is_available() and f"random/cuda{mine}" in loaded.state:
        torch.cuda.set_rng_state(loaded.state[f"random/cuda{mine}"])
    numbers = loaded.state["random/numpy"].numpy().view(np.uint32)
    np.random.set_state(("MT19937", numbers[:624], int(numbers[624]), 0, 0.0))


def _is_of(name: str, modifier: Modifier) -> bool:
    return bool(modifier.name) and name.startswith(f"{modifier.name}/")


def _fused_on_gpu(optimizer: torch.optim.Optimizer) -> bool:
    group = optimizer.param_groups[0]
    return bool(group.get("fused")) and group["params"][0].is_cuda


def _random_states() -> dict[str, Tensor]:
    _, keys, position, *_ = np.random.get_state()
    numbers = np.concatenate([np.asarray(keys, np.uint32), np.array([position], np.uint32)])
    states = {"random/torch": torch.get_rng_state(), "random/numpy": torch.from_numpy(numbers.view(np.int32).copy())}
    if torch.cuda.is_available():
        states["random/cuda"] = torch.cuda.get_rng_state()
    for number, others in enumerate(processes.each({k: v for k, v in states.items() if k != "random/numpy"})):
        if number:
            states |= {f"{k}/{number}": v for k, v in others.items()}
    return states


def _python_random() -> list[Any]:
    version, numbers, gauss = random.getstate()
    return [version, list(numbers), gauss]


def _set_python_random(state: list[Any]) -> None:
    random.setstate((state[0], tuple(state[1]), state[2]))


def _each_once(model: nn.Module) -> dict[str, Tensor]:
    """Weights and buffers, each under its first name: a decoder's embeddings may be its head as well."""
    names = {n for n, _ in (*model.named_parameters(), *model.named_buffers())}
    return {n: t for n, t in model.state_dict().items() if n in names}


def wholly(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Ready for a file, in the process that writes; of shards one tensor at a time is gathered."""
    found = {}
    for name, tensor in tensors.items():
        full = whole(tensor)  # all processes take part
        if processes.main():
            found[name] = full.detach().cpu().contiguous()
    return found

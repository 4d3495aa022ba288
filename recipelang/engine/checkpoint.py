"""Checkpoints: everything an exact resume needs, written atomically, read only when whole.

A checkpoint is a folder: `model.safetensors`, `state.safetensors` (masks,
optimizer, what modifiers remember, random states), `state.json` (position, measurements, digests) and
`manifest.json`, the digests of the others. With shards every process writes and reads its own files of the first two
(`engine/parts.py`). No pickles.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from recipelang import processes
from recipelang.engine.checkpoint_write import Writing
from recipelang.engine.fitting import each_once, miscounted, numpy_state, unfit
from recipelang.engine.parts import KINDS, MANIFEST, POSITION, Files, own, read as read_parts
from recipelang.engine.position import FORMAT, Position, Saved, misplaced, saved
from recipelang.modifiers.modifier import Modifier
from recipelang.planning.types import Plan
from recipelang.pruning.masks import Masks
from recipelang.pruning.shards import beside, is_shard
from recipelang.source import RecipeError, fail
from recipelang.storage.forms import OpenForm
from recipelang.storage.reading import Unreadable, check_regular, mapped_sha256, read_bytes
from recipelang.storage.strict_json import parse_model
from recipelang.storage.writing import remove_folder

#: of `manifest.json` and of `state.json`, which names every protected tensor
_MOST_BYTES = 64 * 2**20


class Formatted(OpenForm):
    format: int


@dataclass(frozen=True)
class Loaded:
    position: Position
    model: dict[str, Tensor]
    state: dict[str, Tensor]
    python: tuple[Any, ...]  # the random state of Python


class Damaged(Exception):
    """A checkpoint that cannot be used, and why; the one before it can."""


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
    writing = begin(folder, position, model, masks, optimizer, keep, modifiers)
    if writing is not None:
        writing.wait()
        return writing.path
    return _path(folder, position)


def begin(
    folder: Path,
    position: Position,
    model: nn.Module,
    masks: Masks,
    optimizer: torch.optim.Optimizer | None,
    keep: int,
    modifiers: Sequence[Modifier] = (),
) -> Writing | None:
    """As `save`, which is finished beside what follows; none where this process has nothing to write."""
    path = _path(folder, position)
    sharded = any(map(is_shard, model.parameters()))
    tensors = {f"mask/{n}": m for n, m in masks.placed().items()}
    tensors |= {f"{m.name}/{key}": value for m in modifiers for key, value in m.state().items()}
    if optimizer is not None:
        for name, parameter in model.named_parameters():
            for key, value in optimizer.state.get(parameter, {}).items():
                assert isinstance(value, Tensor), f"optimizer state {key} would be lost"
                tensors[f"optimizer/{name}/{key}"] = value
    random_states = _random_states(sharded=sharded)
    if not (sharded or processes.main()):
        return None
    live = next(model.parameters()).device.type == "cpu"
    return Writing(
        path,
        {"model": own(each_once(model), live=live), "state": own(tensors, live=live) | random_states},
        saved(position),
        live=live,
        sharded=sharded,
        named=partial(_drop_older, folder, path, keep),
    )


def _path(folder: Path, position: Position) -> Path:
    return folder / f"stage-{position.stage:02d}-step-{position.step:08d}"


def _drop_older(folder: Path, path: Path, keep: int) -> None:
    every = newest_first(folder)
    here = every.index(path)  # what sorts before it was damaged and is being done again
    for old in (*every[:here], *every[here + keep :]):
        with suppress(RecipeError):  # an old one that stays only costs room
            remove_folder(old, inside=folder.parent)


def newest_first(folder: Path) -> list[Path]:
    return sorted((p for p in folder.glob("stage-*-step-*") if p.is_dir()), reverse=True) if folder.is_dir() else []


def older(what: str) -> RecipeError:
    """Of a run that another version began, in which recipes meant something else."""
    return fail(
        "E083",
        f"{what} was written by another version of recipelang",
        notes=[
            "since format 2, learning rate, temperature and hardness are read at the start of a step and reach their end "
            "after the last step, and weight decay skips norms and biases; continuing would mix two runs",
        ],
        help="start again with `run --overwrite`; `ends = last` and `no_decay = nothing` restore the earlier meaning",
    )


def load(path: Path, plan: Plan, model: nn.Module) -> Loaded:
    """`Damaged` when a file is missing, changed, or does not fit the model; E083 when it is another run's.

    Of a model in shards every process reads and judges what it holds, and all say the same.
    """
    like = next((p for p in model.parameters() if is_shard(p)), None)
    loaded: Loaded | None = None
    why = None
    try:
        with _undamaged(path, own_part=like is not None) as files:
            loaded = _read(path, files, plan, model, like)
    except Damaged as error:
        why = str(error)
    whys = [why] if like is None else processes.each(why)
    why = next(filter(None, whys), None)
    if loaded is not None and why is None:
        why = miscounted(loaded.state, plan, loaded.position)
    if loaded is None or why is not None:
        raise Damaged(why)
    return loaded


def read(path: Path) -> Saved:
    """What a checkpoint says of itself, if all its files are as they were written. `Damaged`, or E083 of another release."""
    with _undamaged(path):
        return _saved(path)


def _saved(path: Path) -> Saved:
    text = _small(path / "state.json")
    try:
        body = parse_model(text, Saved)
        random.Random().setstate(_python_state(body))
    except (ValueError, TypeError, OverflowError) as error:
        _refuse_other_formats(path, text)
        raise Damaged(f"its state.json has changed: {error}") from None
    return body


def _read(path: Path, files: Files, plan: Plan, model: nn.Module, like: nn.Parameter | None) -> Loaded:
    body = _saved(path)
    if body.behaviour != plan.behaviour_digest:
        raise fail(
            "E083",
            f"the checkpoint `{path.name}` belongs to another run",
            notes=[f"its behaviour digest is {body.behaviour[:19]}, the recipe's {plan.behaviour_digest[:19]}"],
            help="the settings that determine the weights have changed; start again with `run --overwrite`",
        )
    if why := misplaced(body, plan):
        raise Damaged(why)
    try:
        weights, tensors = (read_parts([path / f for f in files.named(kind)], like) for kind in KINDS)
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise Damaged(f"its tensors cannot be read: {str(error)[:120]}") from None
    if why := unfit(weights, tensors, model, plan, body):
        raise Damaged(why)
    position = Position(**body.model_dump(exclude={"format", "python"}))
    return Loaded(position, weights, tensors, _python_state(body))


def _python_state(body: Saved) -> tuple[Any, ...]:
    version, numbers, gauss = body.python
    return version, tuple(numbers), gauss


def _small(path: Path) -> bytes:
    try:
        return read_bytes(path, _MOST_BYTES, inside=path.parent)
    except Unreadable as error:
        raise Damaged(f"{path.name} is {error.reason or error.why.value}") from None


@contextmanager
def _undamaged(path: Path, *, own_part: bool = False) -> Iterator[Files]:
    """Every file is there, no other is, and each is as it was written, which is found out meanwhile.

    At its end `Damaged`, whatever was said inside of a file that has changed. `own_part`: of as many files as there are
    processes each looks at its own, and who asks puts together what they say.
    """
    try:
        files = parse_model(_small(path / MANIFEST), Files)
    except ValueError as error:
        raise Damaged(f"{MANIFEST} cannot be used: {error}") from None
    try:
        there = {p.name for p in path.iterdir()} - {MANIFEST}
    except OSError as error:
        raise Damaged(f"it cannot be read: {error.strerror or error}") from None
    named = files.digests
    if odd := sorted(there ^ named.keys()):
        raise Damaged(f"{odd[0]} {'is missing' if odd[0] in named else 'does not belong there'}")
    for name in named:
        try:
            check_regular(path / name, inside=path)
        except Unreadable:
            raise _changed(name) from None
    if own_part and files.parts == processes.world():
        mine = [files.named(kind)[processes.rank()] for kind in KINDS]
        named = {name: digest for name, digest in named.items() if name in (POSITION, *mine)}
    longest_first = sorted(named, reverse=True)  # states are twice as large as weights
    with ThreadPoolExecutor() as pool:
        sound = pool.map(lambda name: _is_as_written(path / name, named[name]), longest_first)
        try:
            yield files
        finally:
            for name, same in zip(longest_first, sound, strict=True):
                if not same:
                    raise _changed(name) from None


def _changed(name: str) -> Damaged:
    return Damaged(f"{name} is missing or has changed")


def _is_as_written(file: Path, digest: str) -> bool:
    try:
        return mapped_sha256(file, inside=file.parent) == digest
    except Unreadable:
        return False


def _refuse_other_formats(path: Path, text: bytes) -> None:
    """E083 where another release wrote a checkpoint: what it holds may mean something else here."""
    with suppress(ValueError):
        if parse_model(text, Formatted).format != FORMAT:
            raise older(f"the checkpoint `{path.name}`")


def restore(
    loaded: Loaded,
    model: nn.Module,
    masks: Masks,
    optimizer: torch.optim.Optimizer | None,
    *,
    modifiers: Sequence[Modifier] = (),
    random_states: bool = True,
) -> None:
    """Weights, masks, optimizer and random states, bit for bit, of what `load` has judged, and which is empty then: what is
    in use is not in memory twice.

    A checkpoint from between two stages has no optimizer, and the next stage seeds its own streams.
    """
    now = each_once(model)
    # a tied weight has two names, and is kept under one
    model.load_state_dict({n: beside(t, now[n]) for n, t in loaded.model.items()}, strict=False)
    parameters = dict(model.named_parameters())
    masks.load({n[5:]: m for n, m in loaded.state.items() if n.startswith("mask/")}, parameters, judged=True)
    if optimizer is not None:
        for where, value in loaded.state.items():
            if where.startswith("optimizer/"):
                name, key = where[len("optimizer/") :].rsplit("/", 1)
                parameter = parameters[name]  # a fused optimizer counts its steps where the weights are
                optimizer.state[parameter][key] = beside(value.to(parameter.device), parameter)
    device = next(iter(parameters.values())).device
    for modifier in modifiers:
        own = {n.removeprefix(f"{modifier.name}/"): v for n, v in loaded.state.items() if _is_of(n, modifier)}
        modifier.load({n: v.to(device) for n, v in own.items()})
    random.setstate(loaded.python)
    if random_states:
        _set_random_states(loaded.state)
    loaded.model.clear()
    loaded.state.clear()


def _set_random_states(state: Mapping[str, Tensor]) -> None:
    mine = f"/{processes.rank()}" if processes.rank() else ""
    if f"random/torch{mine}" in state:  # a process that was not there before keeps the stream of its own
        torch.set_rng_state(state[f"random/torch{mine}"])
    if torch.cuda.is_available() and f"random/cuda{mine}" in state:
        torch.cuda.set_rng_state(state[f"random/cuda{mine}"])
    np.random.set_state(numpy_state(state["random/numpy"]))


def _is_of(name: str, modifier: Modifier) -> bool:
    return bool(modifier.name) and name.startswith(f"{modifier.name}/")


def _random_states(*, sharded: bool) -> dict[str, Tensor]:
    """Of this process where each writes its own; else of all."""
    _, keys, position, *_ = np.random.get_state()
    numbers = np.concatenate([np.asarray(keys, np.uint32), np.array([position], np.uint32)])
    own, numpy = {"random/torch": torch.get_rng_state()}, torch.from_numpy(numbers.view(np.int32).copy())
    if torch.cuda.is_available():
        own["random/cuda"] = torch.cuda.get_rng_state()
    each = {processes.rank(): own} if sharded else dict(enumerate(processes.each(own)))
    states = {f"{k}/{number}" if number else k: v for number, states in each.items() for k, v in states.items()}
    return states | ({"random/numpy": numpy} if processes.main() else {})


def wholly(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Ready for a file, of weights that are whole in every process. What is one tensor under two names stays one: a
    writer sees by their memory that a weight is tied."""
    here = {id(t): t.detach().cpu().contiguous() for t in {id(t): t for t in tensors.values()}.values()}
    return {n: here[id(t)] for n, t in tensors.items()}

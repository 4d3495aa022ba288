"""The files of a checkpoint: one of weights and one of states, or one of each from every process that holds shards.

In files of shards a tensor that is in all of them is divided by rows, in the order of the processes; any other is in one.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, model_validator
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from recipelang import processes
from recipelang.pruning.shards import is_shard, local, placed, rows_of
from recipelang.storage.forms import Form, Hex

Kind = Literal["model", "state"]
KINDS: tuple[Kind, ...] = ("model", "state")
POSITION, MANIFEST = "state.json", "manifest.json"

#: of one file, or of as many as there are processes
Digests = Hex | Annotated[list[Hex], Field(min_length=2, max_length=2**16)]


def file_name(kind: Kind, part: int = 0, of: int = 1) -> str:
    return f"{kind}.safetensors" if of == 1 else f"{kind}-{part + 1}-of-{of}.safetensors"


class Files(Form):
    """`manifest.json`: the digests of the other files, of shards in the order of their processes."""

    model: Digests = Field(alias="model.safetensors")
    position: Hex = Field(alias="state.json")
    state: Digests = Field(alias="state.safetensors")

    @model_validator(mode="after")
    def _as_many(self) -> Files:
        if isinstance(self.model, str) != isinstance(self.state, str) or len(self.model) != len(self.state):
            raise ValueError("there are not as many files of weights as of states")
        return self

    @property
    def parts(self) -> int:
        return 1 if isinstance(self.model, str) else len(self.model)

    def named(self, kind: Kind) -> list[str]:
        """The files of weights, or of states."""
        return [file_name(kind, part, self.parts) for part in range(self.parts)]

    @property
    def digests(self) -> dict[str, str]:
        """File -> digest."""
        each = {"model": self.model, "state": self.state}
        listed = {kind: [d] if isinstance(d, str) else d for kind, d in each.items()}
        return {POSITION: self.position, **{f: d for k in KINDS for f, d in zip(self.named(k), listed[k], strict=True)}}

    @classmethod
    def of(cls, position: str, digests: Sequence[dict[Kind, str]]) -> Files:
        """Of each process that wrote, its two."""
        each: dict[Kind, Any] = {k: [d[k] for d in digests] for k in KINDS}
        one = len(digests) == 1
        found = {f"{k}.safetensors": listed[0] if one else listed for k, listed in each.items()}
        return cls.model_validate({**found, POSITION: position})


def own(tensors: dict[str, Tensor], *, live: bool) -> dict[str, Tensor]:
    """What this process writes, on the host: of shards its rows, and all else if it is the first.

    `live`: without a copy of what is there already, which changes with the next step.
    """
    here = {n: local(t).detach() for n, t in tensors.items() if processes.main() or is_shard(t)}
    copied = {n: t.clone() if t.device.type == "cpu" and not live else t.cpu() for n, t in here.items()}
    return {n: t.contiguous() for n, t in copied.items()}


def read(paths: Sequence[Path], like: nn.Parameter | None) -> dict[str, Tensor]:
    """All tensors of the files of one kind. `ValueError` and what the libraries raise for files that do not belong together.

    `like`: a parameter in shards. Of what was written in shards there are then only the rows of this process, in shards as
    it is; else the whole.
    """
    if len(paths) == 1:
        return load_file(paths[0])
    with ExitStack() as stack:
        files = [stack.enter_context(safe_open(path, "pt")) for path in paths]
        where: dict[str, list[Any]] = {}
        for file in files:
            for name in file.keys():  # noqa: SIM118 (it is no mapping)
                where.setdefault(name, []).append(file)
        found = {}
        for name, there in where.items():
            if len(there) == 1:
                found[name] = there[0].get_tensor(name)
            elif len(there) == len(files):
                found[name] = _joined(name, [file.get_slice(name) for file in there], like)
            else:
                raise ValueError(f"`{name}` is in {len(there)} of {len(files)} files")
    return found


def _joined(name: str, pieces: Sequence[Any], like: nn.Parameter | None) -> Tensor:
    """Of a tensor that was divided by rows, the whole, or what of it belongs here."""
    shapes = [tuple(piece.get_shape()) for piece in pieces]
    if not shapes[0] or len({shape[1:] for shape in shapes}) > 1:
        raise ValueError(f"`{name}` has other shapes in other files")
    height = sum(shape[0] for shape in shapes)
    wanted, at, found = rows_of(height) if like is not None else slice(0, height), 0, []
    for piece, shape in zip(pieces, shapes, strict=True):
        here = slice(max(wanted.start - at, 0), min(wanted.stop - at, shape[0]))
        if here.start < here.stop:
            found.append(piece[here])
        at += shape[0]
    whole = torch.cat(found) if len(found) != 1 else found[0] if found else pieces[0][0:0]
    return whole if like is None else placed(whole, (height, *shapes[0][1:]), like)

"""Samples on their way through a model: those that there is no room for lie in a file without a name, one at a time in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from recipelang.planning.offloaded import ROOM
from recipelang.storage.writing import scratch_file

Portion = Any  #: as in `engine.layers`: its `states` are what lies in the file
#: of an item, whatever type a later layer gives
_WIDEST = 8


class Spilled:
    """A list of portions. The states of the first ones are in memory, up to `ROOM`; the others' in a file below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.portions: list[Portion] = []
        self.starts: list[int | None] = []  # in the file; none: in memory
        self.held = 0
        self.end = 0
        self.file: BinaryIO | None = None

    def __del__(self) -> None:
        if self.file is not None:
            self.file.close()

    def __len__(self) -> int:
        return len(self.portions)

    def __iter__(self) -> Iterator[Portion]:
        return (self[number] for number in range(len(self)))

    def append(self, portion: Portion) -> None:
        self.held += portion.states.nbytes
        fits = self.held <= ROOM
        self.starts.append(None if fits else self.end)
        self.end += 0 if fits else _WIDEST * portion.states.numel()
        self.portions.append(portion)
        self[len(self) - 1] = portion

    def __getitem__(self, number: int) -> Portion:
        portion, start = self.portions[number], self.starts[number]
        if start is None or self.file is None:
            return portion
        states = torch.empty(portion.states.shape, dtype=portion.states.dtype)
        self.file.seek(start)
        if self.file.readinto(bytes_of(states)) != states.nbytes:  # type: ignore[attr-defined]
            raise OSError("a scratch file is shorter than what was written to it")
        return replace(portion, states=states.to(portion.device))

    def __setitem__(self, number: int, portion: Portion) -> None:
        start = self.starts[number]
        if start is not None:
            self.file = self.file or scratch_file(self.folder)
            self.file.seek(start)
            self.file.write(bytes_of(portion.states))
            portion = replace(portion, states=portion.states.to("meta"), device=portion.states.device)
        self.portions[number] = portion


def bytes_of(tensor: Tensor) -> memoryview:
    """In place, where it lies in the memory of the host in one piece."""
    return tensor.cpu().contiguous().view(-1).view(torch.uint8).numpy().data

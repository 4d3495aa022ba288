"""The GPUs of this machine, shared out to the runs of a study by `CUDA_VISIBLE_DEVICES`: to each the one with fewest runs."""

from __future__ import annotations

import os

import torch

VISIBLE = "CUDA_VISIBLE_DEVICES"
#: who names a device, or none, has decided for every run
_DECIDED = ("ACCELERATE_TORCH_DEVICE", "ACCELERATE_USE_CPU")


def devices() -> list[str]:
    """As `CUDA_VISIBLE_DEVICES` names them: those that the variable already names, or else all. No context is made."""
    if any(os.environ.get(name) for name in _DECIDED):
        return []
    count = torch.cuda.device_count()
    named = os.environ.get(VISIBLE)
    every = [str(n) for n in range(count)] if named is None else [n.strip() for n in named.split(",")]
    return every[:count]


class Shared:
    """How many runs each device has."""

    def __init__(self, names: list[str]) -> None:
        self.runs = dict.fromkeys(names, 0)

    def take(self) -> str:
        """One with the fewest runs, the first of several; empty where there is none."""
        if not self.runs:
            return ""
        name = min(self.runs, key=lambda n: self.runs[n])
        self.runs[name] += 1
        return name

    def give_back(self, name: str) -> None:
        if name:
            self.runs[name] -= 1

"""What stays of a tensor when some units of a dimension go, and what each unit has of it."""

from __future__ import annotations

import torch
from torch import Tensor

from recipelang.planning.shrink_plan import CutPlan


def taken(tensor: Tensor, cut: CutPlan, units: Tensor) -> Tensor:
    """The places of these units, which are in order, in each block; and the places that are of none."""
    places = torch.arange(tensor.shape[cut.dim]).view(cut.blocks, -1)
    counted = places.shape[1] - cut.rest
    of_units = places[:, :counted].reshape(cut.blocks, cut.parts, -1, cut.unit)  # [blocks, parts, units, places]
    has = of_units.shape[2]
    local = units.view(cut.blocks, -1) % has  # of each block its own
    stay = [torch.cat([of_units[b][:, local[b]].flatten(), places[b, counted:]]) for b in range(cut.blocks)]
    return tensor.index_select(cut.dim, torch.cat(stay).to(tensor.device))


def summed(values: Tensor, cut: CutPlan) -> Tensor:
    """A number of every value, added up for each unit."""
    line = values.transpose(0, cut.dim).reshape(values.shape[cut.dim], -1).sum(1).view(cut.blocks, -1)
    line = line[:, : line.shape[1] - cut.rest].reshape(cut.blocks, cut.parts, -1, cut.unit)
    return line.sum((1, 3)).flatten()

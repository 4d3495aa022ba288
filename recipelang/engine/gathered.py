"""The weights of a model in shards, whole one at a time for the process that writes; all others take part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from recipelang import processes
from recipelang.engine.converted import Conversions
from recipelang.pruning.shards import is_shard, whole


class Gathered:
    """`serve` in all processes but the first, which reads; to its `end` both do the same in the same order."""

    def __init__(self, model: nn.Module) -> None:
        self.conversions = Conversions(model)
        self.state = model.state_dict()
        self.numbers = {name: number for number, name in enumerate(self.state, 1)}
        first = {id(p): n for n, p in model.named_parameters()}
        self.names = {n: first[id(p)] for n, p in model.named_parameters(remove_duplicate=False)}
        self.absent = {n: torch.empty(p.shape, dtype=p.dtype, device="meta") for n, p in model.named_parameters()}
        several = self.absent if self.conversions.converters else {}
        self.made = [n for n, p in several.items() if len(self.conversions.apart(n, p)) > 1]

    def shapes(self) -> dict[str, Tensor]:
        """As `state_dict`, all that is in shards on the meta device."""
        each = {n: self.absent[self.names[n]].detach() for n in self.state if n in self.names}
        return {n: each.get(n, t) for n, t in self.state.items()}

    def canonical(self, name: str) -> str:
        """Of the names of a tied weight the one that it is known by."""
        return self.names.get(name, name)

    def read(self, names: Iterable[str]) -> Iterator[tuple[str, Tensor]]:
        for name in names:
            yield name, self._whole(self.numbers[name])

    def end(self) -> None:
        processes.most(0)

    def serve(self) -> None:
        while number := processes.most(0)[0]:
            whole(self._tensor(number))

    def _whole(self, number: int) -> Tensor:
        processes.most(number)
        return whole(self._tensor(number)).detach().cpu()

    def _tensor(self, number: int) -> Tensor:
        return self.state[next(n for n, at in self.numbers.items() if at == number)]


def gathered(model: nn.Module) -> Gathered | None:
    """None for a model that is whole in every process."""
    return Gathered(model) if any(map(is_shard, model.parameters())) else None

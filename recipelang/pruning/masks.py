"""Masks beside their parameters, and what keeps the zeros zero.

A masked weight is exactly 0.0 after every event and every step; its gradient is
zeroed before clipping; its optimizer moments are zero from the moment it is
masked. With gradient and moments at zero no optimizer here moves it again
(decoupled weight decay multiplies 0.0), so one masked multiply of the gradients
a step is all there is to pay.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from recipelang.pruning.selection import counts
from recipelang.pruning.shards import beside, is_shard, local, of_weight, sums, whole

_MOMENTS = ("exp_avg", "exp_avg_sq", "momentum_buffer")
_BITS = {2: torch.int16, 4: torch.int32, 8: torch.int64}


class Shelf(Protocol):
    """Where masks lie that are not in memory."""

    def put(self, name: str, mask: Tensor) -> None: ...

    def take(self, name: str, like: Tensor) -> Tensor:
        """The mask of a parameter in the shape of `like`, on its device."""


class Masks:
    """Keep-masks by parameter name: `bool`, one byte a weight, on the parameter's device; of a shard, of what is here."""

    def __init__(self) -> None:
        self._params: dict[str, nn.Parameter] = {}
        self._masks: dict[str, Tensor] = {}
        self._dead: int | None = None  # counted when somebody asks, and again after a change
        self._settled: dict[str, int] = {}  # zeros of masks on the shelf, or that nothing asks for again
        self._taken: set[str] = set()  # from the shelf, as they are there
        self.shelf: Shelf | None = None  # of a model whose weights are not in memory

    def __len__(self) -> int:
        return len(self._masks)

    def __contains__(self, name: str) -> bool:
        return name in self._masks

    def __iter__(self) -> Iterator[tuple[str, nn.Parameter, Tensor]]:
        return ((n, self._params[n], m) for n, m in self._masks.items())

    def get(self, name: str) -> Tensor | None:
        return self._masks.get(name)

    @property
    def size(self) -> int:
        """Weights that have a mask, over all processes."""
        return sum(p.numel() for p in self._params.values())

    @property
    def dead(self) -> int:
        """Masked weights, over all processes. All have to ask."""
        if self._dead is None:
            masks = [*self._masks.values()]
            here = (m.numel() - n for m, n in zip(masks, counts(masks), strict=True))
            away = sum(n for name, n in self._settled.items() if name not in self._masks)
            self._dead = away + sum(sums(here, self._params.values()))
        return self._dead

    def in_force(self, name: str, parameter: nn.Parameter) -> Tensor | None:
        """The mask of a parameter, from the shelf where it lies there; none where it has none yet."""
        if name in self._settled and name not in self._masks and self.shelf is not None:
            self._masks[name], self._params[name] = self.shelf.take(name, parameter), parameter
            self._taken.add(name)
        return self._masks.get(name)

    @torch.no_grad()
    def set(self, name: str, parameter: nn.Parameter, mask: Tensor, *, zeroed: bool = False) -> None:
        """Put a mask in force and zero the weights it drops, unless they are `zeroed`."""
        self._params[name] = parameter
        self._masks[name] = mask = mask.contiguous()
        self._taken.discard(name)
        self._dead = None
        if not zeroed:
            zero(local(parameter), mask)

    def drop(self, names: Iterable[str]) -> None:
        """Take masks off."""
        self._dead = None
        for name in names:
            for known in (self._masks, self._params, self._settled):
                known.pop(name, None)
            self._taken.discard(name)

    def settle(self) -> None:
        """No mask in memory, and how many weights each has zeroed: no step follows."""
        for name, mask in self._masks.items():
            if name not in self._taken:
                self._settled[name] = mask.numel() - counts([mask])[0]
                if self.shelf is not None:
                    self.shelf.put(name, mask)
        self._dead = None
        self._masks.clear()
        self._params.clear()
        self._taken.clear()

    @torch.no_grad()
    def apply_gradients(self) -> None:
        """Zero the gradients of masked weights."""
        known = ((self._params[name].grad, mask) for name, mask in self._masks.items())
        _zero_all([(local(gradient), mask) for gradient, mask in known if gradient is not None])

    @torch.no_grad()
    def clear_moments(self, optimizer: torch.optim.Optimizer) -> None:
        """Zero the optimizer's memory of masked weights."""
        known = ((optimizer.state.get(self._params[name], {}), mask) for name, mask in self._masks.items())
        _zero_all([(local(state[k]), mask) for state, mask in known for k in _MOMENTS if state.get(k) is not None])

    @torch.no_grad()
    def holds(self) -> bool:
        """Whether every masked weight is exactly zero."""
        alive = [((local(p) != 0) > m).any() for _, p, m in self]
        return not alive or not bool(torch.stack(alive).any())

    def state(self) -> dict[str, Tensor]:
        """Whole masks, however many processes hold them."""
        return {n: whole(m) for n, m in self.placed().items()}

    def placed(self) -> dict[str, Tensor]:
        """Masks as their parameters are: in shards or whole."""
        return {n: beside(m, self._params[n]) for n, m in self._masks.items()}

    def load(self, state: dict[str, Tensor], parameters: dict[str, nn.Parameter], *, judged: bool = False) -> None:
        """`judged`: the weights are known to be zero where these masks say so."""
        for name, mask in state.items():
            mine = local(mask) if is_shard(mask) else of_weight(mask, parameters[name])
            here = mine.to(parameters[name].device, copy=True)  # events change it in place
            self.set(name, parameters[name], here, zeroed=judged)


def full(weight: Tensor) -> Tensor:
    """The mask of a weight that nothing is taken from, of the rows that this process holds."""
    here = local(weight)  # whose rows may not lie one behind the other; those of a mask do
    return torch.ones(here.shape, dtype=torch.bool, device=here.device)


@torch.no_grad()
def revived(weight: Tensor, mask: Tensor) -> bool:
    """Whether some weight that its mask drops is not zero. On a CPU numpy compares in a third of the time of torch."""
    if weight.device.type == "cpu" and weight.dtype != torch.bfloat16:  # which numpy lacks
        there = np.not_equal(weight.numpy(), 0)
        return bool(np.greater(there, mask.numpy(), out=there).any())
    return bool(((weight != 0) > mask).any())


def zero(tensor: Tensor, mask: Tensor) -> None:
    """Make plain 0.0 of what a mask drops, whatever it was, in place."""
    _zero_all([(tensor, mask)])


def _zero_all(pairs: Sequence[tuple[Tensor, Tensor]]) -> None:
    """`zero` of each tensor by its mask. Bits are multiplied, so that NaN becomes 0.0 too, and nothing is made anew."""
    there: list[tuple[Tensor, Tensor]] = []
    for tensor, mask in pairs:
        bits = _BITS.get(tensor.element_size())
        if bits is None:
            tensor.masked_fill_(~mask, 0.0)
        elif (
            tensor.device.type == "cpu"
        ):  # numpy widens the mask piece by piece in the cache, torch as a copy of its own
            here = tensor.detach().view(bits).numpy()
            np.multiply(here, mask.numpy().view(np.uint8), out=here)
        else:
            there.append((tensor.detach().view(bits), mask))
    if there:
        torch._foreach_mul_([bits for bits, _ in there], [mask for _, mask in there])  # one call for all

"""What ranks weights: one file a method. What else there is to know of a method is declared in `methods/`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from recipelang import processes
from recipelang.pruning import patterns
from recipelang.pruning.inputs import Gathered
from recipelang.pruning.selection import Scores
from recipelang.source import fail


class Gradients(Protocol):
    """After each batch the mean gradients of the task's loss lie in `.grad`, in eval mode.

    `size` is the examples of a batch, 0 for as many as an optimizer step has. Masked weights have none, unless they
    are `dense`. Called again before the weights change, it gives the same ones. Of several processes each is given
    its part of them, and what is added up over them is then added up over the processes.
    """

    def __call__(self, batches: int, size: int, dense: bool = False) -> Iterator[None]: ...


@dataclass(frozen=True)
class Select:
    """Which weights of one matrix, or of some of its columns, go: as its pattern and scope have it."""

    pattern: str
    size: tuple[int, int]
    scope: str

    def __call__(self, score: Tensor, zeros: int, live: Tensor) -> Tensor:
        """A new keep-mask with exactly `zeros` false; all three have one shape, [outputs, inputs]."""
        flat = [lambda: score.reshape(-1)]
        keep = live.clone(memory_format=torch.contiguous_format)
        return patterns.choose(self.pattern, self.size, self.scope, flat, [zeros], [keep])[0]

    @property
    def group(self) -> int:
        """M of an N:M pattern, whose groups stand on their own; else 0."""
        return self.size[1] if self.pattern == "N:M" else 0

    @property
    def unit(self) -> int:
        """How many weights go together."""
        return self.size[0] * self.size[1] if self.pattern == "block" else 1


def precise(weight: Tensor) -> torch.dtype:
    """No less than single precision: a sum in a narrow type stops growing long before it is done."""
    return torch.promote_types(weight.dtype, torch.float32)


class Reached:
    """Whether gradients reach all targets: without any, all scores are 0, and the order of weights would decide."""

    def __init__(self, names: Sequence[str], weights: Sequence[nn.Parameter]) -> None:
        self.names, self.weights = names, weights
        self.seen = [0] * len(weights)

    def watch(self, draws: Iterable[None]) -> Iterator[None]:
        """The same draws; after the last one, E086 where some target never had a gradient, in any process."""
        drawn = 0
        for _ in draws:
            drawn += 1
            self.seen = [n + (w.grad is not None) for n, w in zip(self.seen, self.weights, strict=True)]
            yield
        drawn, *seen = (int(n) for n in processes.total(drawn, *self.seen))
        missing = [name for name, n in zip(self.names, seen, strict=True) if not n]
        if missing and drawn:
            notes = [f"{len(missing)} of {len(seen)} targets of this block have no gradient"]
            help = "make the loss depend on them, and do not freeze them before they are ranked"
            raise fail("E086", f"no gradient reaches `{missing[0]}`", notes=notes, help=help)


class Score:
    """A method's scores over a set of targets. The largest stay.

    A method defines only what it needs: `observe` if it looks at steps, `fit` if at inputs. What it remembers between steps it gives
    in `state`, which a checkpoint keeps.
    """

    #: what it gathers of the inputs of a layer, so that `fit` is called in place of all below, one target at a time
    gathers: type[Gathered] | None = None
    #: an event is reached in so many equal rounds, each with scores of its own
    rounds = 1
    #: whether `observe` leaves out a step that is `broken`; one that does not is shown gradients of 0, or nothing where the
    #: host knows of it
    heeds = False
    #: on the device of the weights: whether some gradient of the step is not finite, so that nothing of it may count
    broken: Tensor | None = None

    def __init__(self, names: Sequence[str], seed: int) -> None:
        """A method with arguments takes them by their names, each of them always given."""
        self.names = tuple(names)
        self.seed = seed

    def fit(self, weight: nn.Parameter, inputs: Gathered, zeros: int, live: Tensor, select: Select) -> Tensor:
        """The keep-mask of a target, from what was gathered of its inputs; weights that stay may change."""
        raise NotImplementedError

    def observe(self, weights: Sequence[nn.Parameter]) -> None:
        """Look at the gradients of a step, before masked ones are zeroed."""

    def prepare(self, weights: Sequence[nn.Parameter], gradients: Gradients) -> None:
        """Before an event: gather what it needs beside the weights."""

    def scores(self, weights: Sequence[nn.Parameter]) -> list[Scores]:
        """The scores of each target, on demand, flat. A call may reuse the buffer of the last one."""
        raise NotImplementedError

    def tiles(self, weights: Sequence[nn.Parameter], size: tuple[int, int]) -> list[Scores] | None:
        """Scores of tiles of this size, flat, where the method has its own; none: the mean over the weights."""
        return None

    def start(self, weights: Sequence[nn.Parameter]) -> list[Scores]:
        """Of a method that regrows: scores of tensors that are dense at its first event."""
        raise NotImplementedError

    def grown(self, kept: Sequence[Tensor]) -> list[Scores]:
        """Of a method that regrows, after `prepare`: scores that add to the weights `kept` (bool) those that grow."""
        raise NotImplementedError

    def compensate(self, weights: Sequence[nn.Parameter], keep: Sequence[Tensor]) -> None:
        """Change the weights that stay, for those that go. The masks are put in force afterwards."""

    def state(self) -> dict[str, Tensor]:
        return {}

    def load(self, state: Mapping[str, Tensor]) -> None:
        pass

    def remembered(self, ranked: bool, observed: bool) -> tuple[Collection[str], Collection[str]]:
        """Keys that `state` has, and those that it may have beside them; each is of single precision.

        A key is the name of a target, or `NAME/WHAT`; all but `step` have its shape. `ranked`: after the first event;
        `observed`: after a step whose gradients were looked at.
        """
        return (), ()

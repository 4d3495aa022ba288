"""What ranks weights: one file a method. `SCORES` names them all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from torch import Tensor, nn

from recipelang.pruning.selection import Scores

#: `(batches, examples of a batch)` -> after each one the gradients of the task's loss lie in `.grad`, in eval mode;
#: called again before the weights change, it gives the same ones. Of several processes each is given its part of
#: them, and what is added up over them is then added up over the processes
Gradients = Callable[[int, int], Iterator[None]]


class Score:
    """A method's scores over a set of targets. The largest stay.

    A method defines only what it needs. What it remembers between steps it gives
    in `state`, which a checkpoint keeps.
    """

    #: whether `observe` wants the gradients of every step
    observes = False
    #: whether it ranks weights that processes hold in shards (`pruning.shards`), each by what is there
    shards = False
    #: an event is reached in so many equal rounds, each with scores of its own
    rounds = 1

    def __init__(self, args: Mapping[str, object], names: Sequence[str], seed: int) -> None:
        self.args = args
        self.names = tuple(names)
        self.seed = seed

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

    def compensate(self, weights: Sequence[nn.Parameter], keep: Sequence[Tensor]) -> None:
        """Change the weights that stay, for those that go. The masks are put in force afterwards."""

    def state(self) -> dict[str, Tensor]:
        return {}

    def load(self, state: Mapping[str, Tensor]) -> None:
        pass


def make(method: str, args: Mapping[str, object], names: Sequence[str], seed: int) -> Score:
    """The score of a method by its name in a recipe."""
    from recipelang.pruning.scores import magnitude, movement, obert, random, snip

    table: dict[str, type[Score]] = {
        "magnitude": magnitude.Magnitude,
        "random": random.Random,
        "movement": movement.Movement,
        "snip": snip.Snip,
        "obert": obert.Obert,
    }
    return table[method](args, names, seed)

"""A model taken layer by layer over a calibration set: what one layer gives is what the next one sees.

Only the states between two layers are kept, of all samples, and the sums gathered of one layer's inputs. A layer is
called as its model calls it: masks, positions and rotary tables may differ from layer to layer.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from itertools import pairwise, zip_longest
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from recipelang.engine.delivery import delivered
from recipelang.engine.experts import Target, expert_inputs, left_out, target_of, tokens_of
from recipelang.engine.offload import Offloaded
from recipelang.engine.spill import Spilled
from recipelang.pruning.free_memory import trim
from recipelang.pruning.inputs import Gathered
from recipelang.pruning.matrix_names import expert_of, parameter_of
from recipelang.pruning.reconstruction import Samples
from recipelang.source import RecipeError, fail
from recipelang.tasks import Features

Autocast = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True)
class Call:
    """What a layer is called with beside the states."""

    others: tuple[Any, ...]  # what follows the states in the call
    named: dict[str, Any]


@dataclass
class Seen:
    """One call of a layer in a pass of its model, and the states that it gave."""

    states: Tensor
    call: Call
    gave: Tensor | None = None
    plain: bool = False  # the layer gives them and nothing else


@dataclass(frozen=True)
class Portion:
    """Some samples on their way: what the next layer reads, and how it and those after it are called."""

    states: Tensor  # [samples, tokens, width]
    calls: tuple[Call, ...]  # one for each layer to come; what a model gives to several of them is the same tensor
    keep: Tensor | None  # bool [sequences, tokens], false at padding; none: there is no padding
    across: Tensor | None  # the same of what an encoder gave, which a decoder reads beside its states
    device: torch.device | None = None  # of states that lie in a file meanwhile

    def kept(self, name: str, x: Tensor, tables: set[str]) -> Tensor:
        """Of what a matrix reads, [..., width], the rows that are no padding: [tokens, width].

        `tables` are the matrices that were seen to read a table which several sequences share: none of it is padding.
        """
        if x.shape[0] == 1 < len(self.states):
            tables.add(name)
        if x.shape[0] == 1 and name in tables:
            return x.flatten(0, -2)
        call = self.calls[0]
        beside = (
            any(x is given for given in (*call.others, *call.named.values())) or x.shape[:2] != self.states.shape[:2]
        )
        return tokens_of(name, x, self.across if beside else self.keep)


class Reached(Exception):
    """The last layer that matters was called: nothing after it is wanted."""


@dataclass(frozen=True)
class Layers:
    """As `modifier.State.layers`. `between(done, of)` is called before each layer and at the end; it may stop the run."""

    model: nn.Module
    features: Features
    labels: tuple[str, ...]
    batch: int
    autocast: Autocast
    between: Callable[[int, int], None]
    disk: Offloaded | None = None

    def __call__(
        self,
        names: Sequence[str],
        gathers: type[Gathered],
        order: str,
        pruned: Callable[[Sequence[str], Samples], None] | None = None,
    ) -> Iterator[dict[str, Gathered]]:
        stacks = _stacks(self.model, names)
        training = self.model.training
        self.model.eval()
        try:
            # but in sequence every layer sees the model as it was, a decoder the whole encoder
            ahead = {id(s): self._calls(s.reached, s.decoder) for s in stacks} if order != "sequential" else {}
            done, of = 0, sum(len(s.reached) for s in stacks)
            for stack in stacks:
                portions = ahead.get(id(stack)) or self._calls(stack.reached, stack.decoder)
                dense = [] if pruned is None else self._again(portions)
                for number, layer in enumerate(stack.reached):
                    self.between(done, of)
                    own, last = stack.targets.get(number, {}), layer is stack.reached[-1]
                    again = not own or order == "sequential"  # what the layer makes of the samples once it is pruned
                    with self._here(layer, own if order != "untouched" else ()):
                        for i in range(len(dense)):
                            dense[i] = self._through(layer, dense[i])
                        if own:
                            yield self._gather(layer, own, gathers, portions, further=not last and not again)
                            if pruned is not None:
                                pruned([*own], _Passing(self, layer, portions, dense))
                            trim()  # of every layer the allocator would keep more, in pieces too small for the next
                        for i in range(len(portions) if again and not last else 0):
                            portions[i] = self._through(layer, portions[i])
                    trim()
                    done += 1
            self.between(done, of)
        finally:
            self.model.train(training)

    def _here(self, layer: nn.Module, targets: Collection[str]) -> AbstractContextManager[None]:
        """The weights of a layer in memory; those of its targets are kept."""
        if self.disk is None:
            return nullcontext()
        return self.disk.present(self.disk.of(layer), kept={parameter_of(n)[0] for n in targets})

    @torch.no_grad()
    def _calls(self, layers: Sequence[nn.Module], decoder: bool = False) -> list[Portion] | Spilled:
        """What the first layer reads of all samples, and how each of the layers is called."""
        portions: list[Portion] | Spilled = [] if self.disk is None else Spilled(self.disk.kept)
        with ExitStack() as stack:
            if self.disk is not None:
                stack.enter_context(self.disk.whole())
            device = next(self.model.parameters()).device
            seen = [stack.enter_context(calls_of(layer, layer is layers[-1])) for layer in layers]
            for first in range(0, len(self.features), self.batch):
                rows = np.arange(first, min(first + self.batch, len(self.features)))
                (batch,) = delivered(self.features.batch(rows), device, counted=False)
                keep = across = _there(batch["attention_mask"].bool())
                if decoder and "labels" in {*batch} - {*self.labels}:  # its tokens are those of the labels
                    keep = _there(batch["labels"] >= 0)
                try:
                    with self.autocast():
                        self.model(**{k: v for k, v in batch.items() if k not in self.labels})
                except Reached:
                    pass
                if not one_after_the_other(seen):
                    raise _not_a_chain()
                once = [calls.pop() for calls in seen]
                portions.append(Portion(once[0].states, tuple(one.call for one in once), keep, across))
        return portions

    def _again(self, portions: list[Portion] | Spilled) -> list[Portion] | Spilled:
        """The same samples, to go their own way: as the model has them before it is pruned."""
        if self.disk is None:
            return [*portions]
        found = Spilled(self.disk.kept)
        for portion in portions:
            found.append(portion)
        return found

    @torch.no_grad()
    def _through(self, layer: nn.Module, portion: Portion) -> Portion:
        return replace(portion, states=self.states(layer, portion), calls=portion.calls[1:])

    def states(self, layer: nn.Module, portion: Portion) -> Tensor:
        """What a layer gives."""
        call = portion.calls[0]
        with self.autocast():
            out = layer(portion.states, *call.others, **call.named)
        return out if isinstance(out, Tensor) else out[0]

    @torch.no_grad()
    def _gather(
        self,
        layer: nn.Module,
        targets: dict[str, Target],
        gathers: type[Gathered],
        portions: list[Portion] | Spilled,
        further: bool,
    ) -> dict[str, Gathered]:
        """What was gathered for each target; `further`: the samples go on, as the layer is now."""
        seen: dict[str, list[tuple[Any, ...]]] = {}  # of each call: DeBERTa's queries and keys read positions too

        def look(name: str) -> Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], None]:
            return lambda module, args, named: seen.setdefault(name, []).append((*args, *named.values()))

        def alike(one: str, other: str) -> bool:
            inputs = ([call[0] for call in seen[name]] for name in (one, other))
            same = all(a is b for a, b in zip_longest(*inputs))
            return same and targets[one].reads == targets[other].reads

        first: dict[str, str] = {}  # of those that read the very same tensor
        sums: dict[str, Gathered] = {}
        tables: set[str] = set()
        handles = [t.module.register_forward_pre_hook(look(name), with_kwargs=True) for name, t in targets.items()]
        try:
            for number, portion in enumerate(portions):
                after = self._through(layer, portion)
                if further:
                    portions[number] = after
                del after  # else two portions are kept twice
                for name, calls in seen.items():
                    target = targets[name]
                    x = calls[0][0]
                    if name not in first:
                        first[name] = next(other for other in seen if alike(other, name))
                        if first[name] == name:
                            sums[name] = gathers.empty(target.width or x.shape[-1], x.device)
                    if first[name] != name:
                        continue
                    for given in calls:
                        if target.expert is not None:
                            with self.autocast():
                                sums[name].add(expert_inputs(name, target, given, portion.keep))
                        else:
                            sums[name].add(portion.kept(name, given[0], tables))
                unseen = [n for n in targets if n not in seen and not _routed(n, targets[n])]
                if unseen:
                    raise _unseen(unseen[0])
                seen.clear()
        finally:
            for handle in handles:
                handle.remove()
        for name in targets.keys() - first.keys():  # of experts that no token reached
            first[name], width = name, targets[name].module.get_parameter("weight").shape[-1]
            sums[name] = gathers.empty(width, portions[0].states.device)
        return {name: sums[first[name]] for name in targets}


@dataclass(frozen=True)
class _Passing:
    """As `pruning.reconstruction.Samples`."""

    layers: Layers
    layer: nn.Module
    here: list[Portion] | Spilled  # before the layer
    dense: list[Portion] | Spilled  # after it

    def __len__(self) -> int:
        return len(self.here)

    def given(self, batch: int) -> tuple[Tensor, Tensor]:
        portion = self.here[batch]
        found, wanted = self.layers.states(self.layer, portion), self.dense[batch].states
        if portion.keep is not None and portion.keep.shape == found.shape[:2]:
            return found[portion.keep], wanted[portion.keep]
        return found, wanted


def _there(mask: Tensor) -> Tensor | None:
    """None where there is no padding; choices of a question are rows of the states."""
    return None if bool(mask.all()) else mask.flatten(0, -2)


def _routed(name: str, target: Target) -> bool:
    """Whether a module is called only where the router sends its expert a token."""
    return target.expert is None and bool(expert_of(name))


def one_after_the_other(seen: Sequence[list[Seen]]) -> bool:
    """Whether each layer was called once, with the very states that the one before it gave."""
    if any(len(calls) != 1 for calls in seen):
        return False
    return all(b[0].states is a[0].gave for a, b in pairwise(seen))


def _not_a_chain() -> RecipeError:
    help = "use a method that does not look at inputs, such as `magnitude`"
    notes = ["a layer is called several times, or does not read what the layer before it gave"]
    return fail("E055", "this release cannot take this model layer by layer", notes=notes, help=help)


def _unseen(name: str) -> RecipeError:
    notes = ["its layer uses the weights without calling the module they belong to"]
    return fail("E055", f"this release cannot see the inputs of `{name}`", notes=notes, help=left_out(name))


@dataclass(frozen=True)
class _Stack:
    """Layers that are called one after the other, to the last with a target."""

    reached: list[nn.Module]
    targets: dict[int, dict[str, Target]]  # of a layer, by the name of the matrix
    decoder: bool = False  # one of two stacks, which reads the other


def _stacks(model: nn.Module, names: Sequence[str]) -> list[_Stack]:
    """The stacks that the targets lie in, an encoder before its decoder."""
    found: dict[str, dict[int, dict[str, Target]]] = {}
    for name in names:
        parameter, expert = parameter_of(name)
        path, _, own = parameter.rpartition(".")
        parts = path.split(".")
        at = next(i for i, part in enumerate(parts) if part.isdigit())
        layer = found.setdefault(".".join(parts[:at]), {}).setdefault(int(parts[at]), {})
        layer[name] = target_of(model, path, own, expert)
    ordered = sorted(found, key=lambda path: "decoder" in path.split("."))
    two = bool(getattr(model.config, "is_encoder_decoder", False))
    return [
        _Stack(list(model.get_submodule(p))[: max(found[p]) + 1], found[p], two and "decoder" in p.split("."))  # type: ignore[call-overload]
        for p in ordered
    ]


@contextmanager
def calls_of(layer: nn.Module, last: bool) -> Iterator[list[Seen]]:
    """The states and the rest of each call of a layer, while its model runs; the last one ends the run.

    A layer that gives states and nothing else is computed once, to learn that, and passed over from then on: how the
    layers after it are called depends on the shape of its states only. What gives more may decide later calls.
    """
    calls: list[Seen] = []
    compute, own, plain = layer.forward, vars(layer).get("forward"), False

    def forward(*args: Any, **named: Any) -> Any:
        nonlocal plain
        states = args[0] if args else named["hidden_states"]
        seen = Seen(states, Call(args[1:], {k: v for k, v in named.items() if k != "hidden_states"}))
        calls.append(seen)
        if last:
            raise Reached
        out = states if plain else compute(*args, **named)
        seen.plain = plain = isinstance(out, Tensor)
        seen.gave = out if isinstance(out, Tensor) else out[0]
        return out

    layer.forward = forward
    try:
        yield calls
    finally:
        del layer.forward
        if own is not None:
            layer.forward = own

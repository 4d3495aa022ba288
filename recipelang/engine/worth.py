"""What the units of a model are worth: to its data, by its weights, or to its loss.

A unit of a block (a neuron of its feed-forward part, a head) is worth the mean square of what it adds to what the block
puts out: with outputs `a` and columns `W` of the matrix behind it, `E |W a|²`. A hidden unit is worth the mean size of
what the norms put out there, as in Minitron (arXiv 2407.14679), and a layer one minus the cosine between what it reads
and what it puts out, as in ShortGPT (arXiv 2403.03853). Experts are ranked as in REAP (`engine.routed`). By `magnitude`
a unit is worth the sum of its squared weights, by `taylor` the mean square of what the loss of a batch changes without it, to first order: of all its weights `w` with
gradients `g` the sum of `g w` (arXiv 1906.10771).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from recipelang import processes
from recipelang.engine.cuts import summed
from recipelang.engine.delivery import delivered
from recipelang.engine.places import Places
from recipelang.engine.roles import layer_of, stacks_of
from recipelang.engine.routed import Routed, unseen
from recipelang.kinds.sizes import RANKINGS
from recipelang.planning.dimensions import is_bias_of_heads
from recipelang.planning.shrink_plan import CutPlan, ReshapePlan, ShrinkPlan
from recipelang.source import fail
from recipelang.source.words import an

#: what each unit is worth, by axis and the place of a layer; units of all layers, and layers, have no place: [units]
Worth = dict[tuple[str, str], Tensor]


class Rows(Protocol):
    def __len__(self) -> int: ...

    def batch(self, rows: np.ndarray) -> dict[str, np.ndarray]: ...


@dataclass(frozen=True)
class Read:
    """What a model is shown to find out which units matter."""

    features: Rows
    labels: tuple[str, ...]
    batch: int
    autocast: Callable[[], AbstractContextManager[None]]
    #: after each the gradients of a batch lie in `.grad`
    gradients: Callable[[], Iterator[None]] = lambda: iter(())
    between: Callable[[int, int], None] = lambda done, of: None  # two batches: it may stop the run


def passed(plan: ShrinkPlan) -> tuple[str, ...]:
    """The axes of a plan whose units are ranked by a pass over data."""
    weights = RANKINGS[plan.by].looks_at == "weights"
    return tuple(s.axis for s in plan.sizes if s.axis == "layers" or not weights)


@torch.no_grad()
def worth_of(
    model: nn.Module, plan: ShrinkPlan, read: Read | None, known: Mapping[tuple[str, str], Tensor] = {}
) -> Worth:
    """Of every axis of a plan what its units are worth, in double precision on the host.

    `known`: of some axes what it would be; there is no pass where these are all that need one. E152 where what layers do
    cannot be seen.
    """
    missing = {s.axis for s in plan.sizes} - {axis for axis, _ in known}
    seen = _Seen(model, plan, list(stacks_of(model)))
    if read is not None and missing.intersection(passed(plan)):
        _look(model, plan, read, seen)
    found = {key: scores for key, scores in seen.scores().items() if key[0] in missing}
    if "layers" in missing:
        found |= seen.influences()
    return {**{key: scores.double().cpu() for key, scores in found.items()}, **known}


def _look(model: nn.Module, plan: ShrinkPlan, read: Read, seen: _Seen) -> None:
    if seen.looks_at == "states" or plan.to("layers"):
        with seen.looking():
            _show(model, read, seen)
        if seen.looks_at == "states" and {*plan.expert_stacks} - seen.routed.sums.keys():
            raise unseen(model)
    if seen.looks_at == "gradients":
        seen.begin()
        for _ in read.gradients():
            seen.count_changes()
        processes.add([*seen.losses.values()])  # each process has read its part of the batches


def _show(model: nn.Module, read: Read, seen: _Seen) -> None:
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    try:
        starts = range(0, len(read.features), read.batch)
        for done, first in enumerate(starts):
            read.between(done, len(starts))
            rows = np.arange(first, min(first + read.batch, len(read.features)))
            (batch,) = delivered(read.features.batch(rows), device, counted=False)
            seen.kept = batch["attention_mask"].bool().flatten()
            if "labels" in {*batch} - {*read.labels}:  # what a decoder reads has the padding of its labels
                seen.written = (batch["labels"] >= 0).flatten()
            with read.autocast():
                model(**{k: v for k, v in batch.items() if k not in read.labels})
        read.between(len(starts), len(starts))
    finally:
        model.train(training)


class _Seen:
    """Sums over the tokens that are no padding, as the model reads them."""

    def __init__(self, model: nn.Module, plan: ShrinkPlan, stacks: Sequence[str]) -> None:
        self.model, self.plan, self.stacks = model, plan, stacks
        self.places = Places.of(plan, stacks)
        self.looks_at = RANKINGS[plan.by].looks_at
        # of the batch that the model reads, and of what its decoder reads where it has one: [tokens]
        self.kept: Tensor | None = None
        self.written: Tensor | None = None
        self.products: dict[str, Tensor] = {}  # parameter -> of each unit E a aᵀ: [units, places, places]
        self.norms: dict[str, Tensor] = {}  # norm -> of each hidden unit the sum of |a|: [units]
        self.routed = Routed()
        self.losses: Worth = {}  # axis and layer -> of each unit the sum of squared changes
        self.changes: dict[str, tuple[Tensor, Tensor]] = {}  # layer -> sum of cosines, and how many

    @contextmanager
    def looking(self) -> Iterator[None]:
        with ExitStack() as stack:
            if self.looks_at == "states":
                for reshape, cut in self._behind():
                    module = self.model.get_submodule(reshape.name.rpartition(".")[0])
                    hook = module.register_forward_pre_hook(self._reads(reshape.name, cut))
                    stack.callback(hook.remove)
                for name, module in self._norms():
                    stack.callback(module.register_forward_hook(self._puts_out(name)).remove)
                for path in self.plan.expert_stacks:
                    look = self.routed.looks(path, self.plan.to("experts").before, lambda: self.kept)  # type: ignore[union-attr]
                    stack.callback(self.model.get_submodule(path).register_forward_hook(look).remove)
            for path in self._layers():
                hook = self.model.get_submodule(path).register_forward_hook(self._changes(path), with_kwargs=True)
                stack.callback(hook.remove)
            yield

    def _behind(self) -> Iterator[tuple[ReshapePlan, CutPlan]]:
        """The matrices that read the units of a block: their inputs are what the units put out."""
        for reshape in self.plan.reshapes:
            for cut in reshape.cuts:
                inside = cut.axis in ("ffn", "heads")
                read = len(reshape.shape) == 2 and not is_bias_of_heads(reshape.name)
                if read and inside and cut.dim == self._inputs_of(reshape.name):
                    yield reshape, cut

    def _inputs_of(self, name: str) -> int:
        """The dimension of a matrix that its inputs are along; Conv1D has them first."""
        owner = self.model.get_submodule(name.rpartition(".")[0])
        return 0 if type(owner).__name__ == "Conv1D" else 1

    def _norms(self) -> Iterator[tuple[str, nn.Module]]:
        for reshape in self.plan.reshapes:
            if len(reshape.shape) == 1 and reshape.cuts[0].axis == "hidden" and reshape.name.endswith(".weight"):
                owner = reshape.name.rpartition(".")[0]
                yield owner, self.model.get_submodule(owner)

    # ------------------------------------------------------------------- hooks
    def _tokens(self, name: str, x: Tensor) -> Tensor:
        """What a module reads or puts out, without padding: [tokens, width]."""
        mask = self.written if self.written is not None and "decoder" in name.split(".") else self.kept
        rows = x.detach().flatten(0, -2).float()
        return rows if mask is None or len(mask) != len(rows) else rows[mask]

    def _reads(self, name: str, cut: CutPlan) -> Callable[..., None]:
        def look(module: nn.Module, args: tuple[Any, ...]) -> None:
            rows = self._tokens(name, args[0])
            units = rows.view(len(rows), -1, cut.unit).transpose(0, 1)  # [units, tokens, places]
            product = (units.mT @ units).double() if cut.unit > 1 else units.square().sum(1).double()
            self.products[name] = self.products.get(name, 0) + product

        return look

    def _puts_out(self, name: str) -> Callable[..., None]:
        def look(module: nn.Module, args: tuple[Any, ...], out: Any) -> None:
            states = out if isinstance(out, Tensor) else out[0]
            self.norms[name] = self.norms.get(name, 0) + self._tokens(name, states).abs().sum(0).double()

        return look

    def _layers(self) -> list[str]:
        """The paths of all layers of which some go."""
        lists = {path: self.model.get_submodule(path) for path in self.plan.stacks.values()}
        return [f"{path}.{number}" for path, layers in lists.items() for number in range(len(layers))]  # type: ignore[arg-type]

    def _changes(self, path: str) -> Callable[..., None]:
        def look(module: nn.Module, args: tuple[Any, ...], named: dict[str, Any], out: Any) -> None:
            into = self._tokens(path, args[0] if args else named["hidden_states"])
            after = self._tokens(path, out if isinstance(out, Tensor) else out[0])
            cosines = torch.cosine_similarity(into, after, dim=-1).double()
            total, count = self.changes.get(path, (0, 0))
            self.changes[path] = total + cosines.sum(), count + len(cosines)  # type: ignore[assignment]

        return look

    # ------------------------------------------------------------------ scores
    def scores(self) -> Worth:
        """Axis and layer -> what each unit is worth."""
        if self.looks_at == "gradients":
            return self.losses
        if self.looks_at == "weights":
            return self._summed(lambda weight: weight.detach().double().square())
        return self._by_activation()

    def begin(self) -> None:
        self.losses = self._summed(lambda weight: torch.zeros_like(weight, dtype=torch.float64))

    def count_changes(self) -> None:
        """Of one batch, whose gradients lie beside the weights."""

        def change(weight: nn.Parameter) -> Tensor:
            return torch.zeros_like(weight) if weight.grad is None else (weight.detach() * weight.grad).double()

        for key, changes in self._summed(change).items():
            _add(self.losses, key, changes.square())

    def influences(self) -> Worth:
        """Of the layers of each stack."""
        if any(path not in self.changes for path in self._layers()):  # of a type that calls no module for a layer
            kind = an(f"`{self.model.config.model_type}`")  # type: ignore[union-attr]
            help = "name the layers to keep: `drop layers { keep = [...] }`"
            raise fail("E152", f"what the layers of {kind} do cannot be seen", help=help)
        each = {path: 1 - float(total / count) for path, (total, count) in self.changes.items()}
        return {
            ("layers", word): torch.tensor(
                [each[path] for path in self._layers() if path.startswith(f"{stack}.")], dtype=torch.float64
            )
            for word, stack in self.plan.stacks.items()
        }

    def _by_activation(self) -> Worth:
        found: Worth = {}
        for reshape, cut in self._behind():
            if reshape.name not in self.products:  # of attention to an encoder that a decoder alone does not have
                continue
            weight = self.model.get_parameter(reshape.name).detach()
            columns = (weight if cut.dim == 1 else weight.T).double()
            columns = columns.view(len(columns), -1, cut.unit).transpose(0, 1)  # [units, outputs, places]
            product = self.products[reshape.name]
            if cut.unit == 1:
                worth = (columns.square().sum(1) * product).squeeze(-1)
            else:
                worth = ((columns @ product) * columns).sum((1, 2))
            _add(found, (cut.axis, self.places.place(cut.axis, reshape.name)), worth)
        for sums in self.norms.values():
            _add(found, ("hidden", ""), sums)
        for path, means in self.routed.scores().items():
            found["experts", layer_of(path, self.stacks)] = means
        return found

    def _summed(self, of: Callable[[nn.Parameter], Tensor]) -> Worth:
        """A number of every weight, added up for each unit over all that it has."""
        found: Worth = {}
        for reshape in self.plan.reshapes:
            values = of(self.model.get_parameter(reshape.name))
            for cut in reshape.cuts:
                _add(found, (cut.axis, self.places.place(cut.axis, reshape.name)), summed(values, cut))
        return found


def _add(found: Worth, key: tuple[str, str], worth: Tensor) -> None:
    found[key] = found[key] + worth if key in found else worth

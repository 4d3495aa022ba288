"""Weights that stay on disk: those of one layer at a time are in memory, and pruned ones are kept beside the run.

The parameters of such a model are on torch's meta device, except where they are `present`. Whatever is computed while
they are is computed as it would be of the whole model in memory, so the results are the same bit for bit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from recipelang import processes
from recipelang.engine.environment import chosen_device
from recipelang.engine.models import empty_model
from recipelang.engine.roles import stacks_of
from recipelang.planning.facts import ModelFacts
from recipelang.planning.offloaded import check_offloaded, offloaded_memory
from recipelang.planning.safetensors_header import read_folder
from recipelang.planning.types import Plan
from recipelang.pruning.free_memory import free_memory
from recipelang.source import RecipeError, fail
from recipelang.source.words import size_text
from recipelang.storage.reading import check_regular
from recipelang.storage.writing import make_folder, new_file, remove_folder


@dataclass(frozen=True)
class Place:
    """Where a parameter lies."""

    file: Path
    name: str


class Offloaded:
    """The weights of a model that lie on disk. `kept`: a folder below `inside` for those that are pruned."""

    def __init__(
        self, model: nn.Module, places: Mapping[str, Place], device: torch.device, kept: Path, inside: Path
    ) -> None:
        self.model = model
        self.device = device
        self.kept, self.inside, self.files = kept, inside, 0
        self.places = dict(places)
        self.absent = dict(model.named_parameters())
        names = {id(p): n for n, p in self.absent.items()}
        self.slots: dict[str, list[tuple[nn.Module, str]]] = defaultdict(list)  # a tied weight has several
        self.inside_of: dict[int, list[str]] = {}
        for module in model.modules():
            for own, parameter in module._parameters.items():
                if parameter is not None:
                    self.slots[names[id(parameter)]].append((module, own))
        self.layers = [layer for stack in stacks_of(model) for layer in model.get_submodule(stack).children()]
        inner = {name for layer in self.layers for name in self.of(layer)}
        self.outside = [name for name in self.absent if name not in inner]
        if kept.exists():
            remove_folder(kept, inside=inside)
        make_folder(kept, inside=inside)

    def of(self, module: nn.Module) -> list[str]:
        """The parameters of a module, by their names in the model."""
        if id(module) not in self.inside_of:
            within = set(map(id, module.modules()))
            found = [n for n, slots in self.slots.items() if any(id(m) in within for m, _ in slots)]
            self.inside_of[id(module)] = found
        return self.inside_of[id(module)]

    def canonical(self, name: str) -> str:
        """Of the names of a tied weight the one that it is known by."""
        path, _, own = name.rpartition(".")
        module = self.model.get_submodule(path)
        return next(n for n, slots in self.slots.items() if any(m is module and o == own for m, o in slots))

    @contextmanager
    def present(self, names: Iterable[str], kept: Collection[str] = ()) -> Iterator[None]:
        """These parameters in memory meanwhile; at the end those `kept` are written, as they are then."""
        wanted = [n for n in dict.fromkeys(names) if self._at(n) is self.absent[n]]
        self._put({n: nn.Parameter(t, requires_grad=False) for n, t in self.read(wanted)})
        try:
            yield
            if kept:
                self._keep({n: self._at(n).detach() for n in kept})
        finally:
            self._put({n: self.absent[n] for n in wanted})

    @contextmanager
    def whole(self) -> Iterator[None]:
        """What belongs to no layer in memory, and every layer while it is called."""
        with ExitStack() as stack:
            stack.enter_context(self.present(self.outside))
            for layer in self.layers:
                stack.enter_context(self._on_call(layer))
            yield

    def read(self, names: Iterable[str]) -> Iterator[tuple[str, Tensor]]:
        """Copies of parameters as they are now, file after file."""
        by_file: dict[Path, list[str]] = defaultdict(list)
        for name in names:
            by_file[self.places[name].file].append(name)
        for path, there in by_file.items():
            check_regular(path)
            with safe_open(path, "pt") as file:  # closed at once: what was read of a mapped file counts as memory
                for name in there:
                    stored = file.get_tensor(self.places[name].name)
                    yield name, stored.to(self.device, self.absent[name].dtype, copy=True)
                    del stored

    def _at(self, name: str) -> nn.Parameter:
        module, own = self.slots[name][0]
        parameter = module._parameters[own]
        assert parameter is not None
        return parameter

    def _put(self, parameters: Mapping[str, nn.Parameter]) -> None:
        for name, parameter in parameters.items():
            for module, own in self.slots[name]:
                module._parameters[own] = parameter

    def _keep(self, weights: Mapping[str, Tensor]) -> None:
        path = self.kept / f"{self.files}.safetensors"
        with new_file(path, inside=self.inside) as part:
            save_file({n: w.cpu().contiguous() for n, w in weights.items()}, part)
        self.files += 1
        self.places |= {n: Place(path, n) for n in weights}

    @contextmanager
    def _on_call(self, layer: nn.Module) -> Iterator[None]:
        compute, own = layer.forward, vars(layer).get("forward")

        def forward(*args: Any, **named: Any) -> Any:
            with self.present(self.of(layer)):
                return compute(*args, **named)

        layer.forward = forward
        try:
            yield
        finally:
            del layer.forward
            if own is not None:
                layer.forward = own


def offloaded(plan: Plan, device: torch.device, kept: Path, inside: Path) -> Offloaded:
    """The model that a plan begins with, its weights where they are."""
    model, facts = empty_model(Path(plan.model.path), plan.model)
    places = _places(model, facts)
    assert not isinstance(places, str), places  # `offloads` has asked
    return Offloaded(model, places, device, kept, inside)


def _places(model: nn.Module, facts: ModelFacts) -> dict[str, Place] | str:
    """Of every parameter, or why there is none."""
    from transformers.core_model_loading import WeightRenaming

    if odd := set(model.state_dict()) - {n for n, _ in model.named_parameters(remove_duplicate=False)}:
        return f"`{min(odd)}` is no parameter"
    if any(not isinstance(c, WeightRenaming) for c in getattr(model, "_weight_conversions", None) or ()):
        return "its files store weights in another form, which transformers converts as it loads them"
    header, found = read_folder(facts.path), {}
    for name, parameter in model.named_parameters():
        sources = facts.sources(name)
        if len(sources) != 1 or header[sources[0]].shape != tuple(parameter.shape):
            return f"no tensor of its files is `{name}` alone"
        found[name] = Place(facts.path / header[sources[0]].file, sources[0])
    return found


def offloads(plan: Plan, asked: bool, *, shard: bool = False) -> str | None:
    """Whether the weights of a run stay on disk: none, or what to say. E223 where this is asked for and cannot be done."""
    try:
        if asked:
            _check(plan, shard)
            return "the weights stay on disk; one layer at a time is in memory"
        free = free_memory(chosen_device())
        if plan.peak_memory <= free:
            return None
        _check(plan, shard)
    except RecipeError:
        if asked:
            raise
        return None
    needs, less = size_text(plan.peak_memory), size_text(offloaded_memory(plan))
    return f"the model needs about {needs}, and {size_text(free)} are free: its weights stay on disk, which takes about {less}"


def _check(plan: Plan, shard: bool) -> None:
    """E223 unless a run of this plan can leave its weights on disk."""
    if shard or processes.world() > 1:
        help = "start one process, without `--shard`"
        raise fail("E223", "weights stay on disk only in a run of one process", help=help)
    check_offloaded(plan)
    places = _places(*empty_model(Path(plan.model.path), plan.model))
    if isinstance(places, str):
        help = "run without `--offload`, on a machine with more memory"
        raise fail("E223", f"weights of `{plan.model.family}` models cannot stay on disk", notes=[places], help=help)

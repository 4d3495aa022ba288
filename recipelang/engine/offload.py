"""Weights that stay on disk: those of one layer at a time are in memory, and pruned ones are kept beside the run.

The parameters of such a model are on torch's meta device, except where they are `present`. Whatever is computed while
they are is computed as it would be of the whole model in memory, so the results are the same bit for bit.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from recipelang import processes
from recipelang.engine.converted import Conversions
from recipelang.engine.environment import chosen_device
from recipelang.engine.models import empty_model
from recipelang.engine.roles import stacks_of
from recipelang.planning.facts import ModelFacts
from recipelang.planning.offloaded import MAPPED, check_offloaded
from recipelang.planning.safetensors_header import read_folder
from recipelang.planning.types import Plan
from recipelang.pruning.free_memory import free_memory
from recipelang.source import RecipeError, fail
from recipelang.source.words import size_text
from recipelang.storage.reading import check_regular
from recipelang.storage.writing import make_folder, new_file, remove, remove_folder


@dataclass(frozen=True)
class Place:
    """Where a tensor lies."""

    file: Path
    name: str


#: where parameters lie, those that are made of several tensors in several places
Places = Mapping[str, tuple[Place, ...]]


class Offloaded:
    """The weights of a model that lie on disk. `kept`: a folder below `inside` for those that are pruned, and for the
    masks of those that are pruned `again`."""

    def __init__(
        self,
        model: nn.Module,
        places: Places,
        device: torch.device,
        kept: Path,
        inside: Path,
        again: Collection[str] = (),
    ) -> None:
        self.model = model
        self.device = device
        self.kept, self.inside, self.files = kept, inside, 0
        self.places = dict(places)
        self.conversions = Conversions(model)
        #: what files hold in another form, and of that what lies there still
        self.made = frozenset(n for n, parts in places.items() if parts[0].name in self.conversions)
        self.converted = set(self.made)
        self.again = again
        self.masks: dict[str, Place] = {}
        self.put_away: dict[str, Tensor] = {}  # masks, eight weights a byte, until the weights are written
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

    def shapes(self) -> dict[str, Tensor]:
        """The weights of the whole model, on the meta device."""
        return self.model.state_dict()

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
        wanted = list(names)
        plain = {self.places[n][0]: n for n in wanted if n not in self.converted}
        for place, tensor in self._tensors({place: self.absent[n].dtype for place, n in plain.items()}):
            yield plain[place], tensor
        for name in (n for n in wanted if n in self.converted):
            parts = dict.fromkeys(self.places[name], self.absent[name].dtype)
            yield name, self.conversions.made(name, {place.name: t for place, t in self._tensors(parts)})

    def _tensors(self, places: Mapping[Place, torch.dtype]) -> Iterator[tuple[Place, Tensor]]:
        """Copies of these types, from as many files as there are."""
        by_file: dict[Path, list[Place]] = defaultdict(list)
        for place in places:
            by_file[place.file].append(place)
        for path, there in by_file.items():
            check_regular(path)
            while there:
                mapped = 0
                with safe_open(path, "pt") as file:
                    while there and mapped < MAPPED:
                        place = there.pop(0)
                        stored = file.get_tensor(place.name)
                        mapped += stored.nbytes
                        yield place, stored.to(self.device, places[place], copy=True)
                        del stored

    def put(self, name: str, mask: Tensor) -> None:
        """As `pruning.masks.Shelf`: of what is in memory, to be kept with it."""
        if name in self.again:
            self.put_away[name] = torch.from_numpy(np.packbits(mask.cpu().numpy().reshape(-1)))

    def take(self, name: str, like: Tensor) -> Tensor:
        place = self.masks[name]
        with safe_open(place.file, "pt") as file:
            bits = np.unpackbits(file.get_tensor(place.name).numpy(), count=like.numel())
        return torch.from_numpy(bits.view(bool)).view(like.shape).to(self.device)

    def tidy(self) -> None:
        """Remove what was kept of weights that were written again."""
        used = {place.file for parts in (*self.places.values(), self.masks.values()) for place in parts}
        for path in sorted(set(self.kept.glob("*.safetensors")) - used):
            remove(path, inside=self.inside)

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
        masks = {f"{n} (mask)": bits for n, bits in self.put_away.items()}
        with new_file(path, inside=self.inside) as part:
            save_file({n: w.cpu().contiguous() for n, w in weights.items()} | masks, part)
        self.files += 1
        self.places |= {n: (Place(path, n),) for n in weights}
        self.converted -= weights.keys()
        self.masks |= {n: Place(path, f"{n} (mask)") for n in self.put_away}
        self.put_away.clear()

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
    times = Counter(t.name for s in plan.stages for p in s.prunes for t in p.targets)
    return Offloaded(model, places, device, kept, inside, {name for name, n in times.items() if n > 1})


def _places(model: nn.Module, facts: ModelFacts) -> Places | str:
    """Of every parameter, or why there is none."""
    if odd := set(model.state_dict()) - {n for n, _ in model.named_parameters(remove_duplicate=False)}:
        return f"`{min(odd)}` is no parameter"
    header, conversions = read_folder(facts.path), Conversions(model)
    found: dict[str, tuple[Place, ...]] = {}
    for name, parameter in model.named_parameters():
        sources = facts.sources(name)
        if sources and sources[0] in conversions:
            if not conversions.fits(name, parameter, facts, header):
                return f"`{name}` and others are made of the same tensors of its files, or of parts of them"
        elif len(sources) != 1 or header[sources[0]].shape != tuple(parameter.shape):
            return f"no tensor of its files is `{name}` alone"
        found[name] = tuple(Place(facts.path / header[n].file, n) for n in sources)
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
    needs, less = size_text(plan.peak_memory), size_text(plan.offloaded_memory)
    return f"the model needs about {needs}, and {size_text(free)} are free: its weights stay on disk, which takes about {less}"


def _check(plan: Plan, shard: bool) -> None:
    """E223 unless a run of this plan can leave its weights on disk."""
    if shard or processes.world() > 1:
        what = "`--offload` and `--shard` exclude each other" if shard else "weights stay on disk only in one process"
        notes = ["one layer at a time is in memory, so several processes would each read and prune the same one"]
        help = "start one process, with `--offload` alone: it takes one layer, however many processes there were"
        raise fail("E223", what, notes=notes, help=help)
    check_offloaded(plan)
    places = _places(*empty_model(Path(plan.model.path), plan.model))
    if isinstance(places, str):
        help = "run without `--offload`, on a machine with more memory"
        raise fail("E223", f"weights of `{plan.model.family}` models cannot stay on disk", notes=[places], help=help)

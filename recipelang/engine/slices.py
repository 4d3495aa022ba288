"""Models in shards whose processes read their own rows of the weights from the files: none ever holds the whole model.

The model is made without weights, put into shards, and filled. Its weights are those of `load_model`, bit for bit. What
transformers makes of several tensors of the files is made one parameter at a time; of a stack of experts that it only
puts together, a process reads its own experts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from recipelang.engine.converted import Conversions
from recipelang.engine.depth import keep_layers
from recipelang.engine.models import draw_head, empty_model, loading
from recipelang.engine.roles import stacks_of
from recipelang.planning.facts import ModelFacts
from recipelang.planning.layers import Keep, renumbered
from recipelang.planning.safetensors_header import ITEM_BYTES, Entry, read_folder
from recipelang.planning.types import ModelPlan
from recipelang.pruning import shards
from recipelang.storage.reading import check_regular

#: a file is closed after so many bytes: what was read of a mapped file counts as memory
_PORTION = 64 << 20


class Unsliced(Exception):
    """Why the weights of a model cannot be read by rows; `load_model` can."""


def sharded_model(
    folder: Path,
    plan: ModelPlan,
    seed: int,
    redrawn: Sequence[str],
    keep: Keep | None,
    device: torch.device,
) -> nn.Module:
    """What `load_model` gives, in shards on a device. All processes call it. `Unsliced`, or E076."""
    empty, facts = empty_model(folder, plan)
    drawn = draw_head(empty, facts, redrawn, seed)
    weights = _Weights(empty, facts)
    weights.fill_buffers()
    model, old = empty, {n: n for n, _ in empty.named_parameters()}
    if keep is not None:
        stacks = list(stacks_of(empty))
        model = keep_layers(empty, keep)
        old = {new: n for n in old if (new := renumbered(n, stacks, keep))}
    shards.shard(model, device)
    parameters = dict(model.named_parameters())
    filled = {n: drawn[old[n]][shards.rows(p)] for n, p in parameters.items() if old[n] in drawn}
    filled |= weights.read({n: (old[n], p) for n, p in parameters.items() if n not in filled})
    placed = {n: _placed(n, here, parameters[n], device) for n, here in filled.items()}
    owners = {id(p): n for n, p in parameters.items()}
    tied = {n: placed[owners[id(p)]] for n, p in model.named_parameters(remove_duplicate=False)}
    model.load_state_dict(tied, strict=False, assign=True)  # a tied weight stays one
    return model


def _placed(name: str, here: Tensor, parameter: nn.Parameter, device: torch.device) -> nn.Parameter:
    """Rows of a parameter as the parameter itself, in shards as it is."""
    if here.shape != shards.local(parameter).shape:
        shapes = f"{tuple(here.shape)}, not {tuple(shards.local(parameter).shape)}"
        raise Unsliced(f"rows of `{name}` have shape {shapes}")
    there = here.to(device, parameter.dtype).contiguous()
    return nn.Parameter(shards.beside(there, parameter), requires_grad=parameter.requires_grad)


class _Weights:
    """What the files hold of a model, as they name it."""

    def __init__(self, model: nn.Module, facts: ModelFacts) -> None:
        self.model, self.facts = model, facts
        self.files = read_folder(facts.path)
        self.conversions = Conversions(model)

    def fill_buffers(self) -> None:
        """Those that models of the type have in their files."""
        known = self.model.state_dict()
        own = {n: b for n, b in self.model.named_buffers() if n in known}
        sources = {self.conversions.target(n): n for n in self.files} if own else {}
        there = {n: b for n, b in own.items() if n in sources}
        wanted = [(sources[n], ..., b.dtype) for n, b in there.items()]
        for buffer, read in zip(there.values(), self._read(wanted), strict=True):
            buffer.copy_(read)

    def read(self, parameters: Mapping[str, tuple[str, nn.Parameter]]) -> dict[str, Tensor]:
        """Of each parameter, which the files' model calls so, the rows of this process."""
        plain, found = {}, {}
        for name, (old, parameter) in parameters.items():
            sources = self.facts.sources(old)
            if not sources:
                raise Unsliced(f"`{old}` is in no file")
            if sources[0] in self.conversions:
                found[name] = self._converted(old, sources, parameter)
            elif len(sources) == 1:
                plain[name] = sources[0], shards.rows(parameter), parameter.dtype
            else:
                raise Unsliced(f"no tensor of the files is `{old}` alone")
        return found | dict(zip(plain, self._read(plain.values()), strict=True))

    def _converted(self, old: str, sources: Sequence[str], parameter: nn.Parameter) -> Tensor:
        rows = shards.rows(parameter)
        own = self.conversions.of_rows(sources, rows, len(parameter))
        if own is not None and not own:  # there are fewer experts than processes
            return torch.empty(shards.local(parameter).shape, dtype=parameter.dtype)
        named = sources if own is None else own
        read = self._read([(n, ..., parameter.dtype) for n in named])
        tensors = dict(zip(named, read, strict=True))
        try:
            made = self.conversions.made(old, tensors)
        except Exception as error:  # whatever a conversion says that needs more than its tensors
            raise Unsliced(f"`{old}` cannot be converted alone: {error}") from None
        return made if own is not None else made[rows].clone()

    def _read(self, wanted: Iterable[tuple[str, Any, torch.dtype]]) -> Iterator[Tensor]:
        """Of each tensor these rows, as copies of this type."""
        for file, portion in self._portions(wanted):
            path = self.facts.path / file
            check_regular(path)
            with loading(self.facts.path), safe_open(path, "pt") as opened:
                for name, rows, dtype in portion:
                    yield opened.get_slice(name)[rows].to(dtype, copy=True)

    def _portions(self, wanted: Iterable[tuple[str, Any, torch.dtype]]) -> Iterator[tuple[str, list[Any]]]:
        """Neighbours that lie in one file, so many bytes at a time."""
        portion: list[Any] = []
        file, size = "", 0
        for one in wanted:
            entry = self.files[one[0]]
            if portion and (entry.file != file or size > _PORTION):
                yield file, portion
                portion, size = [], 0
            portion.append(one)
            file = entry.file
            size += _bytes(entry, one[1])
        if portion:
            yield file, portion


def _bytes(entry: Entry, rows: Any) -> int:
    """Of these rows of a tensor; of `...` all of them."""
    size = math.prod(entry.shape) * ITEM_BYTES[entry.dtype]
    return size * (rows.stop - rows.start) // max(1, entry.shape[0]) if isinstance(rows, slice) else size

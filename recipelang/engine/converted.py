"""Parameters that files store in another form, such as experts one by one: made of their tensors, and taken apart again.

transformers converts all parameters of a model at once as it loads or writes it. Here the same conversions, its own, are
made of one parameter at a time, so that no other has to be in memory.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, MutableMapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from recipelang.planning.facts import ModelFacts
from recipelang.planning.safetensors_header import Entry


class Conversions:
    """Of one model, as transformers loaded it."""

    def __init__(self, model: nn.Module) -> None:
        from transformers.core_model_loading import WeightConverter, WeightRenaming

        self.model = model
        every: Any = getattr(model, "_weight_conversions", None) or ()
        self.renamings = [c for c in every if isinstance(c, WeightRenaming)]
        self.converters = [c for c in every if isinstance(c, WeightConverter)]
        self.known = dict.fromkeys(model.state_dict(), True)

    def target(self, source: str) -> str:
        """What the model calls a tensor of the files, or the first of what is made of it."""
        return self._target(source)[0]

    def _target(self, source: str) -> tuple[str, str | None]:
        from transformers.core_model_loading import rename_source_key

        prefix: Any = getattr(self.model, "base_model_prefix", None)
        return rename_source_key(source, self.renamings, self.converters, prefix, self.known)

    def __contains__(self, source: str) -> bool:
        """Whether a tensor of the files is converted, not only renamed."""
        return bool(self.converters) and self._target(source)[1] is not None

    def made(self, name: str, tensors: MutableMapping[str, Tensor]) -> Tensor:
        """A parameter of all that the files hold of it, by their names; the mapping is emptied.

        Raises:
            Exception: the library cannot convert them, in any way; KeyError where something else comes out.
        """
        from transformers.core_model_loading import dot_natural_key

        converter: Any = None
        target = name
        for source in sorted(tensors, key=dot_natural_key):
            target, pattern = self._target(source)
            if converter is None:
                converter = deepcopy(next(c for c in self.converters if pattern in c.source_patterns))
            converter.add_tensor(target, source, pattern, tensors.pop(source))
        found = converter.convert(target, model=self.model, config=self.model.config)[name]
        return found[0] if isinstance(found, list) else found  # type: ignore[no-any-return]

    def of_rows(self, sources: Sequence[str], rows: slice, height: int) -> list[str] | None:
        """Of tensors that are only put together into a stack, those that give these rows of it; none: rows need them all."""
        from transformers.core_model_loading import Concatenate, MergeModulelist, dot_natural_key

        lists: dict[str | None, list[str]] = defaultdict(list)
        for source in sorted(sources, key=dot_natural_key):
            lists[self._target(source)[1]].append(source)
        first, *others = next(c for c in self.converters if next(iter(lists)) in c.source_patterns).operations
        stacked = isinstance(first, MergeModulelist) and first.dim == 0 and {len(n) for n in lists.values()} == {height}
        if not stacked or any(not isinstance(o, Concatenate) or o.dim < 1 for o in others):
            return None
        return [name for names in lists.values() for name in names[rows]]

    def apart(self, name: str, weight: Tensor) -> dict[str, Tensor]:
        """What the files hold of a parameter."""
        from transformers.core_model_loading import revert_weight_conversion

        return revert_weight_conversion(self.model, {name: weight})  # type: ignore[arg-type, no-any-return]

    def fits(self, name: str, parameter: Tensor, facts: ModelFacts, header: Mapping[str, Entry]) -> bool:
        """Whether a parameter is made of tensors that are of nothing else, and those of it again."""

        def empty(shape: tuple[int, ...]) -> Tensor:
            return torch.empty(shape, dtype=parameter.dtype, device="meta")

        stored = {n: header[n].shape for n in facts.sources(name)}
        try:
            made = self.made(name, {n: empty(shape) for n, shape in stored.items()})
            apart = {n: tuple(t.shape) for n, t in self.apart(name, empty(tuple(parameter.shape))).items()}
        except Exception:  # whatever a conversion says to a part of what it is made for
            return False
        return made.shape == parameter.shape and apart == stored


def let_go_of_files(model: nn.Module, facts: ModelFacts) -> None:
    """Copy what is used as it lies in the files of a model, where other parameters were made of their tensors.

    A parameter that is no copy keeps its whole file mapped, and what the others were made of counts as memory with it.
    """
    known = Conversions(model)
    sources = {name: facts.sources(name) for name, _ in model.named_parameters()}
    made = {name for name, found in sources.items() if found and found[0] in known}
    if made:
        for tensor in (*(p for n, p in model.named_parameters() if n not in made), *model.buffers()):
            tensor.data = tensor.detach().clone()

"""How matrices lie in the parameters of a module, where that is not one matrix [outputs, inputs] each.

GPT-2's `Conv1D` stores inputs × outputs. The experts of a mixture lie in one stack [experts, outputs, inputs], or each
turned, or one below the other in two dimensions. What the module declares decides, then the shapes of gate and up in one
and of what comes down again; a stack that neither decides is no stack here: nothing is pruned along the wrong axis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

#: classes of modules whose `weight` is [inputs, outputs]
_INPUTS_FIRST = ("Conv1D",)
#: class -> the field that counts the experts, and which parameters are turned: [experts · inner, width]
_BELOW = {"DbrxExpertGLU": ("moe_num_experts", {"w1": False, "v1": False, "w2": True})}
#: class -> whether its stacks lie inputs first, where neither it nor its shapes say so
_TURNED = {"InklingSharedExperts": False}


@dataclass(frozen=True)
class Layout:
    """`experts`: matrices in the parameter, one of each expert; 0 where it is a single matrix of no stack."""

    experts: int = 0
    inputs_first: bool = False

    def matrices(self, tensor: Tensor) -> Tensor:
        """A view of a parameter's values as [experts, …] or […], each matrix outputs × inputs."""
        if self.experts and tensor.dim() == 2:
            tensor = tensor.view(self.experts, -1, tensor.shape[1])
        return tensor.transpose(-1, -2) if self.inputs_first else tensor

    def seen(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape of that view.

        >>> Layout(4).seen((4, 6, 2)), Layout(4, True).seen((12, 2)), Layout(0, True).seen((2, 6))
        ((4, 6, 2), (4, 2, 3), (6, 2))
        """
        if self.experts and len(shape) == 2:
            shape = (self.experts, shape[0] // self.experts, shape[1])
        return (*shape[:-2], *reversed(shape[-2:])) if self.inputs_first else tuple(shape)


def layouts(model: nn.Module) -> dict[str, Layout]:
    """By the names of parameters; those that are not in it are one matrix [outputs, inputs], or none."""
    found = {}
    for path, module in model.named_modules():
        found.update({f"{path}.{own}".removeprefix("."): how for own, how in layouts_in(path, module).items()})
    return found


def layouts_in(path: str, module: nn.Module) -> dict[str, Layout]:
    """The same of a module's own parameters."""
    kind = type(module).__name__
    own = dict(module.named_parameters(recurse=False))
    if kind in _INPUTS_FIRST and "weight" in own:
        return {"weight": Layout(inputs_first=True)}
    if kind in _BELOW:
        count, parts = _BELOW[kind]
        return {n: Layout(int(getattr(module, count)), parts[n]) for n in own if n in parts}
    if "experts" not in path.split(".") and "Expert" not in kind:
        return {}
    stacks = {n: p for n, p in own.items() if p.dim() == 3}
    if (turned := _turned(module, stacks)) is None:
        return {}
    return {n: Layout(len(p), turned) for n, p in stacks.items()}


def _turned(module: nn.Module, stacks: Mapping[str, Tensor]) -> bool | None:
    """Whether the stacks of a module lie inputs first; none where nothing decides it."""
    if isinstance(declared := getattr(module, "is_transposed", None), bool):
        return declared
    sizes = (getattr(module, "output_size", None), getattr(module, "input_size", None))
    shapes = {tuple(p.shape[1:]) for p in stacks.values()}
    if shapes == {sizes} or shapes == {sizes[::-1]}:
        return shapes != {sizes}
    if type(module).__name__ in _TURNED:
        return _TURNED[type(module).__name__]
    if not {"gate_up_proj", "down_proj"} <= stacks.keys():
        return None
    (a, b), (c, d) = stacks["gate_up_proj"].shape[1:], stacks["down_proj"].shape[1:]
    outputs_first, inputs_first = (a, b) == (2 * d, c), (a, b) == (d, 2 * c)  # gate and up give two for one
    return inputs_first if outputs_first or inputs_first else None

"""What a matrix reads, of what its module is called with: tokens without padding, and of an expert those sent to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from recipelang.pruning.matrix_names import expert_of
from recipelang.pruning.stacks import Layout, layouts_in
from recipelang.source import fail

#: class of a stack -> what is called with the tokens of all experts, where the stack is called for one of them only
_CALLED = {"DbrxExpertGLU": ".."}
#: classes that gate as usual, act(gate) · up, and what they call gate, up and the activation
_GATES = {
    "DbrxExpertGLU": ("w1", "v1", "activation_fn"),
    "InklingSharedExperts": ("gate_proj", "up_proj", "act_fn"),
    "Llama4TextExperts": ("gate_up_proj", "", "act_fn"),
}


@dataclass(frozen=True)
class Target:
    """A matrix whose inputs are gathered: of a module, or of one expert in a stack."""

    module: nn.Module  # that is called with them
    owner: nn.Module  # of the parameter
    own: str  # its name there
    expert: int | None
    layout: Layout

    @property
    def reads(self) -> tuple[bool, int | None]:
        """What sets its inputs apart from those of others that are given the same states."""
        return self.inner, self.expert

    @property
    def inner(self) -> bool:
        """Whether an expert reads there what it made itself."""
        return self.expert is not None and self.own in ("down_proj", "w2")

    @property
    def width(self) -> int:
        """Inputs of an expert; 0 of what shows them itself."""
        return 0 if self.expert is None else self.layout.seen(self.owner.get_parameter(self.own).shape)[-1]


def target_of(model: nn.Module, path: str, own: str, expert: int | None) -> Target:
    """The parameter `own` of the module at `path`."""
    owner = model.get_submodule(path)
    called = path.rpartition(".")[0] if type(owner).__name__ in _CALLED else path
    layout = layouts_in(path, owner).get(own, Layout())
    return Target(model.get_submodule(called), owner, own, expert, layout)


def tokens_of(name: str, x: Tensor, keep: Tensor | None) -> Tensor:
    """Of what a matrix reads, [tokens, inputs] without padding. E055 where it cannot be told which rows are padding."""
    if keep is None:
        return x.flatten(0, -2)
    if x.shape[:-1] == keep.shape:
        return x[keep]
    if x.shape[:-1] == (keep.numel(),):  # one row after the other
        return x[keep.flatten()]
    if [n for n in x.shape[:-1] if n > 1] == [n for n in keep.shape if n > 1]:  # one key for all heads
        return x.flatten(0, -2)[keep.flatten()]
    notes = [f"it reads {tuple(x.shape[:-1])} rows of {tuple(keep.shape)} tokens, so that padding cannot be left out"]
    raise fail("E055", f"this release cannot match the inputs of `{name}` to tokens", notes=notes, help=left_out(name))


def left_out(name: str) -> str:
    """What to do about a matrix whose inputs cannot be had."""
    which = "@experts" if expert_of(name) else f'"{name}"'
    return f"leave {'the experts' if expert_of(name) else 'it'} out (`except {which}`), or use `magnitude`"


def expert_inputs(name: str, target: Target, given: Sequence[Any], keep: Tensor | None) -> Tensor:
    """What a matrix of one expert reads, [tokens, inputs]: of the tokens that the router sends it, padding left out.

    `given` is what the stack is called with: states, and what says which of them are for which expert. E055 where that
    cannot be told.
    """
    assert target.expert is not None
    x, gains = _sent(name, target, target.expert, given, keep)
    if not target.inner:
        return x
    x = _made(name, target.owner, target.expert, x)
    return x if gains is None else x * gains


def _sent(
    name: str, target: Target, expert: int, given: Sequence[Any], keep: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """The rows for one expert, and the factors of what it makes of them, if it has any."""
    states, *more = given
    how, experts = more[0] if more else None, target.layout.experts
    if isinstance(how, list) and len(how) == experts:  # sorted by expert, with the number of each
        return states.split(how)[expert] if keep is None else tokens_of(name, states, keep), None
    rows = states.reshape(-1, states.shape[-1])
    real = torch.ones(len(rows), dtype=torch.bool, device=rows.device) if keep is None else keep.flatten()
    if how is None and len(rows) % experts == 0:  # all tokens for each expert, zero where they are not for it
        rows = rows.view(experts, -1, rows.shape[-1])[expert]
        if keep is None:
            real = real[: len(rows)]
        if len(real) == len(rows):
            return rows[real & rows.any(-1)], None
    if isinstance(how, Tensor) and len(real) == len(rows) == how.numel() // how.shape[-1]:
        how = how.reshape(len(rows), -1)
        if how.is_floating_point() and how.shape[1] == experts:  # every token for all of them, each with a factor
            return rows[real], how[real, expert, None]
        if not how.is_floating_point():  # the experts of each token
            return rows[(how == expert).any(-1) & real], None
    notes = ["its layer sends tokens to experts in a form that is not known here"]
    raise fail("E055", f"this release cannot see the inputs of `{name}`", notes=notes, help=left_out(name))


def _made(name: str, owner: nn.Module, expert: int, x: Tensor) -> Tensor:
    """What an expert makes of its tokens before it comes down again."""
    lying = layouts_in("experts", owner)

    def up(own: str) -> Tensor:
        weight = lying[own].matrices(owner.get_parameter(own))[expert]
        bias = getattr(owner, f"{own}_bias", None)
        return nn.functional.linear(x, weight, None if bias is None else bias[expert])

    if (names := _GATES.get(type(owner).__name__)) is not None:
        gate, other, act = names
        first, second = (up(gate), up(other)) if other else up(gate).chunk(2, dim=-1)
        made: Tensor = getattr(owner, act)(first) * second
        return made
    if not hasattr(owner, "_apply_gate"):
        notes = ["what its experts make of their tokens is not known here"]
        raise fail("E055", f"this release cannot see the inputs of `{name}`", notes=notes, help=left_out(name))
    gated: Any = owner._apply_gate if getattr(owner, "has_gate", True) else owner.act_fn
    return gated(up("gate_up_proj" if "gate_up_proj" in lying else "up_proj"))  # type: ignore[no-any-return]

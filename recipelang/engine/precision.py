"""The arithmetic of a stage: autocast to 16 bits, and for fp16 the scale of the loss that keeps gradients in its range.

fp16 has numbers from 6e-8 to 65,504. The loss is scaled up before its backward pass, and the gradients, in the weights'
own dtype, are scaled down after it. Where one of them is not finite, the step changes nothing, and the scale is halved; after
so many steps in a row that were taken it is doubled. These are the rules and numbers of `torch.amp.GradScaler`, which
asks the device in places where nobody here waits for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor

from recipelang import processes
from recipelang.modifiers.modifier import Modifier, State, misshapen
from recipelang.planning.types import StagePlan
from recipelang.pruning.shards import is_shard, local
from recipelang.source import RecipeError, fail

#: the first scale, a factor after an overflow, and one after so many steps in a row without
START, BACKOFF, GROWTH, INTERVAL = 65536.0, 0.5, 2.0, 2000
#: below this no scale helps: the gradients themselves are larger than fp16 holds
LEAST = 1.0
_NARROW = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(precision: str, device: torch.device) -> Callable[[], AbstractContextManager[None]]:
    """What a forward pass is done in."""
    narrow = _NARROW.get(precision)
    if narrow is None:  # `tf32` is set for a whole stage: its backward passes take part
        return nullcontext
    return lambda: torch.autocast(device.type, narrow)  # type: ignore[return-value]


@contextmanager
def arithmetic(stage: StagePlan) -> Iterator[None]:
    """`tf32`: products of fp32 matrices round their factors, on GPUs that can; else as the machine is set."""
    before = torch.get_float32_matmul_precision()
    if stage.precision == "tf32":
        torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@torch.no_grad()
def unscale(gradients: Iterable[Tensor | None], scale: Tensor) -> Tensor:
    """Divide gradients by the scale, in place; 1.0 where one of them is not finite, else 0.0, on the device of `scale`.

    All processes that hold a gradient in shards have to call this, and are given the same.
    """
    known = [g for g in gradients if g is not None]
    found, inverse = torch.zeros_like(scale), scale.reciprocal()
    here = [g for g in map(local, known) if g.numel()]
    for dtype in dict.fromkeys(g.dtype for g in here):
        alike = [g for g in here if g.dtype == dtype]
        torch._amp_foreach_non_finite_check_and_unscale_(alike, found, inverse)
    if any(map(is_shard, known)):
        processes.largest([found])
    return found


def overflowed(where: str, *, finite: bool) -> RecipeError:
    """E171. `finite`: the loss is a number, so that the backward pass alone overflows."""
    notes = ["some gradients are not finite even with a loss scale of 1"]
    if not finite:
        notes.append("the loss is not finite either: values inside the model exceed 65,504, the largest fp16 number")
    help = "write `precision = bf16` or `fp32`; where the loss rose before, lower the learning rate"
    return fail("E171", f"fp16 overflow {where}", notes=notes, help=help)


class Scaler(Modifier):
    """Acts first: all others see gradients as they are. What it does it does on the device, and nobody waits for it."""

    name = "scaler"

    def __init__(self) -> None:
        self.scale: Tensor | None = None
        self.growth: Tensor | None = None  # steps taken since the scale last changed
        self.found: Tensor | None = None  # whether the step overflowed

    def on_step_start(self, state: State) -> None:
        if self.scale is None or self.growth is None:
            device = local(next(state.model.parameters())).device
            self.scale = torch.full((), START, device=device)
            self.growth = torch.zeros((), dtype=torch.int32, device=device)
        state.scale = self.scale

    def on_gradients(self, state: State) -> None:
        assert state.scale is not None
        weights = [p for group in state.optimizer.param_groups for p in group["params"]]
        self.found = unscale((w.grad for w in weights), state.scale)
        state.broken = self.found > 0
        # a fused optimizer takes no step where this is 1, and asks nobody
        state.optimizer.found_inf = self.found  # type: ignore[attr-defined]
        _begin_momentum(state.optimizer)

    def on_step_end(self, state: State) -> None:
        assert self.scale is not None and self.growth is not None and self.found is not None
        torch._amp_update_scale_(self.scale, self.growth, self.found, GROWTH, BACKOFF, INTERVAL)

    def state(self) -> dict[str, Tensor]:
        return {} if self.scale is None or self.growth is None else {"scale": self.scale, "growth": self.growth}

    def load(self, state: Mapping[str, Tensor]) -> None:
        self.scale, self.growth = (state[name].clone() for name in ("scale", "growth"))

    def misfit(
        self, state: Mapping[str, Tensor], step: int, trained: Collection[str], moments: Collection[str]
    ) -> str | None:
        if odd := sorted(state.keys() ^ {"scale", "growth"}):
            return f"`{odd[0]}` {'does not belong there' if odd[0] in state else 'is missing'}"
        for name, dtype in (("scale", torch.float32), ("growth", torch.int32)):
            if why := misshapen(name, state[name], (), dtype):
                return why
        scale, growth = float(state["scale"]), int(state["growth"])
        if not (LEAST <= scale < math.inf and math.frexp(scale)[0] == 0.5 and 0 <= growth < INTERVAL):
            return f"no scale is {scale} after {growth} steps"
        return None


def _begin_momentum(optimizer: torch.optim.Optimizer) -> None:
    """Fused SGD makes buffers at its first step, and leaves them unwritten where it takes none. Zeros give the same step."""
    for group in optimizer.param_groups:
        if group.get("momentum"):
            for weight in group["params"]:
                if weight.grad is not None and optimizer.state[weight].get("momentum_buffer") is None:
                    optimizer.state[weight]["momentum_buffer"] = torch.zeros_like(weight)

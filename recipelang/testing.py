"""For authors of plug-ins: whether a method keeps the contract of `docs/contract.md`.

from recipelang.testing import check_method

def test_the_method_keeps_its_contract():
    check_method("acme.topk", k=2)
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

import torch
from torch import Tensor, nn

from recipelang.kinds.plain import OneOf
from recipelang.methods import METHODS
from recipelang.methods.declaration import OWL, Method
from recipelang.modifiers.modifier import State
from recipelang.modifiers.prune import Prune, make
from recipelang.planning import counts
from recipelang.planning.prune_plan import PruneEvent, PrunePlan, Target
from recipelang.pruning.inputs import Gathered
from recipelang.pruning.masks import Masks

_SIZES = {"unstructured": (0, 0), "N:M": (2, 4), "block": (2, 4)}
_STEPS, _CUT = 6, 3


def check_method(name: str, **args: float | str | bool) -> None:
    """Prune a small model in every pattern and scope that a method declares, with these arguments.

    After every event each target, or all together, has exactly the planned zeros, in the pattern; they stay zero;
    weights that stay change only where the method compensates; the same seed gives the same bits; and so does a run
    that is cut, saved and loaded.

    Raises:
        AssertionError: a promise is not kept; it says which, with which pattern and scope.
        KeyError: no such method is installed.
        RecipeError: E205, its code cannot be loaded.
    """
    method = METHODS[name]
    kind = next(a.kind for a in method.arguments if a.name == "scope")
    assert isinstance(kind, OneOf)
    for pattern, scope in itertools.product(method.patterns, kind.symbols):
        if (pattern, scope) in (("block", "row"), ("N:M", "erk"), ("N:M", "owl")):
            continue  # refused for every method
        where = f"`{name}` with pattern {pattern} and scope {scope}"
        plan = _plan(method, pattern, "uniform" if pattern == "N:M" else scope, args)
        whole = _Run(plan)
        whole.go(where)
        again = _Run(plan)
        again.go(where, until=_CUT)
        resumed = _Run(plan)
        resumed.take(again)
        resumed.go(where)
        for a, b in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
            assert torch.equal(a, b), f"{where}: cut at step {_CUT} and resumed, other weights come out"


def _plan(method: Method, pattern: str, scope: str, args: Mapping[str, object]) -> PrunePlan:
    targets = tuple(Target(name=n, shape=tuple(p.shape)) for n, p in _model().named_parameters())
    one_shot = method.looks_at == "inputs"
    wanted = [Fraction(1, 2)] if one_shot or pattern == "N:M" else [Fraction(1, 4), Fraction(1, 2), Fraction(3, 4)]
    steps = [0] if one_shot else [1, 2, 4]
    zeros = counts.over_time(pattern, _SIZES[pattern], scope, [t.shape for t in targets], wanted)
    return PrunePlan(
        name="weights",
        method=method.name,
        args=dict(args) | _of_scope(scope),  # type: ignore[arg-type]
        scope=scope,  # type: ignore[arg-type]
        pattern=pattern,  # type: ignore[arg-type]
        pattern_size=_SIZES[pattern],
        targets=targets,
        events=tuple(
            PruneEvent(step=k, sparsity=float(s), zeros=n) for k, s, n in zip(steps, wanted, zeros, strict=False)
        ),
    )


def _of_scope(scope: str) -> dict[str, object]:
    """Arguments that a plan has beside those of a method."""
    return {a.name: float(Fraction(str(a.default))) for a in OWL.arguments} if scope == OWL.name else {}


def _model() -> nn.Sequential:
    """Two matrices, float32 on the CPU."""
    made = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 8, bias=False), nn.Linear(8, 4, bias=False))
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.randn(weight.shape, generator=made))
    return model


class _Run:
    """SGD on random inputs, with one block that prunes."""

    def __init__(self, plan: PrunePlan) -> None:
        self.plan, self.model, self.at = plan, _model(), 0
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.01)
        self.prune = Prune(plan, make(plan.method, plan.args, [t.name for t in plan.targets], 0), 0)
        self.state = State(
            self.model, self.optimizer, Masks(), steps=_STEPS, gradients=self._gradients, layers=self._layers
        )

    def take(self, other: _Run) -> None:
        """All that a checkpoint keeps."""
        self.at = other.at
        self.model.load_state_dict(copy.deepcopy(other.model.state_dict()))
        for name, parameter in self.model.named_parameters():
            if (mask := other.state.masks.get(name)) is not None:
                self.state.masks.set(name, parameter, mask.clone())
        self.prune.load({name: tensor.clone() for name, tensor in other.prune.state().items()})

    def go(self, where: str, until: int = _STEPS) -> None:
        for step in range(self.at, until):
            self.at = self.state.step = step
            before = [p.detach().clone() for p in self.model.parameters()]
            self.prune.on_step_start(self.state)
            self._check(where, before)
            self._backward(self.at)
            self.prune.on_gradients(self.state)
            self.state.masks.apply_gradients()
            self.optimizer.step()
            self._check(where)
        self.at = until

    def _check(self, where: str, before: Sequence[Tensor] | None = None) -> None:
        event = next((e for e in reversed(self.plan.events) if e.step <= self.at), None)
        if event is None:
            return
        at = f"{where}, step {self.at}"
        weights = list(self.model.parameters())
        found = [int((w == 0).sum()) for w in weights]
        found = [sum(found)] if len(event.zeros) == 1 else found
        assert tuple(found) == tuple(event.zeros), f"{at}: zeros are {found}, planned are {list(event.zeros)}"
        rows, columns = self.plan.pattern_size
        for w in weights:
            if self.plan.pattern == "N:M":
                assert int((w.reshape(-1, columns) != 0).sum(1).max()) <= rows, f"{at}: a group keeps more than {rows}"
            if self.plan.pattern == "block":
                tiles = (w == 0).reshape(len(w) // rows, rows, -1, columns).sum((1, 3))
                assert set(tiles.unique().tolist()) <= {0, rows * columns}, f"{at}: a part of a block is zero"
        for w, old in zip(weights, before or (), strict=False):
            same = METHODS[self.plan.method].compensates or torch.equal(w, torch.where(w == 0, w, old))
            assert same, f"{at}: weights that stay have changed, and `compensates` is not declared"

    def _backward(self, seed: int) -> None:
        inputs = torch.randn(8, 16, generator=torch.Generator().manual_seed(seed))
        self.model.zero_grad(set_to_none=True)
        with torch.enable_grad():
            self.model(inputs).square().mean().backward()

    def _gradients(self, batches: int, size: int, dense: bool = False) -> Iterator[None]:
        for batch in range(batches):
            self._backward(1000 + batch)
            if not dense:
                self.state.masks.apply_gradients()
            yield
        self.model.zero_grad(set_to_none=True)

    def _layers(self, names: Sequence[str], gathers: type[Gathered], order: str) -> Iterator[dict[str, Gathered]]:
        inputs = torch.randn(64, 16, generator=torch.Generator().manual_seed(7))
        for name, module in zip(names, self.model, strict=True):
            gathered = gathers.empty(inputs.shape[1], inputs.device)
            gathered.add(inputs)
            yield {name: gathered}
            inputs = module(inputs).detach()

"""The loss scale follows the rules of torch's own scaler, and a step that overflows leaves no trace."""

import math

import pytest
import torch
from torch import nn

from recipelang.engine import precision
from recipelang.engine.precision import Scaler, autocast, unscale
from recipelang.modifiers.modifier import State
from recipelang.pruning.masks import Masks

#: steps at which a gradient is infinite: the first one, two in a row, one alone
BROKEN = (0, 4, 5, 11)
OPTIMIZERS = {
    "adamw": lambda weights: torch.optim.AdamW(weights, lr=0.1, weight_decay=0.1, fused=True),
    "sgd": lambda weights: torch.optim.SGD(weights, lr=0.1, fused=True),
    "momentum": lambda weights: torch.optim.SGD(weights, lr=0.1, momentum=0.9, fused=True),
}


def net():
    torch.manual_seed(0)
    return nn.Linear(4, 3)


def loss(model, step, scale):
    x = torch.randn(5, 4, generator=torch.Generator().manual_seed(step))
    return model(x).square().mean() * (math.inf if step in BROKEN else 1.0) * scale


def taken(model, optimizer, steps, scaler=None):
    """The scale after each step."""
    scaler, found = scaler or Scaler(), []
    state = State(model, optimizer, Masks(), steps)
    for state.step in range(steps):
        scaler.on_step_start(state)
        loss(model, state.step, state.scale).backward()
        scaler.on_gradients(state)
        optimizer.step()
        optimizer.zero_grad()
        scaler.on_step_end(state)
        found.append(float(state.scale))
    return found


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_scale_and_weights_are_those_of_torch(kind, monkeypatch):
    monkeypatch.setattr(precision, "INTERVAL", 3)
    ours, theirs = net(), net()
    found = taken(ours, OPTIMIZERS[kind](ours.parameters()), 16)

    optimizer = OPTIMIZERS[kind](theirs.parameters())
    for weight in theirs.parameters() if kind == "momentum" else ():
        optimizer.state[weight]["momentum_buffer"] = torch.zeros_like(weight)
    scaler = torch.amp.GradScaler("cpu", growth_interval=3)
    expected = []
    for step in range(16):
        scaler.scale(loss(theirs, step, 1.0)).backward()
        scaler.unscale_(optimizer)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        expected.append(scaler.get_scale())
    assert found == expected
    assert expected[0] == 32768 and max(expected[2:]) > min(expected)
    assert all(map(torch.equal, ours.parameters(), theirs.parameters()))


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_step_that_overflows_is_as_if_it_had_not_been(kind, monkeypatch):
    spoiled, whole = net(), net()
    taken(spoiled, optimizer := OPTIMIZERS[kind](spoiled.parameters()), 1)
    assert all(map(torch.equal, spoiled.parameters(), whole.parameters()))
    assert all(not v.any() for state in optimizer.state.values() for v in state.values() if v is not None)
    monkeypatch.setattr("tests.unit.engine.test_precision.BROKEN", ())
    taken(spoiled, optimizer, 3)
    taken(whole, OPTIMIZERS[kind](whole.parameters()), 3)
    assert all(map(torch.equal, spoiled.parameters(), whole.parameters()))


def test_a_scaler_goes_on_where_another_stopped(monkeypatch):
    monkeypatch.setattr(precision, "INTERVAL", 3)
    scaler = Scaler()
    model = net()
    whole = taken(model, OPTIMIZERS["sgd"](model.parameters()), 9, scaler)
    first, second = Scaler(), Scaler()
    model = net()
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    taken(model, optimizer, 5, first)
    assert second.misfit(first.state(), 5, (), ()) is None
    second.load({name: tensor.clone() for name, tensor in first.state().items()})
    state = State(model, optimizer, Masks(), 9)
    for state.step in range(5, 9):
        second.on_step_start(state)
        loss(model, state.step, state.scale).backward()
        second.on_gradients(state)
        optimizer.step()
        optimizer.zero_grad()
        second.on_step_end(state)
    assert float(second.scale) == whole[-1] and torch.equal(second.growth, scaler.growth)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"scale": None}, "`scale` is missing"),
        ({"more": torch.zeros(())}, "`more` does not belong there"),
        ({"scale": torch.ones(2)}, r"`scale` is torch.float32 of shape \(2,\)"),
        ({"growth": torch.ones(())}, "`growth` is torch.float32"),
        *(({"scale": torch.tensor(bad)}, "no scale is") for bad in (0.5, 3.0, math.inf, math.nan, -2.0, 0.0)),
        *(({"growth": torch.tensor(bad, dtype=torch.int32)}, "no scale is") for bad in (-1, 2000)),
    ],
)
def test_a_scale_that_no_run_has_is_refused(changes, why):
    state = {"scale": torch.tensor(65536.0), "growth": torch.tensor(7, dtype=torch.int32)}
    assert Scaler().misfit(state, 7, (), ()) is None
    bad = {name: tensor for name, tensor in {**state, **changes}.items() if tensor is not None}
    with pytest.raises(AssertionError, match=why):
        raise AssertionError(Scaler().misfit(bad, 7, (), ()))


def test_gradients_are_divided_in_place_whatever_their_type_and_size():
    gradients = [torch.full((2, 2), 8.0), None, torch.full((3,), 4.0, dtype=torch.bfloat16), torch.empty(0)]
    assert unscale(gradients, torch.tensor(4.0)) == 0.0
    assert gradients[0].eq(2.0).all() and gradients[2].eq(1.0).all()
    assert unscale([torch.tensor([1.0]), torch.tensor([math.nan])], torch.tensor(4.0)) == 1.0
    assert unscale([], torch.tensor(4.0)) == 0.0


@pytest.mark.parametrize(("name", "dtype"), [("fp32", None), ("tf32", None), ("bf16", "bfloat16"), ("fp16", "float16")])
def test_a_forward_pass_is_in_the_precision_that_is_named(name, dtype):
    with autocast(name, torch.device("cpu"))():
        assert net()(torch.ones(1, 4)).dtype == getattr(torch, dtype or "float32")

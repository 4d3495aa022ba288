"""What is left on a device is read seldom, and the first step that went wrong is named whenever it is."""

import math

import pytest
import torch

from recipelang.engine import watch as watching
from recipelang.engine.watch import Watch
from recipelang.source import RecipeError, fail


@pytest.fixture
def watch(monkeypatch):
    """As of a run on a device that is not the CPU."""
    monkeypatch.setattr(watching, "READ_SECONDS", math.inf)
    return Watch("sparse", torch.device("meta"))


def note(watch, step, loss=1.0, norm=2.0):
    watch.note(step, torch.tensor(loss, dtype=torch.float64), torch.tensor(norm), 0.5)


def steps(watch, count, first=0, **told):
    """The steps that are given after each of so many."""
    found = []
    for step in range(first, first + count):
        note(watch, step, loss=float(step))
        found.append([s.step for s in watch.agree(0, False, **told)[2]])
    return found


def test_on_a_cpu_every_step_is_read_when_it_was_taken():
    assert steps(Watch("sparse", torch.device("cpu")), 3) == [[0], [1], [2]]


def test_on_a_device_many_are_read_at_once_each_with_its_own_loss(watch):
    assert steps(watch, 12) == [[]] * 9 + [[*range(10)]] + [[]] * 2
    note(watch, 12, loss=12.5)
    seen = watch.agree(0, False, now=True)[2]
    assert [(s.step, s.loss, s.norm, s.sparsity) for s in seen] == [
        (10, 10, 2, 0.5),
        (11, 11, 2, 0.5),
        (12, 12.5, 2, 0.5),
    ]


@pytest.mark.parametrize("told", [{"stop": 15}, {"due": True}, {"now": True}])
def test_nothing_is_kept_or_told_before_all_steps_are_read(watch, told):
    steps(watch, 3)
    note(watch, 3)
    stop, due, seen = watch.agree(told.get("stop", 0), told.get("due", False), now=told.get("now", False))
    assert (stop, due, len(seen)) == (told.get("stop", 0), told.get("due", False), 4)


def test_slow_steps_are_read_when_they_are_done(watch, monkeypatch):
    monkeypatch.setattr(watching, "READ_SECONDS", -1.0)
    assert steps(watch, 2) == [[0], [1]]


@pytest.mark.parametrize(
    "bad, said",
    [
        ({"loss": math.nan}, "the loss is nan at step 4"),
        ({"loss": -math.inf}, "the loss is -inf at step 4"),
        ({"norm": math.inf}, "the norm of the gradients is inf at step 4"),
        ({"loss": math.inf, "norm": math.nan}, "the loss is inf at step 4"),
    ],
)
def test_the_first_step_that_is_not_finite_is_named_though_all_after_it_are_not_either(watch, bad, said):
    steps(watch, 4)
    note(watch, 4, **bad)
    for step in range(5, 9):
        note(watch, step, loss=math.nan, norm=math.nan)
    note(watch, 9)
    with pytest.raises(RecipeError, match=f"E082]: {said} of stage `sparse`"):
        watch.agree(0, False)


def test_what_fails_later_because_of_it_is_not_what_is_told(watch):
    with pytest.raises(RecipeError, match="E082]: the loss is nan at step 0"), watch:
        note(watch, 0, loss=math.nan)
        raise fail("E187", "`w` holds NaN or infinity")


def test_what_fails_for_another_reason_is_told(watch):
    with pytest.raises(RecipeError, match="E187"), watch:
        note(watch, 0)
        raise fail("E187", "`w` holds NaN or infinity")


def test_before_the_first_update_no_learning_rate_is_to_blame(watch):
    note(watch, 0, loss=math.nan)
    with pytest.raises(RecipeError) as refused:
        watch.agree(0, False, now=True)
    (finding,) = refused.value.diagnostics
    assert "the learning rate is not the cause" in finding.notes[0] and "precision" in finding.help[0]

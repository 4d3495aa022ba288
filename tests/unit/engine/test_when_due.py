"""After which steps a checkpoint is due."""

from __future__ import annotations

import pytest

from recipelang.engine import loop
from recipelang.planning.types import StagePlan


@pytest.mark.parametrize(
    ("asked", "due"),
    [
        ({}, [2, 4, 6]),  # an epoch has one step
        ({"checkpoint_every": 1}, [1, 2, 3, 4, 5, 6]),
        ({"checkpoint_every": 4}, [4]),
        ({"checkpoint_seconds": 80.0}, [2, 4, 6]),
        ({"checkpoint_seconds": 100.0}, [3, 6]),
        ({"checkpoint_seconds": 1.0}, [1, 2, 3, 4, 5, 6]),
        ({"checkpoint_seconds": 1000.0}, []),
    ],
)
def test_steps_of_forty_seconds(asked, due):
    stage = StagePlan.model_construct(steps_per_epoch=1, **asked)
    found, saved = [], 0
    for step in range(1, 7):
        if loop._due(stage, step, 40.0 * (step - saved)):
            found, saved = [*found, step], step
    assert found == due


def test_a_long_epoch_is_not_lost(monkeypatch):
    stage = StagePlan.model_construct(steps_per_epoch=1000)
    assert [loop._due(stage, 7, seconds) for seconds in (599.0, 600.0)] == [False, True]
    assert loop._due(stage.model_copy(update={"checkpoint_every": 9}), 7, 9999.0) is False
    monkeypatch.setattr(loop.processes, "main", lambda: False)  # the first process tells the others
    assert loop._due(stage, 7, 9999.0) is False

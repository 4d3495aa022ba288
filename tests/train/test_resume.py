"""Interrupted and resumed equals uninterrupted, bit for bit, wherever it was interrupted."""

import shutil
import signal

import pytest

from recipelang.engine.records import Interrupted
from recipelang.source import RecipeError

from ..conftest import RECIPE
from ..forked import forked
from .steps import Reporter, StopAt, run, same, stopped_often, weights


@pytest.fixture(scope="module")
def uninterrupted(tiny, tmp_path_factory):
    """What the recipe of `project` gives, wherever it lies."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    shutil.copytree(tiny, folder, dirs_exist_ok=True)
    (folder / "tiny.recipe").write_text(RECIPE.format(length="2 epochs", extra=""), "utf-8")
    run(folder / "tiny.recipe", folder / "out")
    return weights(folder / "out")


@pytest.fixture
def whole(project, uninterrupted):
    return project(), uninterrupted


# 6 steps an epoch: in the dense stage, at its end, in the middle of an epoch, and on a pruning event
@pytest.mark.parametrize("step", [2, 6, 9, 12, 17])
def test_stopped_by_a_signal_and_resumed_is_uninterrupted(whole, tmp_path, step):
    recipe, expected = whole
    with pytest.raises(Interrupted):
        run(recipe, tmp_path / "cut", StopAt(step))
    run(recipe, tmp_path / "cut", resume=True)
    assert same(weights(tmp_path / "cut"), expected)


def test_stopped_many_times_is_uninterrupted(whole, tmp_path):
    recipe, expected = whole
    assert stopped_often(recipe, tmp_path / "cut", 3) >= 4
    assert same(weights(tmp_path / "cut"), expected)


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.train.steps import Reporter, run

class KilledAt14(Reporter):
    left = 14
    def stepped(self, stage, step, loss, rate, sparsity):
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)

run(Path(sys.argv[1]), Path(sys.argv[2]), KilledAt14())
"""


def test_killed_outright_loses_only_the_steps_since_the_last_checkpoint(whole, tmp_path):
    recipe, expected = whole
    with forked(recipe, tmp_path / "cut", program=KILLED) as first:
        said = first.communicate(timeout=120)
    assert first.poll() == -signal.SIGKILL, said
    assert max(p.name for p in (tmp_path / "cut" / "checkpoints").iterdir()) == "stage-01-step-00000006"
    assert not (tmp_path / "cut" / "model.safetensors").exists()
    run(recipe, tmp_path / "cut", resume=True)
    assert same(weights(tmp_path / "cut"), expected)


def test_damaged_checkpoint_is_named_and_the_one_before_is_used(whole, tmp_path):
    recipe, expected = whole
    with pytest.raises(Interrupted):
        run(recipe, tmp_path / "cut", StopAt(15))
    newest = sorted((tmp_path / "cut" / "checkpoints").iterdir())[-1]
    data = bytearray((newest / "model.safetensors").read_bytes())
    data[-5] ^= 1
    (newest / "model.safetensors").write_bytes(data)
    told = []

    class Listen(Reporter):
        def message(self, text):
            told.append(text)

    run(recipe, tmp_path / "cut", Listen(), resume=True)
    assert any(newest.name in text and "damaged" in text for text in told)
    assert same(weights(tmp_path / "cut"), expected)


def test_checkpoint_of_another_behaviour_is_refused(project, tmp_path):
    with pytest.raises(Interrupted):
        run(project(), tmp_path / "cut", StopAt(15))
    with pytest.raises(RecipeError) as error:
        run(project(length="3 epochs"), tmp_path / "cut", resume=True)
    assert error.value.diagnostics[0].code == "E083"


def test_changed_claim_does_not_orphan_a_checkpoint(whole, project, tmp_path):
    recipe, expected = whole
    with pytest.raises(Interrupted):
        run(recipe, tmp_path / "cut", StopAt(15))
    changed = project(replace=("prefer dev.f1 >= 0%", "prefer dev.f1 >= 1%"))
    run(changed, tmp_path / "cut", resume=True)
    assert same(weights(tmp_path / "cut"), expected)


def test_checkpoint_that_is_redone_is_kept_beside_damaged_later_ones(whole, tmp_path):
    """Two damaged checkpoints sort after the one a resumed run writes anew: it must not be the one that goes."""
    recipe, expected = whole
    with pytest.raises(Interrupted):
        run(recipe, tmp_path / "cut", StopAt(15))
    for path in (tmp_path / "cut" / "checkpoints").iterdir():
        (path / "model.safetensors").write_bytes(b"")
    with pytest.raises(Interrupted):
        run(recipe, tmp_path / "cut", StopAt(4), resume=True)
    assert [p.name for p in (tmp_path / "cut" / "checkpoints").iterdir()] == ["stage-00-step-00000004"]
    run(recipe, tmp_path / "cut", resume=True)
    assert same(weights(tmp_path / "cut"), expected)

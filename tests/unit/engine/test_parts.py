"""Checkpoints of several processes: which files there are, and what they hold together."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from recipelang import processes
from recipelang.engine.checkpoint_write import Writing
from recipelang.engine.parts import Files, file_name, own, read
from recipelang.source import RecipeError
from recipelang.storage.strict_json import parse_model

HEX = "0" * 64


def test_files_of_one_process_and_of_several():
    one = Files.of(HEX, [{"model": HEX, "state": HEX}])
    two = Files.of(HEX, [{"model": HEX, "state": HEX}] * 2)
    assert sorted(one.digests) == ["model.safetensors", "state.json", "state.safetensors"]
    assert two.named("model") == ["model-1-of-2.safetensors", "model-2-of-2.safetensors"]
    assert sorted(two.digests) == ["model-1-of-2.safetensors", "model-2-of-2.safetensors", "state-1-of-2.safetensors",
                                   "state-2-of-2.safetensors", "state.json"]  # fmt: skip
    for files in (one, two):
        assert parse_model(files.model_dump_json(by_alias=True), Files) == files


@pytest.mark.parametrize("listed", [[], [HEX], [HEX, 1], [HEX] * 3, [HEX, "x"]])
def test_a_manifest_that_lists_other_files_of_weights_than_of_states_is_refused(listed):
    text = json.dumps({"model.safetensors": [HEX, HEX], "state.json": HEX, "state.safetensors": listed})
    with pytest.raises(ValueError, match=r"state|files"):
        parse_model(text, Files)


@pytest.fixture
def written(tmp_path: Path) -> list[Path]:
    """Seven rows of a weight over three processes, the last of which has one; a row of another over three."""
    weight, row = torch.arange(14.0).reshape(7, 2), torch.ones(1, 3)
    paths = [tmp_path / file_name("model", part, 3) for part in range(3)]
    for part, path in enumerate(paths):
        here = {"weight": weight[3 * part : 3 * part + 3].clone(), "row": row[part : part + 1].clone()}
        save_file(
            {**here, f"random/{part}": torch.tensor([part]), **({"step": torch.tensor(4.0)} if part == 0 else {})}, path
        )
    return paths


def test_what_processes_wrote_is_put_together_by_rows(written):
    found = read(written, None)
    assert torch.equal(found["weight"], torch.arange(14.0).reshape(7, 2)) and torch.equal(
        found["row"], torch.ones(1, 3)
    )
    assert found["step"] == 4 and [int(found[f"random/{part}"]) for part in range(3)] == [0, 1, 2]


@pytest.mark.parametrize("other", [{}, {"weight": torch.ones(1, 3)}, {"weight": torch.tensor(1.0)}])
def test_parts_that_do_not_belong_together_are_refused(written, other):
    save_file(other, written[1])
    with pytest.raises(ValueError, match=r"`(weight|row)`"):
        read(written, None)


def test_what_changes_with_the_next_step_is_copied_where_it_is_written_later():
    weight = torch.ones(3)
    later, now = (own({"w": weight}, live=live)["w"] for live in (False, True))
    weight.zero_()
    assert later.sum() == 3 and now.sum() == 0


def test_a_checkpoint_is_written_beside_what_follows_and_there_only_when_it_is_whole(tmp_path, monkeypatch):
    held, weight = threading.Event(), torch.ones(4)
    monkeypatch.setattr("recipelang.engine.checkpoint_write.sync", lambda path: held.wait(30))
    path, named = tmp_path / "checkpoints" / "stage-00-step-00000001", []
    path.parent.mkdir()
    tensors = {"model": {"w": weight}, "state": {}}
    writing = Writing(path, tensors, "{}", live=True, sharded=False, named=lambda: named.append(path.exists()))
    weight.zero_()  # the next step
    assert not path.exists() and not writing.failed
    held.set()
    writing.wait()
    assert named == [True]
    assert read([path / "model.safetensors"], None)["w"].sum() == 4
    assert sorted(p.name for p in path.iterdir()) == [
        "manifest.json",
        "model.safetensors",
        "state.json",
        "state.safetensors",
    ]
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_checkpoint_that_cannot_be_finished_is_told_and_leaves_nothing(tmp_path, monkeypatch):
    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("recipelang.engine.checkpoint_write.sync", full)
    path = tmp_path / "checkpoints" / "stage-00-step-00000001"
    path.parent.mkdir()
    writing = Writing(path, {"model": {}, "state": {}}, "{}", live=True, sharded=False, named=lambda: None)
    writing.thread.join()
    assert writing.failed
    with pytest.raises(RecipeError, match="disk is full") as error:
        writing.wait()
    assert error.value.diagnostics[0].code == "E084"
    assert not list(path.parent.iterdir())


def test_the_part_of_a_process_that_is_gone_is_not_waited_for_and_nothing_is_left(tmp_path, monkeypatch):
    def never(key: str, stopped: threading.Event) -> str:
        assert stopped.wait(30)
        raise processes.gone(RuntimeError("it has ended"))

    for name, stand_in in {"world": lambda: 2, "rank": lambda: 0, "first": lambda v: v, "handed": never}.items():
        monkeypatch.setattr(processes, name, stand_in)
    path = tmp_path / "checkpoints" / "stage-00-step-00000001"
    path.parent.mkdir()
    writing = Writing(path, {"model": {}, "state": {}}, "{}", live=True, sharded=True, named=lambda: None)
    assert len(list(path.parent.iterdir())) == 1
    writing.leave(lost=True)
    assert writing.failed and not list(path.parent.iterdir())

"""One process of ours in a folder at a time, whatever is done to the files in it."""

import fcntl
import os
import shutil

import pytest

from recipelang.engine import files
from recipelang.engine.files import moved, only_one, same_folder
from recipelang.source import RecipeError


def refused(folder) -> str:
    with pytest.raises(RecipeError) as error, only_one(folder):
        raise AssertionError("two at once")
    return error.value.diagnostics[0].code


def test_a_second_one_is_refused_and_a_later_one_is_not(tmp_path):
    with only_one(tmp_path / "out"):
        assert refused(tmp_path / "out") == "E085"
    with only_one(tmp_path / "out"):
        pass
    assert list((tmp_path / "out").iterdir()) == []


def test_removing_files_of_the_folder_lets_nobody_in(tmp_path):
    with only_one(tmp_path / "out"):
        (tmp_path / "out" / ".lock").touch()
        (tmp_path / "out" / ".lock").unlink()
        assert refused(tmp_path / "out") == "E085"


def test_a_link_to_the_folder_is_the_same_folder(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "other").symlink_to("out")
    with only_one(tmp_path / "out"):
        assert refused(tmp_path / "other") == "E085"


def test_a_file_in_its_place_is_refused(tmp_path):
    (tmp_path / "out").write_text("")
    assert refused(tmp_path / "out") == "E084"


def test_a_name_that_is_no_text_is_refused(tmp_path):
    assert refused(tmp_path / os.fsdecode(b"out\xff")) == "E167"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_replaced_before_the_lock_is_held_is_refused(tmp_path, monkeypatch):
    lock = fcntl.flock

    def slowly(handle: int, how: int) -> None:
        (tmp_path / "out").rename(tmp_path / "elsewhere")
        (tmp_path / "out").mkdir()
        lock(handle, how)

    monkeypatch.setattr(files.fcntl, "flock", slowly)
    assert refused(tmp_path / "out") == "E194"


def test_a_file_system_without_locks_of_folders_gets_a_file(tmp_path, monkeypatch):
    lock = fcntl.flock

    def only_files(handle: int, how: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{handle}"):
            raise OSError(9, "Bad file descriptor")
        lock(handle, how)

    monkeypatch.setattr(files.fcntl, "flock", only_files)
    with only_one(tmp_path):
        assert refused(tmp_path) == "E085"
    (tmp_path / ".lock").unlink(missing_ok=True)
    (tmp_path / ".lock").symlink_to(tmp_path / "outside")
    assert refused(tmp_path) == "E084"
    assert not (tmp_path / "outside").exists()


def test_another_folder_of_the_same_name_is_another_folder(tmp_path):
    (tmp_path / "out").mkdir()
    before = os.stat(tmp_path / "out")
    assert same_folder(tmp_path / "out", before)
    shutil.move(tmp_path / "out", tmp_path / "elsewhere")
    assert not same_folder(tmp_path / "out", before)
    (tmp_path / "out").mkdir()
    assert not same_folder(tmp_path / "out", before)
    assert moved(tmp_path / "out").diagnostics[0].code == "E194"

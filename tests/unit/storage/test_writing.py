"""What is written appears whole, where it was meant to, and nothing outside is touched."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from recipelang.source import RecipeError
from recipelang.storage import writing


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder that nothing may touch, with a file in it."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "mine").write_text("precious")
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


def untouched(outside: Path) -> bool:
    return os.listdir(outside) == ["mine"] and (outside / "mine").read_text() == "precious"


def whole_file(path: Path, inside: Path) -> None:
    writing.write_text(path, "new", inside=inside)


def by_a_library(path: Path, inside: Path) -> None:
    with writing.new_file(path, inside=inside) as part:
        part.write_text("new")


def whole_folder(path: Path, inside: Path) -> None:
    with writing.new_folder(path, inside=inside) as part:
        (part / "file").write_text("new")


EVERY = [whole_file, by_a_library, whole_folder]


@pytest.mark.parametrize("write", EVERY)
def test_a_link_in_place_of_a_name_is_replaced_and_not_followed(write, run: Path, outside: Path):
    (run / "a").symlink_to(outside / "mine")
    try:
        write(run / "a", run)
    except RecipeError as error:
        assert error.diagnostics[0].code == "E084"
    assert untouched(outside)


@pytest.mark.parametrize("write", EVERY)
def test_a_linked_folder_on_the_way_is_refused(write, run: Path, outside: Path):
    (run / "recipe").symlink_to(outside)
    with pytest.raises(RecipeError) as caught:
        write(run / "recipe" / "a", run)
    assert caught.value.diagnostics[0].code == "E084"
    assert untouched(outside)


@pytest.mark.parametrize("write", EVERY)
def test_temporary_names_are_new_each_time(write, run: Path, monkeypatch):
    drawn = []
    real = writing._part
    monkeypatch.setattr(writing, "_part", lambda path: drawn.append(real(path)) or drawn[-1])
    write(run / "a", run)
    write(run / "a", run)
    assert len(drawn) >= 2
    assert len(set(drawn)) == len(drawn)
    assert os.listdir(run) == ["a"]


@pytest.mark.parametrize("write", EVERY)
def test_what_fails_leaves_what_was_there(write, run: Path, monkeypatch):
    write(run / "a", run)

    real = writing._rename
    failures = [OSError(28, "No space left on device")]

    def full(part: Path, path: Path, folder: int) -> None:
        if part.name.endswith(".tmp") and failures:
            raise failures.pop()
        real(part, path, folder)

    monkeypatch.setattr(writing, "_rename", full)
    with pytest.raises(RecipeError, match="disk is full"):
        write(run / "a", run)
    assert os.listdir(run) == ["a"]


def test_a_log_grows_through_no_link(run: Path, outside: Path):
    (run / "log").symlink_to(outside / "mine")
    with pytest.raises(OSError):
        writing.open_to_append(run / "log", inside=run)
    with writing.open_to_append(run / "log", inside=run, anew=True) as file:
        file.write(b"x")
    assert (run / "log").read_bytes() == b"x"
    assert untouched(outside)


def test_a_log_is_no_pipe(run: Path):
    os.mkfifo(run / "log")
    with pytest.raises(OSError):
        writing.open_to_append(run / "log", inside=run)


def test_removing_takes_a_link_and_never_what_it_leads_to(run: Path, outside: Path):
    (run / "a").symlink_to(outside / "mine")
    (run / "b").symlink_to(outside)
    writing.remove(run / "a", inside=run)
    with pytest.raises(RecipeError):
        writing.remove_folder(run / "b", inside=run)
    with pytest.raises(RecipeError):
        writing.remove_folder(run / "b" / "c", inside=run)
    assert untouched(outside)
    writing.remove(run / "a", inside=run)  # gone already
    writing.remove_folder(run / "c", inside=run)


def test_only_names_of_ours_are_swept(run: Path, outside: Path):
    ours = writing._part(run / "a")
    ours.mkdir()
    (ours / "file").write_text("half")
    link = writing._part(run / "b")
    link.symlink_to(outside)
    (run / ".notes.tmp").write_text("somebody's")
    writing.sweep(run)
    assert sorted(os.listdir(run)) == sorted([link.name, ".notes.tmp"])
    assert untouched(outside)


def test_a_file_of_the_users_keeps_its_rights_and_its_link(run: Path, outside: Path):
    os.chmod(outside / "mine", 0o640)
    (run / "a").symlink_to(outside / "mine")
    writing.rewrite(run / "a", "changed")
    assert (run / "a").is_symlink()
    assert (outside / "mine").read_text() == "changed"
    assert (outside / "mine").stat().st_mode & 0o777 == 0o640


def test_folders_are_made_through_no_link(run: Path, outside: Path):
    (run / "stages").symlink_to(outside)
    with pytest.raises(RecipeError):
        writing.make_folder(run / "stages" / "dense", inside=run)
    assert untouched(outside)


@pytest.mark.parametrize(
    ("number", "help"), [(errno.EMFILE, "`ulimit -n`"), (errno.EFBIG, "`ulimit -f`"), (errno.ENOSPC, "free some space")]
)
def test_what_to_do_is_said_by_the_cause(tmp_path: Path, number: int, help: str):
    with pytest.raises(RecipeError) as caught, writing.writing(tmp_path / "a"):
        raise OSError(number, os.strerror(number))
    assert help in str(caught.value.diagnostics[0].help)


def test_a_failed_removal_does_not_say_that_all_is_as_before(run: Path, monkeypatch: pytest.MonkeyPatch):
    def busy(path: Path, folder: int) -> None:
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    (run / "run.json").write_text("{}")
    monkeypatch.setattr(writing, "_unlink", busy)
    with pytest.raises(RecipeError) as caught:
        writing.remove(run / "run.json", inside=run)
    found = caught.value.diagnostics[0]
    assert found.message == "cannot remove `run.json`: device or resource busy"
    assert not any("untouched" in str(n) for n in found.notes)

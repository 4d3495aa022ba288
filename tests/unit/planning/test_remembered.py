"""What the cache folder remembers: never believed once it is damaged, and never of a file that has changed."""

import json
import os
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import TypeAdapter

from recipelang.planning import remembered as cache
from recipelang.planning.remembered import cache_folder, file_digest, remembered

LARGE = 1_100_000
SEVEN, ANY = TypeAdapter(Literal[7]), TypeAdapter(Any)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RECIPELANG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "_SETTLED_NS", 0)  # the files of a test are new
    return tmp_path


def counted(value: object = 7):
    """A computation, and how often it was done."""
    calls: list[int] = []

    def compute() -> object:
        calls.append(1)
        return value

    return compute, calls


def note(kind: str) -> Path:
    (found,) = (cache_folder() / kind).iterdir()
    return found


def test_is_computed_once(own):
    compute, calls = counted()
    assert [remembered("sizes", ["a"], SEVEN, compute) for _ in range(3)] == [7, 7, 7]
    assert len(calls) == 1
    assert remembered("sizes", ["b"], SEVEN, compute) == 7
    assert len(calls) == 2


@pytest.mark.parametrize(
    "text",
    [
        "", "{}", "[]", "7", "null", '{"value": 8}', "[" * 5000, '{"a":1}', "\x00", '{"key": 1, "value": 2, "sha256": 3}',
        '{"key": "x", "value": 8, "sha256": "y"}', "NaN",
    ],
)  # fmt: skip
def test_a_damaged_note_is_not_believed(own, text):
    compute, calls = counted()
    remembered("sizes", ["a"], ANY, compute)
    note("sizes").write_text(text)
    assert remembered("sizes", ["a"], ANY, compute) == 7
    assert len(calls) == 2
    assert json.loads(note("sizes").read_text())["value"] == 7


def test_a_changed_value_and_a_note_of_something_else_are_not_believed(own):
    compute, _ = counted()
    remembered("sizes", ["a"], ANY, compute)
    body = json.loads(note("sizes").read_text())
    note("sizes").write_text(json.dumps({**body, "value": 8}))
    assert remembered("sizes", ["a"], ANY, compute) == 7
    other, _ = counted(9)
    whole = note("sizes")
    remembered("sizes", ["b"], ANY, other)
    (second,) = (p for p in whole.parent.iterdir() if p != whole)
    whole.write_bytes(second.read_bytes())
    assert remembered("sizes", ["a"], ANY, compute) == 7


def test_a_note_of_the_wrong_shape_is_not_believed(own):
    wrong, _ = counted({"examples": "x"})
    remembered("sizes", ["a"], ANY, wrong)
    compute, calls = counted()
    assert remembered("sizes", ["a"], SEVEN, compute) == 7
    assert calls


def test_a_cache_that_cannot_be_used_only_costs_time(own):
    cache_folder().write_text("a file in its place")
    compute, calls = counted()
    assert [remembered("sizes", ["a"], ANY, compute) for _ in range(2)] == [7, 7]
    assert len(calls) == 2


def test_a_link_in_the_cache_is_not_followed(own):
    compute, _ = counted()
    remembered("sizes", ["a"], ANY, compute)
    outside = own / "outside"
    outside.write_bytes(note("sizes").read_bytes())
    path = note("sizes")
    path.unlink()
    path.symlink_to(outside)
    again, calls = counted()
    assert remembered("sizes", ["a"], ANY, again) == 7
    assert calls


# ------------------------------------------------------------------------- digests
def test_a_restored_backup_of_the_same_size_and_time_is_read_again(own):
    path = own / "data.bin"
    path.write_bytes(b"a" * LARGE)
    before, stat = file_digest(path), path.stat()
    path.write_bytes(b"b" * LARGE)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert path.stat().st_mtime_ns == stat.st_mtime_ns
    assert file_digest(path) != before


def test_another_file_moved_to_the_same_place_is_read_again(own):
    path, other = own / "data.bin", own / "other.bin"
    for name, byte in ((path, b"a"), (other, b"b")):
        name.write_bytes(byte * LARGE)
        os.utime(name, ns=(10**18, 10**18))
    before = file_digest(path)
    other.replace(path)
    assert file_digest(path) != before


def test_anew_reads_whatever_is_remembered(own, monkeypatch):
    path = own / "data.bin"
    path.write_bytes(b"a" * LARGE)
    true = file_digest(path)
    monkeypatch.setattr(cache, "remembered", lambda *_: "0" * 64)
    assert file_digest(path) == "0" * 64
    assert file_digest(path, anew=True) == true


def test_a_file_that_changed_just_now_is_not_remembered(own, monkeypatch):
    monkeypatch.setattr(cache, "_SETTLED_NS", 10**12)
    path = own / "data.bin"
    path.write_bytes(b"a" * LARGE)
    file_digest(path)
    assert not (cache_folder() / "digests").exists()


def test_what_is_no_file_is_an_error_of_the_system(own):
    with pytest.raises(FileNotFoundError):
        file_digest(own / "nothing")
    os.mkfifo(own / "pipe")
    with pytest.raises(OSError, match="regular"):
        file_digest(own / "pipe")

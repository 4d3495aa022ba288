"""Whatever lies under a name, reading it ends at once: with the file, or with a reason."""

from __future__ import annotations

import errno
import hashlib
import json
import mmap
import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from recipelang.source import RecipeError
from recipelang.storage import reading
from recipelang.storage.reading import Unreadable, Why


class Note(BaseModel, strict=True):
    size: int


def sparse(path: Path) -> None:
    with open(path, "wb") as file:
        file.truncate(2**33)


def made(kind: str, path: Path, outside: Path) -> None:
    match kind:
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "device":
            path.symlink_to("/dev/zero")
        case "sparse":
            sparse(path)
        case "link":
            path.symlink_to(outside)
        case "loop":
            path.symlink_to(path)


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("missing", Why.MISSING),
        ("folder", Why.FOLDER),
        ("pipe", Why.IRREGULAR),
        ("device", Why.IRREGULAR),
        ("sparse", Why.TOO_LARGE),
        ("loop", Why.LINK),
    ],
)
def test_what_is_no_file_of_ours_is_refused_unread(kind: str, why: Why, tmp_path: Path):
    made(kind, tmp_path / "a", tmp_path / "b")
    with pytest.raises(Unreadable) as caught:
        reading.read_bytes(tmp_path / "a", 1000)
    assert caught.value.why is why


def test_a_link_is_followed_for_the_user_and_not_in_a_folder_from_elsewhere(tmp_path: Path):
    (tmp_path / "b").write_text("mine")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "a").symlink_to(tmp_path / "b")
    assert reading.read_text(tmp_path / "run" / "a", 10) == "mine"
    with pytest.raises(Unreadable) as caught:
        reading.read_text(tmp_path / "run" / "a", 10, inside=tmp_path / "run")
    assert caught.value.why is Why.LINK


def test_no_component_below_a_folder_from_elsewhere_is_a_link(tmp_path: Path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "plan.json").write_text("{}")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe").symlink_to(tmp_path / "out")
    with pytest.raises(Unreadable) as caught:
        reading.read_object(tmp_path / "run" / "recipe" / "plan.json", inside=tmp_path / "run")
    assert caught.value.why is Why.LINK


def test_a_path_out_of_its_folder_is_refused(tmp_path: Path):
    (tmp_path / "secret").write_text("x")
    (tmp_path / "run").mkdir()
    with pytest.raises((Unreadable, ValueError)):
        reading.read_text(tmp_path / "run" / ".." / "secret", 10, inside=tmp_path / "run")


def test_a_file_of_the_limit_is_read_and_one_byte_more_is_not(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"x" * 100)
    assert len(reading.read_bytes(tmp_path / "a", 100)) == 100
    with pytest.raises(Unreadable):
        reading.read_bytes(tmp_path / "a", 99)


@pytest.mark.parametrize(
    "text",
    ["", "[", "[" * 40 + "]" * 40, "[" * 100_000, '{"size": 1, "size": 2}', "NaN", "1e999", "9" * 5000, '"\xff"'],
)
def test_json_that_cannot_be_believed_is_damaged(text: str, tmp_path: Path):
    (tmp_path / "a.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(Unreadable) as caught:
        reading.read_json(tmp_path / "a.json")
    assert caught.value.why is Why.DAMAGED


@pytest.mark.parametrize("value", [None, "1", 1.5, True, [1], {}, -(10**30)])
def test_a_model_names_the_field_that_is_wrong(value: object, tmp_path: Path):
    (tmp_path / "a.json").write_text(json.dumps({"size": value}))
    with pytest.raises(Unreadable) as caught:
        reading.read_model(tmp_path / "a.json", Note)
    assert caught.value.why is Why.DAMAGED
    assert "size" in caught.value.reason or "digits" in caught.value.reason


@pytest.mark.parametrize("why", list(Why))
def test_every_reason_can_be_said_with_a_code(why: Why):
    error = Unreadable(Path("a"), why, "larger than 1 KiB").coded("E137")
    assert isinstance(error, RecipeError)
    assert "`a`" in error.diagnostics[0].message


@pytest.mark.parametrize("piece", ["[],", "{},", "0,"])
def test_json_of_very_many_values_is_refused_before_it_is_built(piece, tmp_path):
    (tmp_path / "a.json").write_text("[" + piece * reading.MAX_VALUES + "0]", "utf-8")
    with pytest.raises(Unreadable, match="more than 2,000,000 values"):
        reading.read_json(tmp_path / "a.json")


@pytest.mark.parametrize("content", [b"", b"a", b"weights" * 300_000], ids=["nothing", "a letter", "2 MB"])
def test_a_mapped_file_has_the_digest_of_what_it_holds(content: bytes, tmp_path: Path):
    path = tmp_path / "a"
    path.write_bytes(content)
    assert reading.mapped_sha256(path) == reading.sha256(path) == hashlib.sha256(content).hexdigest()
    (tmp_path / "b").symlink_to(path)
    with pytest.raises(Unreadable):
        reading.mapped_sha256(tmp_path / "b", inside=tmp_path)


def test_a_large_file_is_mapped_a_part_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    lengths: list[int] = []

    def mapping(file: int, length: int, **named: Any) -> mmap.mmap:
        lengths.append(length)
        return mmap.mmap(file, length, **named)

    monkeypatch.setattr(reading, "mmap", mapping)
    monkeypatch.setattr(reading, "_MAPPED", 2**16)
    (tmp_path / "a").write_bytes(content := bytes(range(256)) * 600)
    assert reading.mapped_sha256(tmp_path / "a") == hashlib.sha256(content).hexdigest()
    assert lengths == [65_536, 65_536, 22_528]


def test_a_file_that_cannot_be_mapped_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def mmap(*arguments: object, **named: object) -> None:
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))

    monkeypatch.setattr(reading, "mmap", mmap)
    (tmp_path / "a").write_bytes(b"weights")
    assert reading.mapped_sha256(tmp_path / "a") == hashlib.sha256(b"weights").hexdigest()

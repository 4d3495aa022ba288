"""The command on hostile files, in a process of its own: one coded error, little time, little memory, no traceback."""

import re

import pytest

from recipelang.syntax import MAX_BYTES
from tests.limits.attacks import ATTACKS, PIECES, attack, filled
from tests.limits.server import Ended, assert_bounded


@pytest.fixture(scope="module")
def validate(tmp_path_factory, command_in):
    """`recipelang validate` on files of the contents given, and what it took."""
    folder = tmp_path_factory.mktemp("files")

    def run(*contents: bytes) -> Ended:
        for number, content in enumerate(contents):
            (folder / f"{number}.recipe").write_bytes(content)
        return command_in(folder, "validate", *(f"{n}.recipe" for n in range(len(contents))), files=len(contents))

    return run


@pytest.mark.parametrize("name", ATTACKS)
def test_hostile_recipe_ends_in_its_code_within_its_bounds(name, validate):
    text, code = attack(name)
    ended = validate(text.encode())
    assert re.findall(r"^error\[(\w+)\]", ended.err, re.M) == [code]
    assert_bounded(ended)


def test_files_full_of_one_thing_stay_within_their_bounds(validate):
    ended = validate(*(filled(piece).encode() for piece in PIECES))
    assert_bounded(ended, len(PIECES))
    assert ended.err.count("\nerror[") <= 51 * len(PIECES)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"#" * (MAX_BYTES + 1), "E042"),
        (b"\xff" * (100 * 2**20), "E042"),  # not even decoded
        (b"\xff" * MAX_BYTES, "E002"),
        (b"\x00" * MAX_BYTES, "E002"),
        (b"recipe 1\n" + b"\x00" * 1000, "E002"),
    ],
    ids=["a byte too many", "100 MiB", "not UTF-8", "NULs", "NULs after a header"],
)
def test_bytes_that_are_no_recipe_end_in_their_code(content, code, validate):
    ended = validate(content)
    assert f"error[{code}]" in ended.err
    assert_bounded(ended)


def test_an_endless_file_is_not_read_to_its_end(tmp_path, command_in):
    ended = command_in(tmp_path, "validate", "/dev/zero")
    assert "error[E046]" in ended.err
    assert_bounded(ended)

"""The command on hostile files, in a process of its own: one coded error, little time, little memory, no traceback."""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from recipelang.syntax import MAX_BYTES
from tests.limits.attacks import ATTACKS, PIECES, attack, filled

#: of the processor, beyond a start of Python and its imports; and bytes in all
SECONDS, BYTES = 1.0, 256 * 2**20

#: imports once, then runs the command in a new process for each line of arguments
SERVER = """
import json, os, sys
from recipelang.cli.main import command_line, main
command_line(["validate"])  # a command is imported when it is asked for: here once, not in every child
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(name, os.O_CREAT | os.O_TRUNC | os.O_WRONLY), number)
        sys.argv = ["recipelang", *json.loads(line)]
        main()
        sys.exit()
    _, status, used = os.wait4(child, 0)
    ended = os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime, used.ru_maxrss * 1024
    print(json.dumps(ended), flush=True)
"""


@dataclass
class Ended:
    status: int
    seconds: float
    bytes: int
    err: str


@pytest.fixture(scope="module")
def validate(tmp_path_factory):
    """`recipelang validate` on files of the contents given, and what it took."""
    folder = tmp_path_factory.mktemp("files")
    environment = {**os.environ, "NO_COLOR": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", SERVER], cwd=folder, env=environment, **pipes) as server:

        def run(*contents: bytes) -> Ended:
            for number, content in enumerate(contents):
                (folder / f"{number}.recipe").write_bytes(content)
            server.stdin.write(json.dumps(["validate", *(f"{n}.recipe" for n in range(len(contents)))]) + "\n")
            server.stdin.flush()
            return Ended(*json.loads(server.stdout.readline()), (folder / "err").read_text("utf-8"))

        yield run


def assert_bounded(ended: Ended, files: int = 1) -> None:
    assert ended.status == 1
    assert "Traceback" not in ended.err
    assert "internal" not in ended.err
    assert ended.seconds < SECONDS * files
    assert ended.bytes < BYTES


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


def test_an_endless_file_is_not_read_to_its_end():
    command = [sys.executable, "-m", "recipelang", "validate", "/dev/zero"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], timeout=60)
    assert (done.returncode, "error[E042]" in done.stderr) == (1, True)

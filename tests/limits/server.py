"""The command in processes of their own, and what each took: imports once, then a fork for each line of arguments."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

#: of the processor, beyond a start of Python and its imports; and bytes in all
SECONDS, BYTES = 2.0, 256 * 2**20
#: what `_slowness` takes on the machine that `SECONDS` is for, left alone
QUIET = 0.12
#: a command is imported when it is asked for: here once, not in every child. The limits of the system are wider than
#: ours: what has no limit of its own fails in seconds, and takes no machine with it
SERVER = """
import json, os, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (2 * 2**30,) * 2)
resource.setrlimit(resource.RLIMIT_CPU, (30, 30))
from recipelang.cli.main import command_line, main
command_line(["validate", "plan", "lint", "digest", "fmt", "study", "migrate", "report", "verify"])
import recipelang.migrate.migrate, recipelang.migrate.report, recipelang.planning.resolve, recipelang.lint, recipelang.report.plan_screen, recipelang.tasks.question_answering
import recipelang.api.planned, recipelang.artifact.lock, recipelang.report.cleaned, rich._emoji_codes
import rich.console, numpy, tokenizers
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        folder, *arguments = json.loads(line)
        os.chdir(folder)
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(name, os.O_CREAT | os.O_TRUNC | os.O_WRONLY), number)
        sys.argv = ["recipelang", *arguments]
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


def _slowness() -> float:
    """How many times longer than on a machine left alone a plain loop takes here; at least 1."""
    began = time.process_time()
    sum(i * i for i in range(2_000_000))
    return max(1.0, (time.process_time() - began) / QUIET)


@contextmanager
def commands() -> Iterator[Callable[..., Ended]]:
    """`recipelang` in a folder, with the arguments given, on so many files that are as large as they may be."""
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "NO_COLOR": "1", "PYTHONPATH": root, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    start = [sys.executable, "-c", SERVER]
    with subprocess.Popen(start, env=environment, **pipes) as server:

        def once(folder: Path, arguments: tuple[str, ...]) -> Ended:
            server.stdin.write(json.dumps([str(folder), *arguments]) + "\n")
            server.stdin.flush()
            return Ended(*json.loads(server.stdout.readline()), (folder / "err").read_text("utf-8"))

        def run(folder: Path, *arguments: str, files: int = 1) -> Ended:
            ended = once(folder, arguments)
            if ended.seconds < SECONDS * files:
                return ended
            # two processes on one core count each other's waits as their own, and a machine that is throttled takes
            # longer for anything: what is too slow is so twice, and beside a loop that is always the same
            again = min(ended, once(folder, arguments), key=lambda e: e.seconds)
            return replace(again, seconds=again.seconds / _slowness())

        yield run


def assert_bounded(ended: Ended, files: int = 1, status: int = 1) -> None:
    assert ended.status == status
    assert "Traceback" not in ended.err
    assert "internal" not in ended.err
    assert ended.seconds < SECONDS * files, f"{ended.seconds:.2f} s of work"
    assert ended.bytes < BYTES

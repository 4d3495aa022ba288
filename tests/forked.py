"""Processes forked from one that has imported what a run imports, which takes longer than what most tests do with it.

Each is told apart from others, signalled and killed as any process is. What is about starting one, or about a launcher,
uses `tests.cli.command.process` or the launcher.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import socket
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import forkserver
from multiprocessing.connection import Connection

from tests.cli.command import ROOT, environment

_START = multiprocessing.get_context("forkserver")
#: all that children have loaded when they have trained, on one process or on two; not there: they load it each
LOADED = (
    "transformers.models.bert.modeling_bert",
    "torch.nn.parallel",
    "torch.distributed.fsdp",
    "recipelang.engine.run",
    "recipelang.api.result",
    "recipelang.artifact.lock",
    "recipelang.cli.commands.run",
    "recipelang.cli.main",
    "recipelang.lint.every_rule",
    "recipelang.planning.resolve",
    "recipelang.report.run",
    "tests.distributed.program",
)
_START.set_forkserver_preload(list(LOADED))


class Forked:
    """What `subprocess.Popen` would be for it, as far as tests need that."""

    def __init__(self, program: str, arguments: tuple[str, ...], cwd: str, env: dict[str, str]) -> None:
        with contextlib.chdir(ROOT), _variables(OMP_NUM_THREADS="1"):
            forkserver.ensure_running()
        (out, to_out), (err, to_err) = (_START.Pipe(duplex=False) for _ in range(2))
        self._process = _START.Process(target=_run, args=(program, arguments, cwd, env, to_out, to_err))
        self._process.start()
        for end in (to_out, to_err):
            end.close()
        self.stdout, self.stderr = (os.fdopen(os.dup(end.fileno()), encoding="utf-8") for end in (out, err))
        assert self._process.pid is not None
        self.pid = self._process.pid

    def __enter__(self) -> Forked:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._process.join()
        self.stdout.close()
        self.stderr.close()

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self._process.kill()

    def communicate(self, timeout: float) -> tuple[str, str]:
        """All that it says from now to its end. What takes longer is killed."""
        late = threading.Timer(timeout, self.kill)
        late.start()
        try:
            with ThreadPoolExecutor() as readers:
                out, err = readers.map(lambda stream: stream.read(), (self.stdout, self.stderr))
            self._process.join()
        finally:
            late.cancel()
        return out, err


def forked(*arguments: object, program: str = "", cwd: object = ".", env: dict[str, str] | None = None) -> Forked:
    """`recipelang` with these arguments, or a program in Python, as `tests.cli.command.process` starts it."""
    command = program or "from recipelang.cli.main import main\nmain()"
    return Forked(command, tuple(map(str, arguments)), str(os.path.abspath(str(cwd))), env or environment())


@contextlib.contextmanager
def ranks(
    *arguments: object, program: str = "", cwd: object = ".", second: object | None = None
) -> Iterator[list[Forked]]:
    """The same twice, as the two processes of one run: what a launcher says to them, without a launcher.

    `second`: the working folder of the second one, if it has another.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    sizes = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    each = ({"RANK": str(n), "LOCAL_RANK": str(n)} for n in range(2))
    environments = [environment(**place, **sizes, **one) for one in each]
    with contextlib.ExitStack() as both:
        where = (cwd, second or cwd)
        start = [
            forked(*arguments, program=program, cwd=at, env=env) for at, env in zip(where, environments, strict=True)
        ]
        yield [both.enter_context(process) for process in start]


@contextlib.contextmanager
def _variables(**more: str) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(more)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _run(
    program: str, arguments: tuple[str, ...], cwd: str, env: dict[str, str], out: Connection, err: Connection
) -> None:
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    for connection, number in ((out, 1), (err, 2)):
        os.dup2(connection.fileno(), number)
        connection.close()
    sys.stdout, sys.stderr = (os.fdopen(n, "w", encoding="utf-8", closefd=False) for n in (1, 2))
    sys.argv = ["recipelang", *arguments]
    exec(compile(program, "<program>", "exec"), {"__name__": "__main__"})

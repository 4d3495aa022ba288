"""A run in a process of its own: what it does, how it is stopped, how it ends."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path

#: a run that says nothing for so long hangs
PATIENCE = 300.0

_START = multiprocessing.get_context("forkserver")
_START.set_forkserver_preload(["tests.faults.child"])


class Child:
    """`recipelang` with these arguments, in `folder`."""

    def __init__(self, folder: Path, *arguments: str, memory: int | None = None) -> None:
        from tests.faults import child

        self.notes, self.said = (folder / f".{what}-{time.monotonic_ns()}" for what in ("steps", "said"))
        self.notes.touch()
        self.most_memory = 0
        files = (str(self.notes), str(self.said))
        self.process = _START.Process(target=child.main, args=(*files, str(folder), memory, arguments))
        self.process.start()
        assert self.process.pid is not None
        self.pid = self.process.pid

    def wait_for(self, moment: Callable[[], bool], pause: float = 0.0005) -> bool:
        """Whether the moment came before the process ended."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            if moment():
                return True
            if self.process.exitcode is not None:
                return False
            time.sleep(pause)
        self.process.kill()
        raise TimeoutError(f"nothing happened for {PATIENCE:.0f} s")

    def steps(self) -> list[tuple[int, int]]:
        """`(stage, step)` of every step that was done."""
        lines = self.notes.read_text("ascii").splitlines()
        return [(int(a), int(b)) for a, b in (line.split() for line in lines)]

    def stop(self, *signals: int) -> None:
        for number in signals:
            if self.process.exitcode is None:
                os.kill(self.pid, number)

    def limit_files(self, size: int) -> None:
        """From now on no file grows beyond `size` bytes, as on a disk that has no more."""
        _, most = resource.prlimit(self.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (size, most))

    def watch_memory(self) -> bool:
        """Note the address space it takes; never a moment to wait for."""
        try:
            status = Path(f"/proc/{self.pid}/status").read_text("ascii")
        except OSError:
            return False
        peak = [line.split()[1] for line in status.splitlines() if line.startswith("VmPeak")]
        self.most_memory = max([self.most_memory, *(1024 * int(n) for n in peak)])
        return False

    def end(self) -> tuple[int, str]:
        """Exit code, or minus the signal, and all that it said. A traceback is a fault of ours."""
        self.process.join(PATIENCE)
        code = self.process.exitcode
        if code is None:
            self.process.kill()
            raise TimeoutError(f"no end in {PATIENCE:.0f} s")
        said = self.said.read_text("utf-8") if self.said.exists() else ""
        assert "Traceback" not in said, said
        return code, said


def name_of(code: int) -> str:
    """How a process ended: `exit 143`, `SIGKILL`."""
    return signal.Signals(-code).name if code < 0 else f"exit {code}"


def processor() -> str:
    about = Path("/proc/cpuinfo")
    lines = about.read_text("utf-8").splitlines() if about.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")

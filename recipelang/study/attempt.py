"""What a job of a cluster does: a run of a study, in a process of its own, which is told to stop before the job's time is up."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import Any

from recipelang.study.work import STOPPED, Work

#: how a run ends that did what it was told
_DONE = (0, 3)


class Attempt:
    """Called by submitit in the job. A job that begins again, whoever asked for that, resumes its run."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.process: subprocess.Popen[bytes] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"work": self.work, "process": None}

    def __call__(self) -> int:
        with self.work.open_log() as log:
            self.process = subprocess.Popen(
                self.work.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=_deaf,  # noqa: PLW1509 (nothing else runs here)
            )
            code = self.process.wait()
        if code not in (*_DONE, *STOPPED):
            raise RuntimeError(f"{self.work.name} ended with exit code {code}; its log is {self.work.log}")
        return code

    def checkpoint(self) -> object:
        """Asked for by submitit, in the handler of a signal, when the time is nearly up or others need the machine.

        `waitid` leaves the process to the call above, which this interrupts and whose lock it may not take.
        """
        from submitit.helpers import DelayedSubmission

        if self.process is not None and self.process.returncode is None:
            self.process.terminate()
            os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT)
        return DelayedSubmission(self)


def _deaf() -> None:
    """Slurm may signal every process of a job: the warning is for the one that started this, and would end it."""
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)

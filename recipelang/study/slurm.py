"""Runs of a study as jobs of Slurm, through submitit. What is submitted stays submitted: a study that is repeated finds it.

submitit hands the command to its job in a pickle, `jobs/ID_submitted.pkl`; nothing here reads one.
"""

from __future__ import annotations

import importlib
import io
import logging
import math
import os
import re
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any, Literal

from recipelang.engine.records import status_of
from recipelang.loading.read import read_params_files
from recipelang.source import RecipeError, fail
from recipelang.storage.writing import make_folder, write_json, writing
from recipelang.study.attempt import Attempt
from recipelang.study.launch import Ended, Started
from recipelang.study.notes import NoteForm, forget, note_of, read_note
from recipelang.study.work import STOPPED, Work

#: what a study sets for its jobs, each of which is one process
_OURS = (
    "array", "chdir", "error", "export-file", "job-name", "nodes", "ntasks", "ntasks-per-node", "open-mode", "output",
    "parsable", "signal", "test-only", "wait", "wrap",
)  # fmt: skip
#: seconds: between two looks at a job; between two at the queue; until a job that is nowhere is given up; until files
#: that another machine has written are seen
_PAUSE, _OFTEN, _GRACE, _LAG = 1.0, 30.0, 120.0, 15.0
#: the share of its time, and the most seconds, that a run has to write a checkpoint when its time is nearly up
_WARNING = (0.1, 300)
_HELP = "set it as `sbatch` takes it, such as `--slurm partition=gpu --slurm time=4:00:00`"
#: seconds of the parts of a time, by how many there are; first those behind days
_UNITS = ((3600, 60, 1), (60,), (60, 1), (3600, 60, 1))
#: how often a job may begin again because its time was up; each time its run has come further
_REQUEUES = 100
Options = Mapping[str, str | Literal[True]]


# ------------------------------------------------------------------------- options
def read_options(given: Sequence[str], files: Sequence[str]) -> Options:
    """`--slurm` over files of `set NAME = VALUE`; a name alone is an option without a value. E239."""
    found: dict[str, str | Literal[True]] = {}
    for name, value in read_params_files(files).items():
        found[_known(name)] = value.text.strip().strip('"') if value.text.strip() != "true" else True
    typed: dict[str, str | Literal[True]] = {}
    for option in given:
        name, equals, text = option.partition("=")
        name = _known(name)
        if name in typed:
            raise fail("E239", f"`--slurm {name}` is given twice", help="keep one of them")
        typed[name] = text.strip() if equals else True
    found |= typed
    for name, chosen in found.items():
        if chosen is not True and not (chosen and chosen.isprintable()):
            raise fail("E239", f"the Slurm option `{name}` has no usable value", help=_HELP)
    return found


def _known(name: str) -> str:
    name = name.strip().lstrip("-").replace("_", "-")
    if not re.fullmatch(r"[a-z][a-z0-9-]*", name):
        raise fail("E239", f"`{name[:60]}` is not an option of `sbatch`", help=_HELP)
    if name in _OURS:
        notes = ["a study sets it: every run is a job of one process, with a log of its own"]
        raise fail("E239", f"the Slurm option `{name}` cannot be set", notes=notes, help=f"remove `{name}`")
    return name


def minutes(text: str | Literal[True] | None) -> int:
    """Of a time as `sbatch` takes it, rounded up. E239.

    >>> [minutes(t) for t in ("90", "4:00:00", "30:01", "2-0", "1-12:30")]
    [90, 240, 31, 2880, 2190]
    """
    if text is None:
        raise fail(
            "E239", "a job of Slurm needs a time limit", help="add `--slurm time=4:00:00`, longer than a run takes"
        )
    days, dash, rest = text.rpartition("-") if text is not True else ("", "", "")
    parts = rest.split(":")
    if not all(re.fullmatch(r"\d{1,6}", p) for p in (*parts, *([days] if dash else []))) or len(parts) > 3:
        help = "write `time=MINUTES`, `time=HOURS:MINUTES:SECONDS` or `time=DAYS-HOURS:MINUTES`"
        raise fail("E239", f"`time={text}` is not a time limit of Slurm", help=help)
    numbers = [int(p) for p in parts]
    units = _UNITS[len(numbers) if not dash else 0]
    seconds = int(days or 0) * 86400 + sum(n * u for n, u in zip(numbers, units, strict=False))
    if not seconds:
        raise fail("E239", "a job of Slurm needs a time limit greater than zero", help="add `--slurm time=4:00:00`")
    return math.ceil(seconds / 60)


# ---------------------------------------------------------------------------- jobs
class Slurm:
    """`cluster`: of submitit; another than Slurm is for tests."""

    def __init__(self, out: Path, options: Options, jobs: int | None = None, cluster: str = "slurm") -> None:
        self.out, self.jobs = out.absolute(), jobs
        limit = minutes(options.get("time"))
        self.submitit = _submitit()
        if cluster == "slurm":
            _check_here()
        self.options = {
            "timeout_min": limit,
            "slurm_signal_delay_s": min(_WARNING[1], max(30, int(60 * limit * _WARNING[0]))),
            "slurm_additional_parameters": {n: v for n, v in options.items() if n != "time"},
        }
        self.folder = self.out / "jobs"
        self.cluster = cluster
        self.queue = Queue() if cluster == "slurm" else None

    def start(self, work: Work) -> Started:
        make_folder(self.folder, inside=self.out)
        with writing(self.folder):
            executor = self.submitit.AutoExecutor(self.folder, self.cluster, slurm_max_num_timeout=_REQUEUES)
        executor.update_parameters(name=work.name.replace("/", "-"), **self.options)
        try:
            with self.submitit.helpers.clean_env(), redirect_stderr(io.StringIO()):  # of a job that this may be
                job = executor.submit(Attempt(work.absolute()))
        except RuntimeError as error:  # of sbatch, with what it said
            raise _refused(str(error)) from None
        note = NoteForm(job=job.job_id, spec=work.spec)
        write_json(note_of(self.out, work.name), note.model_dump(), inside=self.out)
        return Job(job, work, self)

    def left(self, work: Work) -> Started | None:
        note = read_note(self.out, work.name)
        if note is None:
            return None
        if note.spec != work.spec:
            help = f"cancel it with `scancel {note.job}`, then add `--again {work.name}`"
            notes = ["the study, its recipe, its data or the command line has changed since it was submitted"]
            raise fail("E102", f"job {note.job} of `{work.name}` runs something else", notes=notes, help=help)
        kind = self.submitit.SlurmJob if self.cluster == "slurm" else self.submitit.LocalJob
        return Job(kind(folder=self.folder, job_id=note.job), work, self)


class Job:
    """One that was submitted, now or by an earlier study."""

    stays = True

    def __init__(self, handle: Any, work: Work, of: Slurm) -> None:
        self.handle, self.work, self.out, self.queue = handle, work, of.out, of.queue
        self.job = str(handle.job_id)
        self.where = f" as job {self.job}"
        self.looked = self.missing = self.over = -math.inf

    def ended(self) -> Ended | None:
        now = time.monotonic()
        if now - self.looked < _PAUSE:
            return None
        self.looked = now
        found = self._found(now)
        if found is not None:
            forget(self.out, self.work.name)
        return found

    def _found(self, now: float) -> Ended | None:
        status = status_of(self.work.folder)
        if self.handle.done():
            self.over = now if self.over == -math.inf else self.over
            if status not in ("finished", "failed", "interrupted") and now - self.over < _LAG:
                return None  # another machine has written it, perhaps, and it is not to be seen yet
            return Ended(STOPPED[1] if status == "interrupted" else None, self._how())
        if self.queue is None or self.queue.holds(self.job) is not False:
            self.missing = -math.inf
            return None
        self.missing = now if self.missing == -math.inf else self.missing
        if now - self.missing < _GRACE:
            return None
        return Ended(None, vanished=f"Slurm does not know job {self.job} any more")

    def _how(self) -> str:
        state = self.handle.state.upper().partition(" ")[0]
        how = "without a result" if state in ("UNKNOWN", "COMPLETED", "RUNNING", "FINISHED") else f"as {state}"
        return f"job {self.job} ended {how}; Slurm's log is {self.handle.paths.stderr}"

    def signal(self, number: int) -> None:
        """It stays: repeating the command of the study finds it again."""


class Queue:
    """What `squeue` lists of this user. Jobs of the last minutes are in it, however they ended."""

    def __init__(self) -> None:
        self.jobs: frozenset[str] | None = None
        self.looked = -math.inf

    def holds(self, job: str) -> bool | None:
        """None where it cannot be said."""
        if time.monotonic() - self.looked >= _OFTEN:
            self.jobs, self.looked = _listed(), time.monotonic()
        return None if self.jobs is None else job in self.jobs


def _listed() -> frozenset[str] | None:
    words = ["squeue", "--noheader", "--user", str(os.getuid()), "--states", "all", "--format", "%i"]
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return frozenset(done.stdout.split()) if done.returncode == 0 else None


def cancel(out: Path, name: str, folder: Path) -> None:
    """The job of a run whose results are not wanted any more, if there is one."""
    note = read_note(out, name)
    if note is None:
        return
    if status_of(folder) != "finished":
        if shutil.which("scancel") is None:
            raise _not_here("scancel")
        subprocess.run(["scancel", note.job], stdin=subprocess.DEVNULL, capture_output=True)
    forget(out, name)


# ---------------------------------------------------------------------- what is here
def _submitit() -> Any:
    try:
        found = importlib.import_module("submitit")
    except ImportError:
        message = "`study --launcher slurm` needs the package `submitit`"
        raise fail("E144", message, help="`pip install 'recipelang[slurm]'`") from None
    logger = logging.getLogger("submitit")  # it writes to the screen of the study
    logger.handlers.clear()
    logger.propagate = False
    return found


def _check_here() -> None:
    for name in ("sbatch", "srun", "sacct"):
        if shutil.which(name) is None:
            raise _not_here(name)


def _not_here(name: str) -> RecipeError:
    help = "start the study on a login node of the cluster, or use another launcher (`--launcher COMMAND`)"
    return fail("E237", f"the command `{name}` of Slurm is not on this machine", help=help)


def _refused(said: str) -> RecipeError:
    lines = [line.strip() for line in said.splitlines() if re.match(r"\s*sbatch: ", line)] or said.splitlines()[-1:]
    help = "correct the options (`--slurm`), or ask those who run the cluster"
    return fail("E240", "`sbatch` refuses the job", notes=[line[:200] for line in lines[-4:]], help=help)

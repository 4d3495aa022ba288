"""The runs of a study, each a process of its own, here or elsewhere: one that dies is told of, and the others go on."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Protocol

from recipelang.engine.files import is_taken
from recipelang.engine.interrupt import answered
from recipelang.engine.leavings import remove_run
from recipelang.source import Diagnostics, RecipeError
from recipelang.storage.reading import MAX_RECORD, Unreadable, read_bytes
from recipelang.storage.writing import make_folder, remove, remove_folder, write_text, writing
from recipelang.study.launch import Elsewhere, Ended, Launcher, Local, Started
from recipelang.study.results import Outcome, folder_of, log_of, outcome
from recipelang.study.variants import Variant
from recipelang.study.work import STOPPED, Work


class News(Protocol):
    """Where the news of a study goes. Nothing is printed here."""

    def started(self, variant: Variant, how: str) -> None:
        """`how`: what it does, such as `starts on GPU 1`."""

    def ended(self, outcome: Outcome) -> None: ...


@dataclass
class _Running:
    variant: Variant
    work: Work
    started: Started


@dataclass
class Ran:
    """What came of it: by name, the outcomes of what ended, and the others, which go on; the signal, if one came."""

    ended: dict[str, Outcome] = field(default_factory=dict)
    left: dict[str, Started] = field(default_factory=dict)
    stopped: int | None = None
    found: Diagnostics = field(default_factory=Diagnostics)


class Stop:
    """The first signal is passed on once, so that every run writes its checkpoint; the second ends them at once."""

    def __init__(self) -> None:
        self.received: int | None = None
        self.running: list[_Running] = []
        self._before: dict[int, object] = {}

    def __enter__(self) -> Stop:
        self._before = {s: signal.signal(s, self._note) for s in answered()}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = self.received or number
        for run in self.running:
            run.started.signal(number)


def recipe_of(out: Path, variant: Variant) -> Path:
    return out / "recipes" / f"{variant.name}.recipe"


def work_of(out: Path, variant: Variant) -> Work:
    paths = folder_of(out, variant), recipe_of(out, variant), log_of(out, variant)
    return Work(variant.name, *paths, out, variant.plan.rehearsal, variant.plan.spec_digest)


def run_all(
    out: Path,
    variants: Sequence[Variant],
    news: News,
    *,
    launcher: Launcher | None = None,
    drop_weights: bool = False,
) -> Ran:
    """Run what is not finished, here unless a launcher is given."""
    launcher = launcher or Local()
    todo = [v for v in variants if outcome(out, v).status != "finished"]
    most = len(todo) if launcher.jobs is None else launcher.jobs
    ran = Ran()
    with Stop() as stop:
        while (todo and stop.received is None) or stop.running:
            while todo and stop.received is None and len(stop.running) < most:
                try:
                    stop.running.append(_start(out, todo.pop(0), news, launcher))
                except RecipeError as error:
                    if not stop.running:
                        raise
                    ran.found.extend(error.diagnostics)  # what is on its way goes on; the rest could not start either
                    todo.clear()
            for run in list(stop.running):
                if stop.received is not None and run.started.stays:
                    stop.running.remove(run)
                    ran.left[run.variant.name] = run.started
                elif (ended := run.started.ended()) is not None:
                    stop.running.remove(run)
                    if isinstance(run.started, Elsewhere) and outcome(out, run.variant).status != "finished":
                        todo.insert(0, run.variant)
                        continue
                    if stop.received is None and (left := _goes_on(out, run)):
                        stop.running.extend(left)
                        continue
                    found = _outcome(out, run, ended, ran.found)
                    if drop_weights and found.status == "finished":
                        _drop(folder_of(out, run.variant))
                    ran.ended[run.variant.name] = found
                    news.ended(found)
            time.sleep(0.1)
        ran.stopped = stop.received
        return ran


def _start(out: Path, variant: Variant, news: News, launcher: Launcher) -> _Running:
    work = work_of(out, variant)
    if left := launcher.left(work):
        news.started(variant, f"goes on{left.where}")
        return _Running(variant, work, left)
    with writing(work.recipe):
        for path in (work.folder, work.recipe, work.log):
            make_folder(path.parent, inside=out)
        if not work.begun:  # a run that was cut before it had a plan left nothing worth keeping
            remove_run(work.folder)
        write_text(work.recipe, variant.text, inside=out)
    how = "resumes" if work.begun else "starts"
    started = launcher.start(work)
    news.started(variant, f"{how}{started.where}")
    return _Running(variant, work, started)


def _goes_on(out: Path, run: _Running) -> list[_Running]:
    """The same run, where what ended was not it: whoever holds its folder goes on with it."""
    if outcome(out, run.variant).status == "finished" or not is_taken(run.work.folder):
        return []
    return [_Running(run.variant, run.work, Elsewhere(run.work))]


def _drop(folder: Path) -> None:
    """Weights of the run and of its stages."""
    for path in folder.glob("*.safetensors"):
        remove(path, inside=folder)
    remove_folder(folder / "stages", inside=folder)


def _outcome(out: Path, run: _Running, ended: Ended, told: Diagnostics) -> Outcome:
    found = outcome(out, run.variant)
    if found.status == "finished" or ended.code in STOPPED:
        return found
    error = found.error or _last_error(run.work.log)
    if not error and (ended.vanished or ended.code == 0):
        error = f"E241: {_vanished(run.work, ended, told)}"
    return Outcome(run.variant, "failed", {}, error=error or ended.why or _how(ended.code))


def _vanished(work: Work, ended: Ended, told: Diagnostics) -> str:
    """E241, and its headline."""
    message = f"`{work.name}` ended without a result"
    why = ended.vanished or "the command of the launcher ended with exit code 0, and there is no run in its folder"
    way_out = "repeat the command to start it again"
    if not ended.vanished:
        way_out = "give a command that waits for the end of its run, such as `sbatch --wait` or `qsub -sync y`"
    told.say("E241", message, notes=(why, f"its log is {work.log}"), help=way_out)
    return message


def _how(code: int | None) -> str:
    if code is None:
        return "ended without a result"
    return f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def _last_error(log: Path) -> str:
    """The headline of the last error on a run's screen."""
    try:
        text = read_bytes(log, MAX_RECORD).decode("utf-8", "replace")
    except Unreadable:
        return ""
    found = re.findall(r"^error\[(\w+)\]: (.*)$", text, re.MULTILINE)
    return ": ".join(found[-1]) if found else ""

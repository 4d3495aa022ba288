"""The runs of a study, each in a process of its own: one that dies is told of, and the others go on."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO, Protocol

from recipelang.engine.interrupt import answered
from recipelang.engine.leavings import remove_run
from recipelang.storage.reading import MAX_RECORD, Unreadable, read_bytes
from recipelang.storage.writing import make_folder, open_to_append, remove, remove_folder, write_text, writing
from recipelang.study.results import Outcome, folder_of, outcome
from recipelang.study.variants import Variant

#: how a run ends that did what it was told, and one that was stopped and can go on
DONE, STOPPED = (0, 3), (130, 143)


class News(Protocol):
    """Where the news of a study goes. Nothing is printed here."""

    def started(self, variant: Variant, resumed: bool) -> None: ...

    def ended(self, outcome: Outcome) -> None: ...


@dataclass
class _Running:
    variant: Variant
    process: subprocess.Popen[bytes]
    log: IO[bytes]


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
            run.process.send_signal(number)


def log_of(out: Path, variant: Variant) -> Path:
    return out / "logs" / f"{variant.name}.log"


def recipe_of(out: Path, variant: Variant) -> Path:
    return out / "recipes" / f"{variant.name}.recipe"


def run_all(
    out: Path,
    variants: Sequence[Variant],
    news: News,
    *,
    jobs: int = 1,
    drop_weights: bool = False,
) -> tuple[dict[str, Outcome], int | None]:
    """Run what is not finished; the outcomes of these by name, and the signal that stopped it, if one did."""
    todo = [v for v in variants if outcome(out, v).status != "finished"]
    ended: dict[str, Outcome] = {}
    with Stop() as stop:
        while (todo and stop.received is None) or stop.running:
            while todo and stop.received is None and len(stop.running) < jobs:
                stop.running.append(_start(out, todo.pop(0), news, jobs))
            for run in [r for r in stop.running if r.process.poll() is not None]:
                stop.running.remove(run)
                run.log.close()
                found = _outcome(out, run)
                if drop_weights and found.status == "finished":
                    _drop(folder_of(out, run.variant))
                ended[run.variant.name] = found
                news.ended(found)
            time.sleep(0.1)
        return ended, stop.received


def _start(out: Path, variant: Variant, news: News, jobs: int) -> _Running:
    folder, recipe, log = folder_of(out, variant), recipe_of(out, variant), log_of(out, variant)
    with writing(recipe):
        for path in (folder, recipe, log):
            make_folder(path.parent, inside=out)
        resumed = (folder / "recipe" / "plan.json").is_file()
        if not resumed:  # a run that was cut before it had a plan left nothing worth keeping
            remove_run(folder)
        write_text(recipe, variant.text, inside=out)
        to = open_to_append(log, inside=out, anew=not resumed)
    first = variant.plan.rehearsal
    steps = ["--steps", str(first)] if first else []
    words = ["resume", str(folder)] if resumed else ["run", str(recipe), "-o", str(folder), *steps]
    news.started(variant, resumed)
    process = subprocess.Popen(
        [sys.executable, "-m", "recipelang", *words],
        stdin=subprocess.DEVNULL,
        stdout=to,
        stderr=subprocess.STDOUT,
        env=_environment(jobs),
        start_new_session=True,  # Ctrl-C reaches it through this process, once
    )
    return _Running(variant, process, to)


def _drop(folder: Path) -> None:
    """Weights of the run and of its stages."""
    for path in folder.glob("*.safetensors"):
        remove(path, inside=folder)
    remove_folder(folder / "stages", inside=folder)


def _environment(jobs: int) -> dict[str, str]:
    """Several runs at once share the cores, unless somebody has said how."""
    env = dict(os.environ)
    if jobs > 1:
        env.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // jobs)))
    return env


def _outcome(out: Path, run: _Running) -> Outcome:
    found = outcome(out, run.variant)
    code = run.process.returncode
    if code in DONE or code in STOPPED or found.status == "finished":
        return found
    why = found.error or _last_error(log_of(out, run.variant)) or _how(code)
    return Outcome(run.variant, "failed", {}, error=why)


def _how(code: int) -> str:
    return f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def _last_error(log: Path) -> str:
    """The headline of the last error on a run's screen."""
    try:
        text = read_bytes(log, MAX_RECORD).decode("utf-8", "replace")
    except Unreadable:
        return ""
    found = re.findall(r"^error\[(\w+)\]: (.*)$", text, re.MULTILINE)
    return ": ".join(found[-1]) if found else ""

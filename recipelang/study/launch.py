"""How the runs of a study are started: as processes of this machine, or by a command of the user's; `slurm.py`: by Slurm."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from recipelang.engine.files import is_taken
from recipelang.source import fail
from recipelang.source.suggest import closest
from recipelang.study.devices import VISIBLE, Shared, devices
from recipelang.study.notes import read_note
from recipelang.study.work import Work

#: what of a template stands for all that is typed for a run, and of these what has to be an argument of its own
_WHOLE, _ALONE = ("command", "arguments", "line"), ("command", "arguments")
_OTHERS = ("name", "folder", "log")
#: seconds between two looks at a lock that another process holds
_PATIENCE = 1.0


@dataclass(frozen=True)
class Ended:
    """`code`: of the process, where it is known. `vanished`: what is known of a job that came to no end."""

    code: int | None
    why: str = ""
    vanished: str = ""


class Started(Protocol):
    """A run on its way. `stays`: it goes on when the study is stopped. `where`: in words, such as ` on GPU 1`; `job`: of
    a cluster, if it is one's."""

    stays: bool
    where: str
    job: str

    def ended(self) -> Ended | None:
        """None while it has not."""

    def signal(self, number: int) -> None: ...


class Launcher(Protocol):
    """`jobs`: how many runs may be on their way; None: all of them."""

    jobs: int | None

    def start(self, work: Work) -> Started:
        """RecipeError where it cannot be started, nor could others."""

    def left(self, work: Work) -> Started | None:
        """What an earlier study started, and which is still on its way."""


class Process:
    """A process of this machine."""

    stays, job = False, ""

    def __init__(
        self,
        words: list[str],
        work: Work,
        env: dict[str, str] | None = None,
        device: str = "",
        returned: Callable[[str], None] = lambda device: None,
    ) -> None:
        self.device, self.returned = device, returned
        self.where = f" on GPU {device}" if device else ""
        self.log = work.open_log()
        self.process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            env=env,
            start_new_session=True,  # Ctrl-C reaches it through this process, once
        )

    def ended(self) -> Ended | None:
        if self.process.poll() is None:
            return None
        self.log.close()
        self.returned(self.device)
        return Ended(self.process.returncode)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)


class Elsewhere:
    """A run whose folder another process holds: of an earlier study that was killed, or on another machine."""

    stays, where, job = True, " in another process", ""

    def __init__(self, work: Work) -> None:
        self.folder = work.folder
        self.looked = time.monotonic()

    def ended(self) -> Ended | None:
        if time.monotonic() - self.looked < _PATIENCE:
            return None
        self.looked = time.monotonic()
        return None if is_taken(self.folder) else Ended(None)

    def signal(self, number: int) -> None:
        pass


def _left(work: Work) -> Started | None:
    """E085 for a run that is a job of a cluster, which another launcher started."""
    if note := read_note(work.out, work.name):
        help = f"add `--launcher slurm` to wait for it, or `--again {work.name}` to cancel it"
        raise fail("E085", f"`{work.name}` was submitted to Slurm as job {note.job}", help=help)
    return Elsewhere(work) if is_taken(work.folder) else None


class Local:
    """Processes of the ordinary command here. They share the cores, and each has one of several GPUs."""

    def __init__(self, jobs: int | None = None) -> None:
        names = devices()
        self.shared = Shared(names)
        self.jobs: int | None = jobs or max(1, len(names))

    def start(self, work: Work) -> Started:
        env = dict(os.environ)
        if self.jobs and self.jobs > 1:  # unless somebody has said how
            env.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // self.jobs)))
        device = self.shared.take()
        if device:
            env[VISIBLE] = device
        return Process(work.command(), work, env, device, self.shared.give_back)

    def left(self, work: Work) -> Started | None:
        return _left(work)


class Template:
    """A command of the user's that starts a run somewhere, waits for its end, and ends with its exit code."""

    def __init__(self, text: str, jobs: int | None = None) -> None:
        self.words = _words(text)
        self.jobs: int | None = jobs or 1

    def start(self, work: Work) -> Started:
        return Process(filled(self.words, work.absolute()), work)

    def left(self, work: Work) -> Started | None:
        return _left(work)


def _words(text: str) -> list[str]:
    """The arguments of a template, as a shell splits a line without evaluating anything. E238."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        why = f"{str(error)[0].lower()}{str(error)[1:]}"
        raise fail("E238", "this launcher cannot be split into arguments", notes=[why], help=_HELP) from None
    used = [name for word in words for name in re.findall(r"\{(\w*)\}", word)]
    for name in used:
        if name not in (*_WHOLE, *_OTHERS):
            near = closest(name, {*_WHOLE, *_OTHERS})
            help = f"did you mean `{{{near}}}`?" if near else _HELP
            notes = [f"known are {', '.join(f'`{{{n}}}`' for n in (*_WHOLE, *_OTHERS))}"]
            raise fail("E238", f"`{{{name}}}` is not a placeholder of a launcher", notes=notes, help=help)
    whole = [name for name in used if name in _WHOLE]
    if len(whole) != 1:
        what = "lacks the command of a run" if not whole else "has the command of a run more than once"
        raise fail("E238", f"this launcher {what}", notes=[f"`{text[:200]}`"], help=_HELP)
    for name in _ALONE:
        if name in whole and f"{{{name}}}" not in words:
            help = "separate it by spaces, or write `{line}`, which is a single argument quoted for a shell"
            raise fail("E238", f"`{{{name}}}` has to be an argument of its own", notes=[f"`{text[:200]}`"], help=help)
    if shutil.which(words[0]) is None:
        raise fail("E238", f"the launcher `{words[0][:80]}` is not a command of this machine", help=_HELP)
    return words


_HELP = "write `slurm`, or a command such as `srun --gpus=1 {command}`"


def filled(words: list[str], work: Work) -> list[str]:
    """A template's arguments for a run. What is filled in is split no more.

    >>> from pathlib import Path
    >>> work = Work("a/run", Path("f"), Path("r"), Path("l"), Path("o"))
    >>> filled(["ssh", "gpu1", "--name={name}", "recipelang", "{arguments}"], work)
    ['ssh', 'gpu1', '--name=a-run', 'recipelang', 'run', 'r', '-o', 'f']
    """
    values = {
        "line": shlex.join(work.command()),
        "name": work.name.replace("/", "-"),
        "folder": str(work.folder),
        "log": str(work.log),
    }
    made: list[str] = []
    for word in words:
        if word == "{command}":
            made += work.command()
        elif word == "{arguments}":
            made += work.arguments()
        else:
            made.append(re.sub(r"\{(line|name|folder|log)\}", lambda found: values[found[1]], word))
    return made

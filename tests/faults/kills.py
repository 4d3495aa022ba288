"""Kills at random moments of a run, each resumed, until the weights are there: the same bytes as of a run in peace."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.faults.process import Child, name_of
from tests.faults.runs import EVERY, RECIPES, Runs, at


@dataclass(frozen=True)
class Kill:
    moment: str
    sent: str
    ended: str
    reached: int
    lost: int


#: moment -> how often it is drawn
MOMENTS = {"starting": 1, "training": 5, "writing a checkpoint": 3, "between two stages": 1, "exporting": 1}
SIGNALS = {"SIGKILL": (signal.SIGKILL,), "SIGTERM": (signal.SIGTERM,), "SIGTERM twice": (signal.SIGTERM,) * 2}


def kills(runs: Runs, wanted: int, seed: int, tell: Callable[[str], None]) -> Iterator[Kill]:
    """Runs of both recipes by turns, each killed three to six times; every run must end with the same bytes."""
    chance, done, number = random.Random(seed), 0, 0
    while done < wanted:
        name, out = list(RECIPES)[number % len(RECIPES)], f"killed-{number}"
        left, number = min(chance.randint(3, 6), wanted - done), number + 1
        for kill in _one_run(runs, name, out, left, chance):
            done += 1
            tell(f"{done:3} {kill.sent} while {kill.moment}: {kill.ended} after step {kill.reached}, {kill.lost} lost")
            yield kill
        assert runs.same(name, out), f"{out} has other weights than a run in peace"
        tell(f"    {out} ({name}): the same bytes")


def _one_run(runs: Runs, name: str, out: str, left: int, chance: random.Random) -> Iterator[Kill]:
    reached = 0
    while True:
        started = (runs.folder / out / "recipe" / "effective.recipe").exists()
        child = Child(runs.folder, *(("resume", out) if started else ("run", f"{name}.recipe", "-o", out)))
        moment = chance.choices(list(MOMENTS), list(MOMENTS.values()))[0] if left else ""
        sent = chance.choice(list(SIGNALS))
        if left and child.wait_for(_moment(moment, child, runs, out, chance)):
            child.stop(*SIGNALS[sent])
        code, said = child.end()
        reached = max([reached, *(at(*step) for step in child.steps())])
        if code == 0:
            return
        assert left, said
        assert code in (-signal.SIGKILL, -signal.SIGTERM, 128 + signal.SIGTERM), said
        left -= 1
        yield Kill(moment, sent, name_of(code), reached, reached - runs.position(out))


def _moment(moment: str, child: Child, runs: Runs, out: str, chance: random.Random) -> Callable[[], bool]:
    """True from then on."""
    folder = runs.folder / out
    match moment:
        case "starting":
            until = time.monotonic() + chance.uniform(0, 4)
            return lambda: time.monotonic() > until
        case "training":
            steps = chance.randint(1, 30)
            return lambda: child.notes.stat().st_size > 5 * steps
        case "writing a checkpoint":
            skipped = chance.randint(0, 2) * EVERY
            return lambda: (
                child.notes.stat().st_size > 5 * skipped and any(folder.glob("checkpoints/.stage-*.tmp/manifest.json"))
                if skipped % 2
                else any(folder.glob("checkpoints/.stage-*.tmp"))
            )
        case "between two stages":
            return lambda: any(folder.glob("stages/.dense*")) or any(folder.glob("checkpoints/stage-01-step-00000000"))
    return lambda: any(folder.glob(".export*")) or (folder / "export").exists()

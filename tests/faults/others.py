"""Faults that are not kills: a damaged checkpoint, no room, a loss that is not finite, too little memory."""

from __future__ import annotations

import random
import re
import signal
from dataclasses import dataclass

from tests.conftest import make_model
from tests.faults.process import Child
from tests.faults.runs import Runs


@dataclass(frozen=True)
class Fault:
    what: str
    told: str
    then: str


def flipped_byte(runs: Runs, file: str, chance: random.Random) -> Fault:
    """One byte of the newest checkpoint changes: it is named and passed over."""
    out = f"flipped-{file}"
    child = Child(runs.folder, "run", "magnitude.recipe", "-o", out)
    assert child.wait_for(lambda: len(runs.checkpoints(out)) > 1)
    child.stop(signal.SIGKILL)
    child.end()
    newest = runs.checkpoints(out)[0]
    data = bytearray((newest / file).read_bytes())
    place = chance.randrange(len(data))
    data[place] ^= 1
    (newest / file).write_bytes(data)
    code, said = Child(runs.folder, "resume", out).end()
    told = re.search(rf"the checkpoint `{newest.name}` is damaged, so the one before it\s+is used", said)
    assert (code, bool(told)) == (0, True), said
    assert runs.same("magnitude", out)
    return Fault(
        f"byte {place:,} of {len(data):,} of `{file}` flipped", "damaged; the one before it is used", "same bytes"
    )


def no_room(runs: Runs, chance: random.Random) -> Fault:
    """No file may grow any more, from a random step on."""
    out, steps = "no-room", chance.randint(10, 60)
    child = Child(runs.folder, "run", "magnitude.recipe", "-o", out)
    assert child.wait_for(lambda: len(child.steps()) >= steps)
    child.limit_files(20_000)
    code, said = child.end()
    assert (code, "error[E084]" in said) == (1, True), said
    assert not (runs.folder / out / "model.safetensors").exists()
    reached, kept = len(child.steps()), runs.position(out)
    code, said = Child(runs.folder, "resume", out).end()
    assert code == 0, said
    assert runs.same("magnitude", out)
    return Fault(f"no file may grow from step {reached} on", f"E084, exit 1; step {kept} is kept", "same bytes")


def not_finite(runs: Runs, chance: random.Random) -> Fault:
    """A learning rate that explodes at step k of the second stage."""
    k, out = chance.randint(20, 60), "not-finite"
    text = (runs.folder / "magnitude.recipe").read_text("utf-8")
    old = "linear(1e-3 -> 1e-4, over = start..end, rewind = 4 epochs)"
    assert old in text
    (runs.folder / "explodes.recipe").write_text(text.replace(old, f"step(1e-3 -> 1e30, at = {k} steps)"), "utf-8")
    code, said = Child(runs.folder, "run", "explodes.recipe", "-o", out).end()
    found = re.search(
        r"error\[E082\]: (?:the loss is (?:nan|inf)|the norm \S+ .*?) at step (\d+) of stage `sparse`", said
    )
    assert code == 1 and found, said
    assert int(found[1]) == k + 1, said  # the step at k moves the weights, the next one sees what came of it
    newest = runs.checkpoints(out)[0]
    assert f"the last good checkpoint is `{newest.name}`" in said
    return Fault(f"a learning rate of 1e30 at step {k}", f"E082 at step {found[1]}, exit 1", f"`{newest.name}` is kept")


def no_memory(runs: Runs) -> Fault:
    """The same machine without the memory for a wide layer's activations: told with a `micro_batch` to try."""
    wide = 1 << 17
    make_model(runs.folder / "wide", layers=1, intermediate=wide)
    text = (runs.folder / "movement.recipe").read_text("utf-8").replace('base = "model"', 'base = "wide"')
    text = text.replace("batch = 8", "batch = 44").replace("  micro_batch = 4\n", "")
    for name, micro in (("many", ""), ("few", "\n  micro_batch = 2")):
        (runs.folder / f"{name}.recipe").write_text(text.replace("batch = 44", f"batch = 44{micro}"), "utf-8")
    many = ("run", "many.recipe", "--overwrite", "--steps", "2", "-o", "memory")
    in_peace = Child(runs.folder, *many)
    in_peace.wait_for(in_peace.watch_memory, 0.02)
    assert in_peace.end()[0] == 0
    # libraries reserve address space that they do not use: what a step takes is seen by one, not computed
    limit = in_peace.most_memory - 44 * 16 * wide * 4 // 2
    code, said = Child(runs.folder, *many, memory=limit).end()
    assert (code, "error[E081]" in said) == (1, True), said
    assert re.search("set `micro_batch` of stage `\w+` below 44", said), said
    few = ("run", "few.recipe", "--overwrite", "--steps", "2", "-o", "memory")
    code, said = Child(runs.folder, *few, memory=limit).end()
    assert code == 0, said
    return Fault(f"{limit / 2**30:.1f} GiB of address space", "E081, exit 1: set `micro_batch` below 44", "2 fits")

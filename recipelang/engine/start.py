"""Before a run: what several processes must agree on, and the folder that it writes into."""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from recipelang import processes
from recipelang.engine.environment import chosen_device, refuse_other_engines
from recipelang.engine.leavings import check_only_a_run, remove_run
from recipelang.engine.records import RECORD, status_of
from recipelang.planning.similarity import compares_batches
from recipelang.planning.types import Plan
from recipelang.source import RecipeError, fail
from recipelang.source.names import is_text, not_utf8
from recipelang.storage.writing import fill, is_part, new_folder, remove, sweep, write_bytes, writing

#: seconds until a file system that several machines share has shown them what one has written
_PATIENCE = 15.0


def _is_begun(name: str) -> bool:
    """What is left of a run that was killed before it had its recipe."""
    return name == ".lock" or is_part(name)


def may_take(out: Path, plan: Plan, overwrite: bool) -> None:
    """E085 unless a run may begin in a folder, as it is now."""
    if not is_text(str(out.absolute())):
        raise not_utf8(str(out.absolute()))
    with writing(out):
        if out.exists() and (not out.is_dir() or any(not _is_begun(p.name) for p in out.iterdir())):
            _may_replace(out, plan, overwrite)


def fill_folder(
    out: Path, plan: Plan, effective: str, *, overwrite: bool, carried: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Put the recipe and the plan into a folder, for one who holds its lock; it is emptied and stays the same one.

    `carried`: more of the recipe to keep, by its path in the folder `recipe`. E085 when the folder is taken, E167.
    """
    may_take(out, plan, overwrite)
    with writing(out):
        remove_run(out)
        sweep(out)
    kept = {"effective.recipe": effective, "plan.json": plan.model_dump_json(indent=1) + "\n", **carried}
    with new_folder(out / "recipe", inside=out) as part:  # all or none: what `resume` needs, what tells a run of ours
        fill(part, {name: text.encode("utf-8", "surrogatepass") for name, text in kept.items()})


def _may_replace(out: Path, plan: Plan, overwrite: bool) -> None:
    """Only a run of ours, only when asked to, and never what the new run reads."""
    if not (out / RECORD).is_file() and not (out / "recipe" / "plan.json").is_file():
        what = "is not empty and holds no run" if out.is_dir() else "is a file"
        raise fail("E085", f"`{out}` {what}", help="choose another folder with `-o`")
    if not overwrite:
        finished = status_of(out) == "finished"
        help = "use `--overwrite` to replace it" + (
            "" if finished else f", or `recipelang resume {out}` to continue it"
        )
        raise fail("E085", f"`{out}` already holds a run", help=help)
    check_only_a_run(out)
    teachers = [d.teacher for s in plan.stages for d in s.distills]
    splits = [s.reference for d in plan.data for s in d.splits.values()]
    inputs = [r for r in (plan.model.path, *teachers, *splits) if Path(r).is_absolute()]
    inside = [r for r in inputs if Path(r).is_relative_to(out.resolve())]
    if inside:
        raise fail(
            "E085",
            f"`{out}` holds files that this run reads",
            notes=[f"the recipe names {inside[0]}"],
            help="choose another folder with `-o`",
        )


def may_start(plan: Plan, shard: bool = False) -> None:
    """What several processes must agree on before one of them writes. E055, E077, E088, E193."""
    if shard and processes.world() == 1:
        help = "start it as `torchrun --nproc-per-node 2 -m recipelang run ... --shard`, or remove `--shard`"
        raise fail("E088", "sharding needs several processes; this run has one", help=help)
    if not shard and os.environ.get("ACCELERATE_USE_FSDP") == "true":
        help = "add `--shard` to `recipelang run`; without FSDP every process holds a full copy"
        raise fail("E088", "`accelerate` requests FSDP, but this run would replicate the model", help=help)
    refuse_other_engines()
    chosen_device()  # before a folder is taken for a run that cannot begin
    for stage in plan.stages:
        if stage.batch < processes.world():
            notes = [f"stage `{stage.name}` has batches of {stage.batch}, there are {processes.world()} processes"]
            help = f"start at most {stage.batch} processes, or raise `batch`"
            raise fail("E077", "a batch has fewer examples than the run has processes", notes=notes, help=help)
        if (stage.steps or shard) and processes.world() > 1 and compares_batches(plan, stage):
            notes = [f"stage `{stage.name}` compares each text with all pairs of its batch"]
            help = "start one process, or train on pairs with a score"
            raise fail("E055", "this release cannot divide such a batch among processes", notes=notes, help=help)
        whole = any(t.kind == "squarehead" for d in stage.distills for t in d.terms)
        if whole and processes.world() > 1:
            notes = [f"stage `{stage.name}` divides a sum over the batch by another"]
            help = "start one process, or match `hidden`, which is a mean over items: `hidden(0..-1)`"
            raise fail("E271", "`squarehead` needs the whole batch in one process", notes=notes, help=help)
        inner = next((t.kind for d in stage.distills for t in d.terms if t.kind != "output"), None)
        if (
            shard and inner and plan.model.pooling
        ):  # what records them is found by the class of the model, which shards change
            help = "give every process a full copy: remove `--shard`; or match `embeddings` only"
            raise fail("E055", f"this release cannot match `{inner}` of sharded embedding models", help=help)
    seen = (plan.behaviour_digest, plan.model.digest, [(d.items, d.examples) for d in plan.data])
    if any(other != seen for other in processes.each(seen)):
        help = "give every process the same recipe, model and data"
        raise fail("E088", "the processes of this run have different inputs", help=help)


def check_shared(out: Path) -> None:
    """E242 unless every process sees the folder that the first one writes to, by a file that it puts there for a moment."""
    mark = out / f".seen.{processes.first(secrets.token_hex(8))}.tmp"  # swept, should this process end now
    if processes.main():
        write_bytes(mark, b"", inside=out)
    processes.wait()
    try:
        seen = processes.each((_appears(mark), socket.gethostname()))
    finally:
        if processes.main():
            remove(mark, inside=out)
    if not all(sees for sees, _ in seen):
        raise unshared(out, seen)


def unshared(out: Path, seen: Sequence[tuple[bool, str]]) -> RecipeError:
    """`seen`: of every process, whether it sees the folder, and the machine that it is on."""
    lost = [f"process {rank} on {host}" for rank, (sees, host) in enumerate(seen) if not sees]
    notes = [f"not seen by {', '.join(lost[:6])}{f' and {len(lost) - 6:,} more' * (len(lost) > 6)}"]
    help = "use a folder on a file system that all machines share, under the same path everywhere"
    return fail("E242", f"not every process of this run sees `{out}`", notes=notes, help=help)


def _appears(path: Path) -> bool:
    """Whether a file is there, now or soon: a shared file system may tell of it late. A listing asks anew."""
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            if path.name in os.listdir(path.parent):
                return True
        except OSError:
            pass
        if time.monotonic() > until:
            return False
        time.sleep(0.1)

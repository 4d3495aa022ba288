"""`recipelang.run`: a recipe from its text to the written model."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from recipelang.loading.locking import Settled, beside, check_new, hold, settle
from recipelang.loading.read import NOTHING, Around, name_of
from recipelang.source import Diagnostics, RecipeError, Source, fail
from recipelang.source.errors import at_label
from recipelang.spec.recipe import Checked, Recipe

if TYPE_CHECKING:
    from recipelang.api.result import Result
    from recipelang.engine.records import Reporter
    from recipelang.planning.tracking import Tracking
    from recipelang.planning.types import Plan


def run(
    recipe: str | Path | Source,
    out: str | Path | None = None,
    *,
    params: Mapping[str, object] | None = None,
    overlays: Sequence[str | Path] = (),
    overwrite: bool = False,
    steps: int | None = None,
    locked: bool = False,
    yes: bool = False,
    shard: bool = False,
    offload: bool = False,
    reporter: Reporter | None = None,
    around: Around = NOTHING,
    **more: object,
) -> Result:
    """Do what a recipe says: train, prune, evaluate, write the model, judge the claims.

    Args:
        recipe: as for `recipelang.check`; so are `params`, `overlays` and `around`.
        out: the folder of all that is written; `runs/NAME-DIGEST` unless it is given.
        overwrite: replace an earlier run in that folder.
        steps: rehearse: only the first so many steps of every stage.
        locked: refuse when the recipe's lock is missing, or is not what the recipe refers to now.
        yes: run a recipe that was pulled the first time without asking.
        shard: each of several processes holds a part of the model.
        offload: leave the weights on disk, one layer in memory at a time; otherwise where they do not fit in memory.
        reporter: who is told how it goes; bars in a notebook or a terminal unless another is given.

    Returns: what was measured and judged. A claim that is not met is in it (`failed`), and is no error.

    Raises:
        RecipeError: for every error before the run and in it.
        Interrupted: after Ctrl-C; the step is finished and a checkpoint written, `recipelang resume` goes on.
    """
    from recipelang.api.checked import merged
    from recipelang.api.planned import made

    if reporter is None:
        from recipelang.api.result import Told

        reporter = Told()
    file, laid, told = name_of(recipe), merged(around, params, overlays, more), Diagnostics()
    settled: list[Settled] = []

    def pinning(checked: Checked) -> Mapping[str, str]:
        settled.append(settle(file, checked, laid, locked=locked, found=told))
        return settled[0].pins

    plan = made(recipe, laid, steps, pinning)
    plan.diagnostics.extend(told)
    if locked:
        hold(settled[0], plan, file)
    folder = Path(out) if out is not None else default_folder(plan)
    reporter.found(plan.diagnostics)
    reporter.planned(plan)
    from recipelang import processes
    from recipelang.engine.environment import without_effect
    from recipelang.engine.exporting import check_exports
    from recipelang.engine.models import check_models
    from recipelang.engine.offload import offloads
    from recipelang.engine.start import may_start, may_take
    from recipelang.planning.tracking import tracking

    may_start(plan, shard)
    reporter.found(without_effect())
    check_models(plan)
    on_disk = offloads(plan, offload, shard=shard)
    with at_label(plan.recipe.label("export.formats")):
        check_exports(plan)
    _from_elsewhere(file, yes, reporter)
    if processes.world() > 1:
        holds = "a shard of the model" if shard else "a copy of the model"
        reporter.message(f"{processes.world()} processes, each with {holds} and its share of every batch\n")
    if processes.main():
        may_take(folder, plan, overwrite)  # before a lock makes the folder
    with holding(folder):
        if processes.main():
            _fill(folder, plan, file, overwrite, settled[0], reporter)
        processes.wait()
        asked = tracking(plan.recipe, beside(file))
        return carry_out(plan.recipe, plan, folder, reporter, shard=shard, on_disk=on_disk, asked=asked)


def _from_elsewhere(file: str, yes: bool, reporter: Reporter) -> None:
    """A recipe from elsewhere that was never run here is asked about once."""
    from recipelang.loading.files import is_elsewhere

    if not is_elsewhere(file):
        return
    from recipelang.artifact import cache
    from recipelang.artifact.address import parse_reference

    digest = cache.named(parse_reference(file))
    if cache.stored(digest) is not None and not cache.was_run(digest):
        reporter.from_elsewhere(file, digest, yes)
        cache.note_run(digest)


def _fill(folder: Path, plan: Plan, file: str, overwrite: bool, settled: Settled, reporter: Reporter) -> None:
    """What the folder keeps of the recipe. A new lock is written beside the recipe; the run's folder has its own."""
    from recipelang.engine.start import fill_folder
    from recipelang.planning.budgets import with_chosen
    from recipelang.planning.identities import local_references
    from recipelang.planning.references import local_path
    from recipelang.provenance.carried import carried
    from recipelang.spec.effective import effective

    recipe = with_chosen(plan.recipe, plan)  # type: ignore[attr-defined]
    paths = {r: str(local_path(r, beside(file))) for r in local_references(recipe)}
    kept = {**carried(recipe, beside(file)), **({"recipe.lock": settled.text} if settled.text else {})}
    fill_folder(folder, plan, effective(recipe, paths), overwrite=overwrite, carried=kept)
    found = check_new(settled)
    reporter.found(found)
    if settled.path is not None and not len(found):
        reporter.locked(settled.path)


def default_folder(plan: Plan) -> Path:
    """A recipe may choose its name, not a place: whatever the name, this lies in `runs/`."""
    name = re.sub(r"[^\w.-]+", "-", plan.name)[:80].strip("-.") or "run"
    return Path("runs") / f"{name}-{plan.spec_digest.removeprefix('sha256:')[:8]}"


def carry_out(
    recipe: Recipe,
    plan: Plan,
    folder: Path,
    reporter: Reporter,
    *,
    shard: bool,
    on_disk: str | None = None,
    resume: bool = False,
    exact: bool = False,
    written: Plan | None = None,
    asked: Tracking | None = None,
) -> Result:
    """In a folder whose lock is held. `written`: the plan of the start before; `on_disk`: why the
    weights stay there, if they do; `asked`: where a new run is tracked. The page is written, however it ends."""
    from recipelang.api.result import Result
    from recipelang.engine.records import Interrupted
    from recipelang.engine.run import execute
    from recipelang.spec.claims import judge

    def judged(measured):  # type: ignore[no-untyped-def]
        return judge(recipe, measured)

    try:
        if on_disk:
            reporter.message(f"{on_disk}\n")
        options = {"resume": resume, "shard": shard, "offload": bool(on_disk), "exact": exact, "written": written}
        with _tracked(plan, folder, reporter, asked, resume) as told:
            done = execute(plan, folder, told, judged, held=True, **options)  # type: ignore[arg-type]
    except Interrupted as stopped:
        stopped.folder = folder
        _write_page(folder, reporter)
        raise
    result = Result(**{f.name: getattr(done, f.name) for f in fields(done)})
    _write_page(folder, reporter)
    reporter.ended(result)
    if result.gained:
        names = ", ".join(list(result.gained)[:3])
        raise fail("E071", f"protected tensors gained zeros: {names}")
    return result


@contextmanager
def _tracked(plan: Plan, folder: Path, reporter: Reporter, asked: Tracking | None, resume: bool) -> Iterator[Reporter]:
    """Trackers are told what the reporter is, by the first process; a resumed run goes on with those that it began with."""
    from recipelang import processes

    if not processes.main() or (asked is None and not resume):
        yield reporter
        return
    from recipelang.engine import trackers
    from recipelang.engine.records import Several
    from recipelang.report.curves import read_curves

    form = trackers.begun(folder) if resume else None
    if asked is None and form is None:
        yield reporter
        return
    known = {name: points[-1][0] for name, points in read_curves(folder / "tensorboard").items()} if form else {}
    clients = trackers.Trackers(plan, folder, reporter, known)
    if form is not None:
        clients.go_on(form)
    elif asked is not None:
        clients.start(asked)
    if clients.clients:
        reporter.message(f"tracked by {clients.names}\n")
    try:
        yield Several(reporter, trackers.Tracked(plan, clients))
    finally:
        clients.close()


def _write_page(folder: Path, reporter: Reporter) -> None:
    """The run is done: what goes wrong with its page is told, and fails nothing.

    It is drawn from the plan in the folder, as `verify` draws it: a resumed run has another, whose paths are written out.
    """
    from recipelang import processes
    from recipelang.engine.records import read_plan
    from recipelang.report.run import write

    if not processes.main():
        return
    try:
        write(folder, read_plan(folder, "E083"))
    except RecipeError as error:
        found = Diagnostics()
        found.extend(error.diagnostics)
        reporter.found(found)


def alone() -> bool:
    """Whether this is the only process, seen without loading torch."""
    return (os.environ.get("WORLD_SIZE") or "1") == "1"


@contextmanager
def holding(folder: Path) -> Iterator[None]:
    """Nothing else of ours in an output folder meanwhile: the main process locks it, the others wait until it has, and see it.

    What a folder says is looked at under the lock only: before, another process may be about to change it.
    """
    from recipelang.engine.files import only_one

    if alone():
        with only_one(folder):
            yield
        return
    from recipelang import processes
    from recipelang.engine.start import check_shared

    with only_one(folder) if processes.main() else nullcontext():
        processes.wait()
        check_shared(folder)
        yield


def there(path: Path) -> bool:
    """Whether a file of a run is there, for all processes. E242 where only some see it."""
    if alone():
        return path.is_file()
    from recipelang import processes
    from recipelang.engine.start import unshared

    seen = processes.each((path.is_file(), socket.gethostname()))
    if not all(sees for sees, _ in seen) and any(sees for sees, _ in seen):
        raise unshared(path.parent.parent, seen)
    return seen[0][0]

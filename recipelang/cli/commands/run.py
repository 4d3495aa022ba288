"""`recipelang run` and `recipelang resume`."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from recipelang.api import running
from recipelang.cli import complete, options, screen
from recipelang.cli.exit_codes import Exit
from recipelang.cli.several import together
from recipelang.loading.plan import planned
from recipelang.loading.read import read_around, typed
from recipelang.source import fail
from recipelang.source.words import first_n
from recipelang.spec.recipe import Recipe

if TYPE_CHECKING:
    from recipelang.engine.records import Reporter
    from recipelang.planning.types import Plan


@together()
def run(
    file: options.File,
    param: options.Param = [],  # noqa: B006 (typer copies it)
    params: options.Params = [],  # noqa: B006
    overlay: options.Overlay = [],  # noqa: B006
    out: Path | None = typer.Option(None, "-o", "--out", metavar="DIR", help="Write all output to this folder."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace an earlier run in DIR."),
    steps: int | None = typer.Option(
        None,
        "--steps",
        min=1,
        metavar="N",
        help="Rehearse: run only the first N steps of every stage, and evaluate on N batches.",
    ),
    locked: options.Locked = False,
    yes: bool = typer.Option(False, "--yes", help="Run a downloaded recipe for the first time without asking."),
    shard: options.Shard = False,
    offload: options.Offload = False,
) -> None:
    """Run a recipe: train, prune, evaluate, write the model, check the claims.

    All output goes to one folder: `-o DIR`, or `runs/NAME-DIGEST` by default.
    Ctrl-C finishes the current step, or the current batch of an evaluation, writes a checkpoint and prints the
    command that resumes. A second Ctrl-C stops at once and keeps the newest checkpoint.

    `FILE.lock` pins the models, data and recipes that the recipe refers to; if it is
    missing, the run writes it. With `--locked`, the run fails unless everything matches the lock.

    Examples:

      recipelang run squad.recipe -o runs/first

      recipelang run squad.recipe --locked

      recipelang run oci://registry.example.org/recipes/squad:1.0.0        (pulled)

      recipelang run squad.recipe -p target=80% -p base=./my-bert

      recipelang run squad.recipe --steps 20        (a rehearsal)

      torchrun --nproc-per-node 2 -m recipelang run squad.recipe        (two processes)

      recipelang run wanda.recipe --offload        (one shot, one layer in memory at a time)
    """
    given = read_around(param, params, overlay)
    with _watched() as shown:
        result = running.run(
            typed(file),
            out,
            overwrite=overwrite,
            steps=steps,
            locked=locked,
            yes=yes,
            shard=shard,
            offload=offload,
            reporter=shown,
            around=given,
        )
    if result.failed:
        raise typer.Exit(Exit.EXPECT_FAILED)


@together()
def resume(
    folder: Path = typer.Argument(
        ..., metavar="DIR", help="The output folder of an interrupted run.", autocompletion=complete.runs
    ),
    shard: options.Shard = False,
    offload: options.Offload = False,
    exact: bool = typer.Option(
        False, "--exact", help="Fail if threads, processes, packages or environment variables would change the result."
    ),
) -> None:
    """Resume an interrupted run from its newest intact checkpoint.

    On a CPU the result is bit for bit that of an uninterrupted run, provided threads,
    processes and packages are the same. A warning lists every difference; with `--exact`
    the command fails instead.

    Example:

      recipelang resume runs/squad-gmp-90-1a2b3c4d
    """
    text = folder / "recipe" / "effective.recipe"
    if not running.there(text):
        raise fail("E083", f"`{folder}` holds no run", help="name the output folder of an earlier `recipelang run`")
    with running.holding(folder):
        _resume(folder, text, shard, offload, exact)


def _resume(folder: Path, text: Path, shard: bool, offload: bool, exact: bool) -> None:
    """With the folder locked: whoever ran in it before is done."""
    from recipelang.engine.records import read_plan, status_of
    from recipelang.engine.statement import STATEMENT
    from recipelang.planning.types import FORMAT_VERSION

    status = status_of(folder)
    if status == "finished":
        screen.tell(f"{folder}: {_finished(folder)}")
        raise typer.Exit(Exit.OK)
    if status and (folder / "recipe" / STATEMENT).exists() and not [*folder.glob("checkpoints/stage-*")]:
        notes = [
            "it has a statement and no checkpoints, as a run has when it ends"
        ]  # written and removed in this order
        help = "check it with `recipelang verify`, or start again with `run --overwrite`"
        raise fail("E083", f"this run is finished, but `run.json` says `{status[:20]}`", notes=notes, help=help)
    written = read_plan(folder, "E083")
    _check_carried(folder, written)
    if written.format_version != FORMAT_VERSION:
        from recipelang.engine.checkpoint import older

        raise older(f"the run in `{folder}`")
    recipe, plan, _ = planned(str(text), rehearsal=written.rehearsal, advice=False)
    if written.behaviour_digest != plan.behaviour_digest:
        raise fail(
            "E083",
            "what this run would do has changed since it began",
            notes=[f"it began as {written.behaviour_digest[:19]}, now it is {plan.behaviour_digest[:19]}"],
            help="a model or data file, or the recipe in the folder, was edited; start again with `run --overwrite`",
        )
    if told := _changed(written, plan):
        raise fail(
            "E083",
            "what this run reads has changed since it began",
            notes=told,
            help="restore the files, or pin what comes from the Hub; or start again with `run --overwrite`",
        )
    if written.spec_digest == plan.spec_digest:
        # the recipe of a resumed run has every value written out: its claims are told as the first start told them
        plan = plan.model_copy(update={"claims": written.claims})
    from recipelang.engine.environment import without_effect
    from recipelang.engine.offload import offloads
    from recipelang.engine.start import may_start

    may_start(plan, shard)
    on_disk = offloads(plan, offload, shard=shard)
    screen.show(without_effect())
    if written.spec_digest != plan.spec_digest or not _is_whole(folder):
        _carry_anew(folder, recipe, plan)
    with _watched() as shown:
        options = {"shard": shard, "on_disk": on_disk, "resume": True, "exact": exact, "written": written}
        result = running.carry_out(recipe, plan, folder, shown, **options)  # type: ignore[arg-type]
    if result.failed:
        raise typer.Exit(Exit.EXPECT_FAILED)


def _finished(folder: Path) -> str:
    """Of a rehearsal also that it is one, and how the whole run is started."""
    from recipelang.engine.records import read_record

    steps = read_record(folder).get("rehearsal")
    if steps is None:
        return "this run is finished"
    recipe = shlex.quote(str(folder / "recipe" / "effective.recipe"))
    return (
        f"this rehearsal is finished: {first_n(steps, 'step')} of every stage; no claim was checked\n\n"
        f"A rehearsal cannot be resumed. Run the whole recipe with:\n\n  recipelang run {recipe} -o NEW-DIR"
    )


def _check_carried(folder: Path, written: Plan) -> None:
    """E083 where what the folder says of its recipe is not of this run: the model would carry it on."""
    from recipelang.engine.statement import read_origin
    from recipelang.provenance.carried import PORTABLE, SPEC
    from recipelang.provenance.recheck import canonical, digest_of_text, evaluated
    from recipelang.source import RecipeError
    from recipelang.storage.reading import MAX_RECORD, Unreadable, Why, read_text

    origin = read_origin(folder, "E083")
    help = "restore it, or remove it and resume; or start again with `run --overwrite`"
    for name in (SPEC, PORTABLE) if origin else (SPEC,):  # without it, both are written anew
        path = folder / "recipe" / name
        try:
            text = read_text(path, MAX_RECORD, inside=folder)
            form = text if name == SPEC else canonical(evaluated(text, name), origin["contents"])
        except Unreadable as error:
            if error.why is Why.MISSING:
                continue
            raise error.coded("E083", help=help) from None
        except RecipeError as error:
            raise fail("E083", f"`{path}` is damaged", notes=[error.diagnostics[0].message], help=help) from None
        if digest_of_text(form) != written.spec_digest:
            raise fail(
                "E083", f"`{path}` belongs to another experiment", notes=["it was edited after the start"], help=help
            )


def _is_whole(folder: Path) -> bool:
    """Whether the folder says what its recipe is."""
    from recipelang.provenance.carried import ORIGIN, PORTABLE, SPEC

    return all((folder / "recipe" / name).is_file() for name in (ORIGIN, PORTABLE, SPEC))


def _carry_anew(folder: Path, recipe: Recipe, plan: Plan) -> None:
    """What the folder says of its recipe, once its claims, evaluations or export were edited: else it contradicts itself."""
    from recipelang import processes
    from recipelang.engine.statement import read_origin
    from recipelang.provenance.carried import carried_anew
    from recipelang.storage.writing import write_text

    if processes.main():
        here = folder / "recipe"
        texts = carried_anew(recipe, here, read_origin(folder)) | {"plan.json": plan.model_dump_json(indent=1) + "\n"}
        for name, text in texts.items():
            write_text(here / name, text, inside=folder)
    processes.wait()


def _changed(before: Plan, now: Plan) -> list[str]:
    """What a run reads that is not what it was, in words: the behaviour digest knows some of it by name only."""
    told = [] if before.model.digest == now.model.digest else [f"the model `{now.model.ref}`"]
    for old, new in zip(_teachers(before), _teachers(now), strict=True):
        told += [] if old[1] == new[1] else [f"the teacher `{new[0]}`"]  # by another path it is the same
    if [d.chat for d in before.data] != [d.chat for d in now.data]:
        told.append(f"the chat template of the model `{now.model.ref}`")
    was = {(d.label, name): (s.digest, d.examples, d.items) for d in before.data for name, s in d.splits.items()}
    for data in now.data:
        for name, split in data.splits.items():
            if was.get((data.label, name)) != (split.digest, data.examples, data.items):
                told.append(f"the split `{name}` of the data" + (f" `{data.label}`" if data.label else ""))
    if [s.steps for s in before.stages] != [s.steps for s in now.stages] and not told:
        told.append("the stages have different numbers of steps")
    return told


def _teachers(plan: Plan) -> list[tuple[str, str]]:
    return [(d.teacher_ref, d.teacher_digest) for s in plan.stages for d in s.distills]


@contextmanager
def _watched() -> Iterator[Reporter]:
    """A run that is shown on the screen. A signal ends it softly: what is left to do is said, and the exit code."""
    from recipelang.cli.screen.run import Screen
    from recipelang.engine.records import Interrupted

    with Screen() as shown:
        try:
            yield shown
        except Interrupted as stopped:
            shown.stop()
            name = signal.Signals(stopped.signal).name
            again = f"recipelang resume {shlex.quote(str(stopped.folder))}"
            screen.tell(f"\nstopped by {name}; nothing is lost. Resume with:\n\n  {again}", to_errors=True)
            raise typer.Exit(Exit.of_signal(stopped.signal)) from None

"""`recipelang study`: variants of a recipe, run and compared."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from recipelang.cli import complete, options, screen
from recipelang.cli.exit_codes import Exit
from recipelang.loading.files import read_source
from recipelang.loading.read import Around, read_around
from recipelang.source import fail
from recipelang.source.words import plural

if TYPE_CHECKING:
    from recipelang.study.execute import Ran
    from recipelang.study.launch import Launcher
    from recipelang.study.read import Study
    from recipelang.study.results import Outcome
    from recipelang.study.variants import Variant


def study(
    file: options.File,
    param: options.Param = [],  # noqa: B006 (typer copies it)
    params: options.Params = [],  # noqa: B006
    overlay: options.Overlay = [],  # noqa: B006
    out: Path | None = typer.Option(None, "-o", "--out", metavar="DIR", help="Write all output to this folder."),
    only: list[str] = typer.Option(
        [],
        "--only",
        metavar="VARIANT",
        help="Run only these variants: a name or its beginning, such as `smc/target-90`; `*` matches anything.",
        autocompletion=complete.study_variants,
    ),
    again: list[str] = typer.Option(
        [], "--again", metavar="VARIANT", help="Delete the results of these variants and run them again."
    ),
    jobs: int | None = typer.Option(
        None,
        "--jobs",
        min=1,
        metavar="N",
        help="Run up to N variants in parallel; they share the cores and the GPUs (one per GPU by default).",
    ),
    launcher: str = typer.Option(
        "",
        "--launcher",
        metavar="LAUNCHER",
        help="Start runs with `slurm`, or with a command in which `{command}` stands for that of a run.",
    ),
    slurm: list[str] = typer.Option(
        [], "--slurm", metavar="NAME=VALUE", help="Set an option of `sbatch`, such as `time=4:00:00`."
    ),
    slurm_file: list[str] = typer.Option(
        [],
        "--slurm-file",
        metavar="FILE",
        help="Read options of `sbatch` from a file of `set NAME = VALUE` lines; `--slurm` overrides them.",
    ),
    plan: bool = typer.Option(False, "--plan", help="List the variants to run and the finished ones; run none."),
    table: bool = typer.Option(
        False, "--table", help="Write the table and the plots of the finished variants; run none."
    ),
    steps: int | None = typer.Option(
        None, "--steps", min=1, metavar="N", help="Rehearse: run only the first N steps of every stage."
    ),
) -> None:
    """Run variants of a recipe and compare their results in a table and plots.

    Each variant is an ordinary run in its own folder below DIR (`runs/NAME` by default).
    To continue an interrupted study, repeat the command: it keeps finished runs, resumes
    interrupted ones from their checkpoints and restarts failed ones. Ctrl-C lets every
    run write a checkpoint first.

    The table is written as `study.md`, `study.csv` and `study.json`, the plots to `plots/`,
    and everything together to `report.html`.

    A study names a recipe and what varies; every combination is run:

      recipe 1 "targets"

      study { of = "./squad.recipe", seeds = [1, 2, 3] }

      vary { target = [80%, 90%, 95%] }

    Examples:

      recipelang study guidelines.recipe --plan

      recipelang study guidelines.recipe -o runs/guidelines --jobs 2

      recipelang study guidelines.recipe --only smc --only "*/seed-1"

      recipelang study guidelines.recipe --launcher slurm --slurm time=4:00:00 --slurm gpus=1

      recipelang study guidelines.recipe --jobs 4 --launcher "ssh gpu1 {line}"
    """
    around = read_around(param, params, overlay)
    found, made = planned(file, around, steps)
    folder = out or Path("runs") / _name(found)

    def how() -> Launcher:
        return _launcher(launcher, slurm, slurm_file, folder, jobs)

    if found.search is not None:
        from recipelang.study.search import can_search, refuse_choice

        refuse_choice(found, only, "--only")
        refuse_choice(found, again, "--again")
        can_search(found, made)
        _search(found, around, folder, steps, how, jobs=jobs or 1, plan=plan, table=table)
        return
    from recipelang.study.notes import read_note
    from recipelang.study.results import outcome
    from recipelang.study.variants import chosen, same_runs

    wanted = chosen(made, only)
    screen.show(same_runs(found, wanted))
    if again and not (plan or table):
        _forget(folder, chosen(made, again))
    outcomes = {v.name: outcome(folder, v) for v in made}
    from recipelang.cli.screen.study import Lines, listing

    console = screen.console()
    if plan:
        notes = {v.name: note for v in wanted if (note := read_note(folder, v.name))}
        console.print(listing(wanted, outcomes, folder, {name: note.job for name, note in notes.items()}))
        return
    rans: list[Ran] = []
    if not table:
        from recipelang.study.execute import run_all

        with _filling(folder):
            news = Lines(console, found, made, wanted, outcomes, folder)
            rans.append(run_all(folder, wanted, news, launcher=how(), drop_weights=found.drops_weights))
        outcomes |= rans[0].ended
    _end(found, [outcomes[v.name] for v in made], [outcomes[v.name] for v in wanted], folder, rans)


def _search(
    study: Study,
    around: Around,
    folder: Path,
    steps: int | None,
    how: Callable[[], Launcher],
    *,
    jobs: int,
    plan: bool,
    table: bool,
) -> None:
    """Trials one after the other, or `jobs` of them at a time, each made when those before it are done."""
    from recipelang.cli.screen.study import Lines, listing
    from recipelang.study.execute import run_all
    from recipelang.study.results import Outcome
    from recipelang.study.search import searched

    rans: list[Ran] = []
    console = screen.console()

    def run(left: Sequence[Variant], others: Sequence[Outcome]) -> bool:
        news = Lines(console, study, left, left, {v.name: Outcome(v, "waiting", {}) for v in left}, folder, others)
        ran = run_all(folder, left, news, launcher=how(), drop_weights=study.drops_weights)
        rans.append(ran)
        return ran.stopped is not None or len(ran.ended) < len(left)

    if plan or table:
        outcomes = searched(study, around, steps, folder, None, jobs)
    else:
        with _filling(folder):
            outcomes = searched(study, around, steps, folder, run, jobs)
    if plan:
        states = {o.variant.name: o for o in outcomes}
        console.print(listing([o.variant for o in outcomes], states, folder, {}))
        console.print(f"a search of {plural(study.runs, 'run')}; values of later trials follow from earlier results")
        return
    _end(study, outcomes, outcomes, folder, rans)


@contextmanager
def _filling(folder: Path) -> Iterator[None]:
    """A folder that is there, and that no other study fills meanwhile."""
    from recipelang.engine.files import only_one
    from recipelang.storage.writing import writing

    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with only_one(folder):
        yield


def _end(
    study: Study, outcomes: Sequence[Outcome], wanted: Sequence[Outcome], folder: Path, rans: Sequence[Ran]
) -> None:
    """The files and the table of all outcomes, what is told after it, and the exit code, which `wanted` decide."""
    from recipelang.cli.screen.study import shown
    from recipelang.report.study import write

    write(study, folder, outcomes)
    console = screen.console()
    if not sys.stdout.isatty():
        console.width = 160  # a table in a pipe is better long than broken
    console.print(shown(study, outcomes, folder))
    for ran in rans:
        _told(ran)
    if any(o.status == "failed" for o in wanted) or any(map(_cut, rans)):
        raise typer.Exit(Exit.ERRORS)
    if any(c.startswith("expect") for o in wanted for c in o.unmet):
        raise typer.Exit(Exit.EXPECT_FAILED)


def _told(ran: Ran) -> None:
    """What is told after the table, and the exit code of a study that was stopped."""
    if len(ran.found):
        screen.show(ran.found)
    if ran.stopped is None:
        return
    name = signal.Signals(ran.stopped).name
    for variant, started in ran.left.items():
        screen.tell(f"  {variant} goes on{started.where}", to_errors=True)
    if queued := [s.job for s in ran.left.values() if s.job]:
        screen.tell(f"  to cancel jobs: scancel {' '.join(queued)}", to_errors=True)
    screen.tell(f"\nstopped by {name}; nothing is lost. Repeat the command to continue.", to_errors=True)
    raise typer.Exit(Exit.of_signal(ran.stopped))


def _cut(ran: Ran) -> bool:
    """Whether somebody else has stopped a run: nothing is lost, and not everything is done."""
    return any(o.status == "interrupted" for o in ran.ended.values())


def _launcher(name: str, options: Sequence[str], files: Sequence[str], folder: Path, jobs: int | None) -> Launcher:
    from recipelang.study.launch import Local, Template
    from recipelang.study.slurm import Slurm, read_options

    if name == "slurm":
        return Slurm(folder, read_options(options, files), jobs)
    if options or files:
        help = "add `--launcher slurm`, or put the options into the command of the launcher"
        raise fail("E239", "options of Slurm need the launcher `slurm`", help=help)
    return Template(name, jobs) if name else Local(jobs)


def planned(file: str, around: Around, rehearsal: int | None = None) -> tuple[Study, list[Variant]]:
    """A study file to its variants, each planned; every error of the way at once, then `RecipeError`."""
    from recipelang.study.read import read_study
    from recipelang.study.variants import variants

    found = read_study(read_source(file))
    return found, variants(found, around, rehearsal)


def _name(study: Study) -> str:
    return re.sub(r"[^\w.-]+", "-", study.name)[:80].strip("-.") or "study"


def _forget(folder: Path, variants: Sequence[Variant]) -> None:
    from recipelang.engine.files import only_one
    from recipelang.engine.leavings import check_only_a_run, remove_run
    from recipelang.study.results import folder_of
    from recipelang.study.slurm import cancel

    for variant in variants:  # all are looked at before one is removed
        check_only_a_run(folder_of(folder, variant))

    for variant in variants:
        at = folder_of(folder, variant)
        cancel(folder, variant.name, at)
        if at.is_dir():
            with only_one(at):
                remove_run(at)

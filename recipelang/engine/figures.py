"""What claims say of size and speed, measured: of a stage's model when the stage ends, of the result once it is written.

Times are measured on the processor, all models of the same settings in turn in one process.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from recipelang import processes
from recipelang.engine import macs, speeds
from recipelang.engine.bench import SEED, timed, versions_of
from recipelang.engine.course import Course
from recipelang.engine.exporting import Written
from recipelang.engine.models import quiet
from recipelang.engine.records import Interrupted
from recipelang.engine.speeds import SpeedForm, TimedForm
from recipelang.kinds.formats import WEIGHTS
from recipelang.planning import processor
from recipelang.planning.facts import read_config
from recipelang.planning.figure_plan import FigurePlan
from recipelang.planning.formats import size_of
from recipelang.planning.macs import asked
from recipelang.planning.types import Plan, StagePlan
from recipelang.source import Diagnostics, RecipeError
from recipelang.source.words import listed
from recipelang.spec.figures import BASE

#: forward passes of each model that is timed
ROUNDS = 50
#: batch, length and threads of a time
Settings = tuple[int, int, int]


def at_stage(run: Course, stage: StagePlan) -> None:
    """Parameters and operations of the model that a stage leaves, where a claim names them."""
    for figure in run.plan.figures:
        if figure.of == stage.name and figure.name in ("params", "flops"):
            config = run.model.config.to_dict()  # type: ignore[operator, union-attr]
            value = _counted(run, figure, run.model, config)
            if value is not None:
                run.position.figures[figure.text] = value


def at_end(run: Course, exports: Mapping[str, Written]) -> tuple[dict[str, float], list[SpeedForm]]:
    """Of every figure of the plan its value, where it can be measured; and the times. All processes get the same."""
    if run.plan.rehearsal is not None or not run.plan.figures:
        return {}, []
    named = {f.text for f in run.plan.figures}
    found = {text: value for text, value in run.position.figures.items() if text in named}
    measured: list[SpeedForm] = []
    stopped = 0
    if processes.main():
        for figure in run.plan.figures:
            value = _of_result(run, figure, exports)
            if value is not None:
                found[figure.text] = value
        try:
            with run.clock.part("speed"):
                measured = [*_times(run, exports)]
        except Interrupted as error:  # the others wait for what was found
            stopped = error.signal
        found |= speeds.values(measured, run.plan.figures)
        for text in (f.text for f in run.plan.figures if f.of and f.text not in found):
            _unmeasured(run, text, "its stage had ended before this was claimed")
    stopped = processes.first(stopped)
    if stopped:
        raise Interrupted(stopped, run.checkpoints)
    return processes.first((found, measured))


def _obey(run: Course) -> None:
    """As `Course.obey`, in the one process that measures: a signal is heard between rounds."""
    if run.stop.received:
        raise Interrupted(run.stop.received, run.checkpoints)


def _counted(run: Course, figure: FigurePlan, model: nn.Module, config: Mapping[str, Any]) -> float | None:
    if figure.name == "params":
        return sum(p.numel() for p in model.parameters())
    with quiet():
        answer = macs.answer(asked(config, run.plan.model.task, figure.batch, figure.length))
    if "macs" not in answer:
        _unmeasured(run, figure.text, answer["failed"])
        return None
    return 2 * answer["macs"]


def _of_result(run: Course, figure: FigurePlan, exports: Mapping[str, Written]) -> float | None:
    """A count or a size; none of a time, and of what the end of a stage was measured for."""
    if figure.base and figure.planned is not None:
        return figure.planned[0]
    if figure.base:
        _unmeasured(run, figure.text, "the operations of the model as it came cannot be counted")
        return None
    if figure.name == "size":
        if figure.format != WEIGHTS and (figure.format not in exports or exports[figure.format].error):
            return None  # its export failed, as was told
        folder = run.out / "stages" / figure.of if figure.of else run.out
        return size_of(folder, figure.format) if folder.is_dir() else None
    if figure.timed or figure.of:
        return None
    return _counted(run, figure, run.model, read_config(run.out))


# ----------------------------------------------------------------------- times
def _times(run: Course, exports: Mapping[str, Written]) -> Iterable[SpeedForm]:
    """One measurement for all figures of the same settings."""
    wanted = []
    for figure in (f for f in run.plan.figures if f.timed):
        if figure.format in exports and exports[figure.format].error:
            continue  # as was told
        if figure.reference and not (run.out / "stages" / figure.reference).is_dir():
            _unmeasured(run, figure.text, f"stage `{figure.reference}` had ended before this was claimed")
            continue
        wanted.append(figure)
    for settings, figures in together(wanted).items():
        try:
            yield _measured(run, models_of(figures), settings)
        except Interrupted:
            raise
        except Exception as error:  # nothing that is measured now is worth the run
            why = error.diagnostics[0].message if isinstance(error, RecipeError) else f"{type(error).__name__}: {error}"
            _unmeasured(run, listed([f.text for f in figures], 3, mark=""), why)


def together(figures: Iterable[FigurePlan]) -> dict[Settings, list[FigurePlan]]:
    """Times that are measured in one go, by batch, length and threads."""
    groups: dict[Settings, list[FigurePlan]] = {}
    for figure in (f for f in figures if f.timed):
        groups.setdefault((figure.batch, figure.length, figure.threads), []).append(figure)
    return groups


def models_of(figures: Iterable[FigurePlan]) -> list[tuple[str, str]]:
    """Whose forward passes are timed: the result and those it is compared with, each with what runs it."""
    every = [*figures]
    models = dict.fromkeys(("", f.format) for f in every)
    return [*models | dict.fromkeys((f.over, f.reference_in) for f in every if f.over)]


def speeds_of(
    plan: Plan,
    out: Path,
    models: Sequence[tuple[str, str]],
    settings: Settings,
    rounds: int,
    tell: Callable[[str], None],
    between: Callable[[], None] = lambda: None,
) -> tuple[str, list[list[float]]]:
    """The clock, and the seconds of each model's rounds, of what a run has left in its folder. `between`: before each round."""
    batch, length, threads = settings
    folders = [(_folder(plan, out, model), runtime) for model, runtime in models]
    return timed(
        folders,
        batch=batch,
        length=length,
        threads=threads,
        rounds=rounds,
        seed=SEED,
        own=out,
        tell=tell,
        between=between,
    )


def _measured(run: Course, models: Sequence[tuple[str, str]], settings: Settings) -> SpeedForm:
    batch, length, threads = settings
    clock, seconds = speeds_of(run.plan, run.out, models, settings, ROUNDS, run.reporter.message, partial(_obey, run))
    return SpeedForm(
        batch=batch,
        length=length,
        threads=threads,
        rounds=ROUNDS,
        seed=SEED,
        clock=clock,  # type: ignore[arg-type]
        machine=processor.name(),
        versions=versions_of(*(runtime for _, runtime in models)),
        models=[
            TimedForm(model=model, runtime=runtime, seconds=[round(s, 9) for s in each])
            for (model, runtime), each in zip(models, seconds, strict=True)
        ],
    )


def _folder(plan: Plan, out: Path, model: str) -> Path:
    if model == BASE:
        return Path(plan.model.path)
    return out / "stages" / model.removeprefix("stage.") if model else out


def _unmeasured(run: Course, what: str, why: str) -> None:
    """W158: claims about it cannot be judged."""
    told = Diagnostics()
    notes = [textwrap.shorten(why, 200, placeholder=" …"), f"it is {what}"]
    help = "the model is written, and sound; measure it with `recipelang bench`"
    told.say("W158", "a size or speed that is claimed could not be measured", notes=notes, help=help)
    run.reporter.found(told)

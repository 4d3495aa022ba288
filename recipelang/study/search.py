"""A study whose values are searched for: Optuna proposes the values of a trial from the results of those before it.

A trial is an ordinary point of the study with ordinary runs. Nothing is stored of the search itself: the same
proposals follow from the same seed and the same results, so a search that goes on is told again, trial by trial, what
the records say, and proposes what it would have proposed.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipelang.loading.read import Around
from recipelang.source import Diagnostic, Label, RecipeError
from recipelang.source.suggest import closest
from recipelang.study.ranges import value_of
from recipelang.study.read import Search, Study
from recipelang.study.results import Outcome, outcome
from recipelang.study.statistics import spread
from recipelang.study.variants import Point, Variant, variants

if TYPE_CHECKING:
    import optuna

#: what a run is that has no result yet; every other has one, or will have none
_OPEN = ("waiting", "interrupted")
#: runs variants, given the outcomes of all others, and says whether it was stopped
Run = Callable[[Sequence[Variant], Sequence[Outcome]], bool]


def can_search(study: Study, made: Sequence[Variant]) -> None:
    """E264 without Optuna; E266 for a result that no run of the study measures."""
    search = study.search
    assert search is not None
    at = Label(study.source, search.span)
    if find_spec("optuna") is None:
        help = "`pip install 'recipelang[optuna]'`"
        raise RecipeError(Diagnostic("E264", "a search needs the package `optuna`", at, help=(help,)))
    for variant in made:
        known = [f"{e.name}.{m}" for e in variant.plan.evaluations for m in e.metrics]
        if search.path not in known:
            near = closest(search.path, known)
            listed = ", ".join(f"`{n}`" for n in known[:8]) or "nothing"
            help = f"did you mean `{near}`?" if near else f"the recipe measures {listed}"
            at = Label(study.source, search.path_span)
            raise RecipeError(Diagnostic("E266", f"no run measures `{search.path[:80]}`", at, help=(help,)))


def searched(
    study: Study, around: Around, rehearsal: int | None, out: Path, run: Run | None, jobs: int
) -> list[Outcome]:
    """The runs of the trials so far, in their order.

    Trials are gone through: what is finished is read, the rest is run, `jobs` trials at a time, until all are done or the
    runner was stopped. Without a runner, up to the first trial that is not done.

    A trial with a failed run has no result, and stays failed: later trials were proposed knowing that.
    """
    search = study.search
    assert search is not None
    mind = _mind(search)
    spaces = {r.name: _space(r) for r in search.ranges}
    found: list[Outcome] = []
    for first in range(0, search.trials, jobs):
        asked = [mind.ask(spaces) for _ in range(min(jobs, search.trials - first))]
        points = [_point(study, trial) for trial in asked]
        made = variants(study, around, rehearsal, points)
        states = [outcome(out, v) for v in made]
        stopped = False
        if run is not None and (left := [o for o in states if o.status in _OPEN]):
            stopped = run([o.variant for o in left], [*found, *(o for o in states if o not in left)])
            states = [outcome(out, v) for v in made]
        found += states
        if stopped or any(o.status in _OPEN for o in states):
            break
        for trial, point in zip(asked, points, strict=True):
            result = _result(search, [o for o in states if o.variant.point == point])
            if result is None:
                mind.tell(trial, state=_failed())
            else:
                mind.tell(trial, result)
    return found


def _mind(search: Search) -> optuna.Study:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    samplers = optuna.samplers
    drawn = samplers.TPESampler if search.sampler == "tpe" else samplers.RandomSampler
    ways = optuna.study.StudyDirection
    direction = ways.MAXIMIZE if search.maximize else ways.MINIMIZE
    return optuna.create_study(direction=direction, sampler=drawn(seed=search.seed))


def _failed() -> optuna.trial.TrialState:
    import optuna

    return optuna.trial.TrialState.FAIL


def _space(it: Any) -> optuna.distributions.BaseDistribution:
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if it.choices:
            return optuna.distributions.CategoricalDistribution(range(len(it.choices)))
        if it.whole:
            return optuna.distributions.IntDistribution(int(it.low), int(it.high), log=it.log)
        return optuna.distributions.FloatDistribution(float(it.low), float(it.high), log=it.log)


def _point(study: Study, trial: optuna.trial.Trial) -> Point:
    search = study.search
    assert search is not None
    values = tuple((r.name, value_of(r, trial.params[r.name])) for r in search.ranges)
    return Point(study.arms[0], values, tuple(0 for _ in values), f"trial-{trial.number + 1:03}")


def _result(search: Search, runs: Sequence[Outcome]) -> float | None:
    """The mean over the seeds."""
    values = [o.metrics[search.path] for o in runs if o.status == "finished" and search.path in o.metrics]
    mean = spread(values) if len(values) == len(runs) else None
    return None if mean is None else mean.mean


def refuse_choice(study: Study, names: Sequence[str], option: str) -> None:
    """E265: a trial depends on all before it."""
    if study.search is not None and names:
        at = Label(study.source, study.search.span)
        help = "choose another folder with `-o`, or remove the option"
        raise RecipeError(Diagnostic("E265", f"`{option}` cannot be used in a search", at, help=(help,)))

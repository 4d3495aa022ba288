"""A study on the screen: the variants to run, their progress, the results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from recipelang.source.render import clean
from recipelang.source.words import duration, plural
from recipelang.spec.claims import metric_text
from recipelang.study import table
from recipelang.study.results import Outcome, best, log_of, rows

if TYPE_CHECKING:
    from recipelang.study.read import Study
    from recipelang.study.variants import Variant


def listing(
    wanted: Sequence[Variant], outcomes: Mapping[str, Outcome], folder: Path, jobs: Mapping[str, str]
) -> RenderableType:
    """`--plan`: every variant with its steps and state; a time if there are finished runs to estimate it from.

    `jobs`: of a cluster, by the names of the variants that they run.
    """
    grid = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    for head in ("variant", "steps", "state"):
        grid.add_column(head, justify="right" if head == "steps" else "left", overflow="fold")
    left = 0
    for variant in wanted:
        state = outcomes[variant.name].status
        left += variant.plan.steps if state != "finished" else 0
        steps = " + ".join(f"{s.steps:,}" for s in variant.plan.stages)
        shown: str = state if state != "waiting" else "to run"
        if state != "finished" and variant.name in jobs:
            shown = f"{shown} as job {jobs[variant.name]}"
        grid.add_row(Text(clean(variant.name)), steps, shown)
    speed = seconds_per_step(outcomes.values())
    much = f", about {duration(left * speed)} at the speed of the finished runs" if speed and left else ""
    return Group(grid, Text(f"\n{plural(len(wanted), 'run')}, {plural(left, 'step')} to go{much}; in {folder}"))


def seconds_per_step(outcomes) -> float | None:  # type: ignore[no-untyped-def]
    done = [o for o in outcomes if o.status == "finished" and o.seconds is not None and o.variant.plan.steps]
    steps = sum(o.variant.plan.steps for o in done)
    return sum(o.seconds for o in done) / steps if steps else None


class Lines:
    """Progress as lines: the runs write to logs of their own, so a bar would have nothing to show."""

    def __init__(
        self,
        console: Console,
        study: Study,
        made: Sequence[Variant],
        wanted: Sequence[Variant],
        outcomes: Mapping[str, Outcome],
        folder: Path,
        before: Sequence[Outcome] = (),
    ) -> None:
        """`before`: of a search, what is done and not among `made`."""
        self.before = before
        self.console, self.study, self.made, self.folder = console, study, made, folder
        self.outcomes = dict(outcomes)
        self.wanted = wanted
        kept = sum(1 for v in wanted if outcomes[v.name].status == "finished")
        more = f", {kept} of them finished" if kept else ""
        if study.search is None:
            console.print(Text(f"{clean(study.name)}: {plural(len(wanted), 'run')} in {folder}{more}"))

    def started(self, variant: Variant, how: str) -> None:
        steps = plural(variant.plan.steps, "step")
        self.console.print(Text(f"  {clean(variant.name)} {clean(how)}: {steps}", "dim"))

    def ended(self, outcome: Outcome) -> None:
        self.outcomes[outcome.variant.name] = outcome
        done = sum(1 for v in self.wanted if self.outcomes[v.name].status == "finished")
        done, of = done + len(self.before), max(self.study.runs, 1) if self.study.search else len(self.wanted)
        self.console.print(Text(f"{done}/{of} {clean(outcome.variant.name)}: {_said(outcome)}"))
        from recipelang.report.study import write

        write(self.study, self.folder, [*self.before, *(self.outcomes[v.name] for v in self.made)])


def _said(outcome: Outcome) -> str:
    if outcome.status != "finished":
        return f"{outcome.status}" + (f", {clean(outcome.error)}" if outcome.error else "")
    values = [f"{n} {metric_text(n, v)}" for n, v in outcome.metrics.items() if not n.startswith("stage.")]
    unmet = f", {plural(len(outcome.unmet), 'claim')} not met" if outcome.unmet else ""
    return f"{'  '.join(values)}  zeros {outcome.targets:.1%}, {duration(outcome.seconds or 0)}{unmet}"


def shown(study: Study, outcomes: Sequence[Outcome], folder: Path) -> RenderableType:
    """The table at the end. The remarks name what is missing in it."""
    made, left = table.telling(rows(study, outcomes))
    grid = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    heads, cells = table.heads(study, made, short=True), table.cells(study, made, short=True)
    found = best(study, made)
    kept = [i for i in range(len(heads)) if any(row[i] for row in cells)]
    for i in kept:
        grid.add_column(Text(clean(heads[i])), overflow="fold", no_wrap=heads[i] in ("arm", "trial"))
    for row in cells:
        grid.add_row(*(Text(clean(row[i])) for i in kept))
    failed = [
        Text(f"  {clean(o.variant.name)} failed: {clean(o.error)}; its log is {log_of(folder, o.variant)}", "red")
        for o in outcomes
        if o.status == "failed"
    ]
    nothing = [Text(f"  {left}", "dim")] if left else []
    note = Text(f"\n{table.NOTE}", "dim")
    if found is not None and study.search is not None:
        value = metric_text(study.search.path, found.metrics[study.search.path].mean)
        chosen = ", ".join(f"{n} = {v}" for n, v in found.point.values)
        nothing.append(Text(f"\nbest: {found.point.at}, {study.search.path} {value}, with {clean(chosen)}", "bold"))
    return Group(Text(""), grid, *nothing, note, *failed, Text(f"\nall output is in {folder}", "bold"))

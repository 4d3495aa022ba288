"""Times that a run measured at its end, as `run.json` holds them, and what they come to. Loads no torch.

All models of one measurement took turns in one process, so two of them compare round by round.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from recipelang.engine import paired
from recipelang.kinds.formats import RUNTIMES, runtime_name
from recipelang.planning.figure_plan import FigurePlan
from recipelang.source.words import plural, short_time
from recipelang.spec.figures import BASE, shown
from recipelang.storage.forms import Count, Form, Some, known

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class TimedForm(Form):
    """`model`: empty for the result, else `stage.NAME` or `base`."""

    model: str = ""
    runtime: Annotated[str, known(*RUNTIMES)]
    seconds: list[Seconds]


class SpeedForm(Form):
    """One measurement: every model made one pass in every round."""

    batch: Some
    length: Some
    threads: Some
    rounds: Annotated[int, Field(ge=paired.LEAST_ROUNDS)]
    seed: Count
    clock: Literal["processor time", "wall-clock time"]
    machine: str
    versions: dict[str, str]
    models: Annotated[list[TimedForm], Field(min_length=1)]

    @model_validator(mode="after")
    def _is_paired(self) -> Self:
        if any(len(m.seconds) != self.rounds for m in self.models):
            raise ValueError("`seconds` are not one for each of the `rounds`")
        if len({(m.model, m.runtime) for m in self.models}) != len(self.models):
            raise ValueError("`models` has one model twice")
        return self

    def seconds(self, model: str, runtime: str) -> list[float]:
        """Of one model; empty where it was not measured."""
        return next((m.seconds for m in self.models if (m.model, m.runtime) == (model, runtime)), [])


def of(speeds: Iterable[SpeedForm], figure: FigurePlan) -> SpeedForm | None:
    """The measurement with the settings of a figure."""
    wanted = (figure.batch, figure.length, figure.threads)
    return next((s for s in speeds if (s.batch, s.length, s.threads) == wanted), None)


def ratio(speeds: Iterable[SpeedForm], figure: FigurePlan) -> paired.Ratio | None:
    """Of a latency its median and interval, in seconds; none where it was not measured."""
    found = of(speeds, figure)
    ours = found.seconds("", figure.format) if found else []
    if found is None or not ours:
        return None
    if figure.name == "latency":
        return paired.Ratio(median(ours), *paired.median_interval(ours))
    theirs = found.seconds(figure.over, figure.reference_in)
    return paired.ratio(theirs, ours) if theirs else None


def values(speeds: Sequence[SpeedForm], figures: Iterable[FigurePlan]) -> dict[str, float]:
    """What was measured of times, by the texts of the figures."""
    each = ((f.text, ratio(speeds, f)) for f in figures if f.timed)
    return {text: found.median for text, found in each if found is not None}


def how(speeds: Sequence[SpeedForm], figures: Iterable[FigurePlan]) -> dict[str, str]:
    """Where and how each was measured, with its interval."""
    told = {}
    for figure in figures:
        found, settings = (ratio(speeds, figure), of(speeds, figure)) if figure.timed else (None, None)
        if found is not None and settings is not None:
            told[figure.text] = f"{interval(figure, found)}; {conditions(settings, figure.format)}"
    return told


def interval(figure: FigurePlan, found: paired.Ratio) -> str:
    """`1.93x (1.89 to 1.96) over stage.dense`, `20.9 ms (20.1 to 21.0 ms)`."""
    if figure.name == "latency":
        return f"{short_time(found.median)} ({short_time(found.low)} to {short_time(found.high)})"
    over = "the model that the run starts with" if figure.over == BASE else figure.over
    if figure.reference_in != figure.format:
        over += f" in {runtime_name(figure.reference_in)}"
    return f"{found.median:.2f}x ({found.low:.2f} to {found.high:.2f}) over {over}"


def conditions(speed: SpeedForm, runtime: str) -> str:
    """`PyTorch, 1 text of 128 tokens, processor time on 1 thread of Intel(R) Xeon(R), 50 rounds`."""
    each = f"{plural(speed.batch, 'text')} of {plural(speed.length, 'token')}"
    on = f"{speed.clock} on {plural(speed.threads, 'thread')} of {speed.machine}"
    return f"{runtime_name(runtime)}, {each}, {on}, {plural(speed.rounds, 'round')}"


def told(record: Mapping[str, Any], figures: Iterable[FigurePlan]) -> list[tuple[str, str]]:
    """Each figure of a record and what it came to, with units; times with their intervals and where they were measured."""
    named, times = record.get("figures", {}), how(read(record), figures)
    return [(text, times.get(text) or shown(text, value)) for text, value in named.items()]


def read(record: Mapping[str, Any]) -> list[SpeedForm]:
    """Of a record that was read."""
    found = record.get("speeds", [])
    return [s if isinstance(s, SpeedForm) else SpeedForm.model_validate(s) for s in found]

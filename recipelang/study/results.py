"""What the runs of a study left, gathered from their folders: one outcome a run, one row an arm and value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from recipelang.engine.records import read_record
from recipelang.engine.run_record import measured_on
from recipelang.source import Diagnostic, RecipeError
from recipelang.study.read import Study
from recipelang.study.statistics import Difference, Spread, paired, spread
from recipelang.study.variants import Point, Variant

Status = Literal["finished", "failed", "interrupted", "waiting"]
FORMAT_VERSION = "1.0"


@dataclass(frozen=True)
class Outcome:
    """`unmet`: claims that were checked and do not hold. `seconds` of training, checkpoints included.
    `gpus`: those that it was given, as `CUDA_VISIBLE_DEVICES` names them."""

    variant: Variant
    status: Status
    metrics: dict[str, float]
    targets: float | None = None
    all_parameters: float | None = None
    seconds: float | None = None
    unmet: tuple[str, ...] = ()
    error: str = ""
    device: str = ""
    gpus: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)  # of size and speed, of the result


@dataclass(frozen=True)
class Row:
    """All seeds of an arm at one value of each varied parameter; what is compared is compared with `baseline`."""

    point: Point
    n: int
    of: int
    metrics: dict[str, Spread]
    differences: dict[str, Difference]
    targets: Spread | None
    all_parameters: Spread | None
    seconds: Spread | None
    unmet: int
    failed: int
    rehearsal: int | None = None  # only the first so many steps of every stage
    measured_on: tuple[str, ...] = ()  # metrics that are of a part of their data, and of which
    figures: Mapping[str, Spread] = field(default_factory=dict)  # of size and speed, by their texts


def folder_of(out: Path, variant: Variant) -> Path:
    return out / "runs" / variant.name


def log_of(out: Path, variant: Variant) -> Path:
    return out / "logs" / f"{variant.name}.log"


def outcome(out: Path, variant: Variant) -> Outcome:
    """E102 when the folder holds another run than the study now asks for."""
    folder = folder_of(out, variant)
    try:
        record = read_record(folder)
    except RecipeError as error:
        return Outcome(variant, "failed", {}, error=error.diagnostics[0].message)
    _is_its_own(folder, record, variant)
    status: Status = "waiting"
    if record or (folder / "recipe" / "plan.json").is_file():
        said = record.get("status", "running")
        status = "interrupted" if said == "running" else said
    if status != "finished":
        return Outcome(variant, status, {}, error="; ".join(record.get("error", ())))
    sparsity = record["sparsity"]
    stages = [s.name for s in variant.plan.stages]
    return Outcome(
        variant,
        status,
        {n: v for n, v in record["metrics"].items() if _is_told(n, variant, stages)},
        sparsity["targets"],
        sparsity["all_parameters"],
        sum(record["seconds"].values()),
        tuple(f"{c['kind']} {c['text']}" for c in record["claims"] if c["met"] is False),
        device=record["environment"].get("device", ""),
        gpus=record["environment"].get("variables", {}).get("CUDA_VISIBLE_DEVICES", ""),
        figures={n: v for n, v in record.get("figures", {}).items() if not n.startswith("stage.")},
    )


def _is_told(name: str, variant: Variant, stages: Sequence[str]) -> bool:
    """Values at the end of the run, and those after earlier stages that claims speak of."""
    return not name.startswith(f"stage.{stages[-1]}.") and (
        not name.startswith("stage.") or any(name in c.text for c in variant.plan.claims)
    )


def _is_its_own(folder: Path, record: dict[str, Any], variant: Variant) -> None:
    if not record:
        return
    written, rehearsal = record.get("digests", {}).get("spec", ""), record.get("rehearsal")
    plan = variant.plan
    if written == plan.spec_digest and rehearsal == plan.rehearsal:
        return
    if written != plan.spec_digest:
        notes = [
            "the study, its recipe, its data or the command line has changed since",
            f"the folder has {written[:19]}, the study expects {plan.spec_digest[:19]}",
        ]
    else:
        notes = [f"the folder has {_rehearsed(rehearsal)}, the study expects {_rehearsed(plan.rehearsal)}"]
    help = f"choose another folder with `-o`, or run the variant again with `--again {variant.name}`"
    raise RecipeError(
        Diagnostic(
            "E102", f"`{folder}` holds a different run from the one the study needs", notes=tuple(notes), help=(help,)
        )
    )


def _rehearsed(steps: int | None) -> str:
    return f"a rehearsal of {steps} steps per stage" if steps else "a whole run"


def rows(study: Study, outcomes: Iterable[Outcome]) -> list[Row]:
    """In the order of the study."""
    by_point: dict[Point, list[Outcome]] = {}
    for o in outcomes:
        by_point.setdefault(o.variant.point, []).append(o)
    return [_row(point, found, _baseline(study, point, by_point)) for point, found in by_point.items()]


def _baseline(study: Study, point: Point, by_point: dict[Point, list[Outcome]]) -> list[Outcome] | None:
    """The baseline arm at the same values; of itself there is none."""
    if study.baseline is None or point.arm.name == study.baseline:
        return None
    return next((o for p, o in by_point.items() if p.arm.name == study.baseline and p.values == point.values), None)


def _row(point: Point, found: list[Outcome], baseline: list[Outcome] | None) -> Row:
    done = [o for o in found if o.status == "finished"]
    names = dict.fromkeys(n for o in done for n in o.metrics)
    metrics = {n: s for n in names if (s := spread([o.metrics[n] for o in done if n in o.metrics]))}
    differences = {n: d for n in names if baseline and (d := paired(_by_seed(done, n), _by_seed(baseline, n)))}
    return Row(
        point,
        len(done),
        len(found),
        metrics,
        differences,
        spread([o.targets for o in done if o.targets is not None]),
        spread([o.all_parameters for o in done if o.all_parameters is not None]),
        spread([o.seconds for o in done if o.seconds is not None]),
        sum(1 for o in done if o.unmet),
        sum(1 for o in found if o.status == "failed"),
        next((o.variant.plan.rehearsal for o in found), None),
        tuple(dict.fromkeys(_partial(o.variant, n) for o in done for n in o.metrics if _partial(o.variant, n))),
        _figures(done),
    )


def _figures(done: Sequence[Outcome]) -> dict[str, Spread]:
    names = dict.fromkeys(n for o in done for n in o.figures)
    return {n: s for n in names if (s := spread([o.figures[n] for o in done if n in o.figures]))}


def _partial(variant: Variant, metric: str) -> str:
    on = measured_on(variant.plan, metric)
    return f"`{metric.rpartition('.')[0]}` on {on}" if on else ""


def _by_seed(outcomes: Iterable[Outcome], metric: str) -> dict[int | None, float]:
    return {o.variant.seed: o.metrics[metric] for o in outcomes if metric in o.metrics}


def document(study: Study, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """`study.json`."""
    return {
        "format_version": FORMAT_VERSION,
        "study": study.name,
        "baseline": study.baseline,
        **_searched(study, rows(study, outcomes)),
        "vary": {v.name: [study.source.slice(e.span) for e in v.values] for v in study.vary},
        "interval": "95 %, Student's t over paired differences seed by seed; sd divides by n - 1",
        "runs": [_run(o) for o in outcomes],
        "table": [_line(r) for r in rows(study, outcomes)],
    }


def _run(o: Outcome) -> dict[str, Any]:
    v = o.variant
    return {
        "name": v.name,
        "arm": v.point.arm.name,
        "values": dict(v.point.values),
        "seed": v.seed,
        "rehearsal": v.plan.rehearsal,
        "status": o.status,
        "spec": v.plan.spec_digest,
        "steps": v.plan.steps,
        "metrics": o.metrics,
        **({"figures": dict(o.figures)} if o.figures else {}),
        "measured_on": {n: on for n in o.metrics if (on := measured_on(v.plan, n))},
        "sparsity": {"targets": o.targets, "all_parameters": o.all_parameters},
        "seconds": o.seconds,
        "unmet_claims": list(o.unmet),
        "error": o.error,
        "device": o.device,
        "gpus": o.gpus,
    }


def best(study: Study, made: Sequence[Row]) -> Row | None:
    """Of a search: the trial with the best mean over its seeds, the first of equal ones."""
    search = study.search
    if search is None or not (done := [r for r in made if r.n == r.of and search.path in r.metrics]):
        return None
    return (max if search.maximize else min)(done, key=lambda r: r.metrics[search.path].mean)


def _searched(study: Study, made: Sequence[Row]) -> dict[str, Any]:
    search, found = study.search, best(study, made)
    if search is None:
        return {}
    told: dict[str, Any] = {
        "path": search.path,
        "goal": "maximize" if search.maximize else "minimize",
        "trials": search.trials,
    }
    told |= {"sampler": search.sampler, "seed": search.seed}
    if found is not None:
        told["best"] = {"trial": found.point.at, "values": dict(found.point.values)}
    return {"search": told}


def _line(r: Row) -> dict[str, Any]:
    def told(s: Spread | Difference | None) -> dict[str, Any] | None:
        return None if s is None else dict(s.__dict__)

    return {
        "arm": r.point.arm.name,
        "values": dict(r.point.values),
        "rehearsal": r.rehearsal,
        "runs": r.of,
        "finished": r.n,
        "failed": r.failed,
        "with_unmet_claims": r.unmet,
        "metrics": {n: told(s) for n, s in r.metrics.items()},
        **({"figures": {n: told(s) for n, s in r.figures.items()}} if r.figures else {}),
        "differences": {n: told(d) for n, d in r.differences.items()},
        "sparsity": {"targets": told(r.targets), "all_parameters": told(r.all_parameters)},
        "seconds": told(r.seconds),
    }

"""The page of one run: plan, curves and results, from the files in its folder."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from recipelang.engine import speeds
from recipelang.engine.position import differences
from recipelang.engine.records import read_record
from recipelang.engine.run_record import claimed_on, measured_on
from recipelang.kinds.formats import FORMATS
from recipelang.planning.shrink_plan import ShrinkPlan
from recipelang.planning.sliced import by_block, told_of_all
from recipelang.planning.types import Plan, StagePlan
from recipelang.report import page as p
from recipelang.report.chart import Axis, Chart, Series, svg
from recipelang.report.curves import Points, read_curves, smoothed
from recipelang.report.heat import heat
from recipelang.schedules.stepwise import at
from recipelang.source.markup import escape
from recipelang.source.render import clean
from recipelang.source.words import amount, duration, first_n, plural, size_text
from recipelang.spec.claims import RATIO_METRICS, metric_text
from recipelang.storage.reading import MAX_RECORD, Unreadable, Why, read_text
from recipelang.storage.writing import write_text

NAME = "report.html"
#: points of a planned curve in one stage
_POINTS = 400
#: of a block, in its table and in the chart
_EVENTS = 1_000


def text(folder: Path, plan: Plan) -> str:
    """The page, of a finished run or of one that was stopped."""
    record = read_record(folder)
    curves = read_curves(folder / "tensorboard")
    try:
        recipe = read_text(folder / "recipe" / "effective.recipe", MAX_RECORD, inside=folder)
    except Unreadable as error:
        if error.why is not Why.MISSING:
            raise error.coded("E137") from None
        recipe = "# recipe/effective.recipe is missing"
    return p.page(
        clean(plan.name),
        p.heading(clean(plan.name), _below(record, plan)),
        p.paragraphs(_warning(record, plan)),
        p.tiles(_tiles(record, plan)),
        p.section("Claims", _claims(record, plan)),
        p.section("Size and speed", _sizes(record, plan)),
        p.section("Curves", p.figures(charts(plan, record, curves))),
        p.section("Sparsity of every matrix", _map(record), _never(record)),
        p.section("Plan", *planned(plan)),
        p.section(
            "Provenance", _made(record, plan), p.folded("the recipe, with every value written out", p.listing(recipe))
        ),
    )


def write(folder: Path, plan: Plan) -> Path:
    """`report.html` in the folder of a run."""
    write_text(folder / NAME, text(folder, plan), inside=folder)
    return folder / NAME


def pictures(plan: Plan, record: dict[str, Any], curves: dict[str, Points]) -> dict[str, str]:
    """The same plots by name, for files of their own."""
    rehearsed = " (rehearsal)" if plan.rehearsal else ""
    found = {
        c.title.replace(" ", "-"): svg(replace(c, title=c.title + rehearsed), titled=True)
        for c in charts(plan, record, curves)
        if not c.empty
    }
    if tensors := record.get("sparsity", {}).get("tensors"):
        found["sparsity-of-every-matrix"] = heat(tensors)
    return found


# ---------------------------------------------------------------------- words
def _below(record: dict[str, Any], plan: Plan) -> list[str]:
    return [
        record.get("status", "no record") + (" (rehearsal)" if plan.rehearsal else ""),
        f"recipe {plan.source}",
        f"seed {plan.seed}",
        record.get("time", "")[:16].replace("T", " "),
    ]


def _warning(record: dict[str, Any], plan: Plan) -> str:
    if plan.rehearsal:
        return f"A rehearsal: the run was limited to {first_n(plan.rehearsal, 'step')} of every stage."
    match record.get("status"):
        case "finished":
            return ""
        case "failed":
            return "The run failed: " + "; ".join(clean(e) for e in record.get("error", ()))
    return "The run is not finished: the curves end at its current step, and no claim is checked yet."


def _tiles(record: dict[str, Any], plan: Plan) -> list[tuple[str, str]]:
    last = plan.stages[-1].name
    metrics = {n: v for n, v in record.get("metrics", {}).items() if not n.startswith(f"stage.{last}.")}
    ends = {n: v for n, v in metrics.items() if not n.startswith("stage.")}
    earlier = {n: v for n, v in metrics.items() if n.startswith("stage.")}
    both = (*ends.items(), *earlier.items())
    found = [(clean(", on ".join(filter(None, (n, measured_on(plan, n))))), metric_text(n, v)) for n, v in both]
    if "sparsity" in record:
        found.append(("sparsity of the pruned weights", f"{record['sparsity']['targets']:.2%}"))
        found.append(("sparsity of all parameters", f"{record['sparsity']['all_parameters']:.2%}"))
    claims = [c for c in record.get("claims", ()) if c["met"] is not None]
    if claims:
        found.append(("claims met", f"{sum(c['met'] for c in claims)} of {len(claims)}"))
    if seconds := sum(record.get("seconds", {}).values()):
        found.append(("time of all stages", duration(seconds)))
    return found


def _claims(record: dict[str, Any], plan: Plan) -> str:
    judged = record.get("claims", ())
    if judged:
        rows = [
            [
                _code(f"{c['kind']} {c['text']}"),
                escape(c["expected"]),
                escape(c["measured"]) + (f", on {on}" if (on := claimed_on(plan, c["text"])) else ""),
                p.met(c["met"]),
            ]
            for c in judged
        ]
        return p.table(("claim", "expected", "measured", "met"), rows, raw=True)
    rows = [[_code(f"{c.kind} {c.text}"), p.met(None)] for c in plan.claims]
    return p.table(("claim", "met"), rows, raw=True)


def _sizes(record: dict[str, Any], plan: Plan) -> str:
    """What claims measured, the files of every format, and the parameters before and after the model was shrunk."""
    rows = [[_code(text), escape(told)] for text, told in speeds.told(record, plan.figures)]
    for name, written in record.get("exports", {}).items():
        if not written.get("error"):
            rows.append([f"files for {escape(FORMATS[name].runtime)}", size_text(written["bytes"])])
    shrunk = any(s.shrinks for s in plan.stages)
    if not rows and not shrunk:
        return ""
    before, after = plan.model.parameters, plan.parameters()
    counts = f"{before:,}, of which {after:,} are left" if shrunk else f"{before:,}"
    return p.table(("quantity", "value"), [["parameters", counts], *rows], raw=True)


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>"


def _map(record: dict[str, Any]) -> str:
    tensors = record.get("sparsity", {}).get("tensors")
    if not tensors:
        return '<p class="quiet-text">Measured at the end of the run.</p>'
    return f'<figure><div class="scroll">{heat(tensors)}</div><figcaption>zeros in percent</figcaption></figure>'


def _never(record: dict[str, Any]) -> str:
    never = record.get("never")
    if not never or not never["tensors"]:
        return ""
    gained = never["gained_zeros"]
    told = f"{len(gained)} gained zeros ({', '.join(gained)})" if gained else "none gained zeros"
    return f"<p>{plural(never['tensors'], 'protected tensor')}: {escape(told)}.</p>"


# ---------------------------------------------------------------------- plots
def charts(plan: Plan, record: dict[str, Any], curves: dict[str, Points]) -> list[Chart]:
    total = max(1, plan.steps)
    x = Axis("optimizer step", within=(0, total))
    starts = [0, *itertools.accumulate(s.steps for s in plan.stages)]
    parts = [(float(a), clean(s.name)) for a, s in zip(starts, plan.stages, strict=False)] if plan.steps else []
    loss = curves.get("train/loss", [])
    dots = len(loss) < 3
    found = [
        Chart(
            "loss",
            [Series("", loss, faint=not dots, dots=dots), Series("", _smoothed(loss, starts), dots=dots)],
            x,
            Axis(),
            parts,
        ),
        Chart("learning rate", [Series("", _rates(plan, starts), 1, dots=False)], x, Axis(within=(0, 0)), parts),
        Chart(
            "sparsity of the pruned weights",
            _sparsities(plan, record, curves, starts),
            x,
            Axis(percent=True, within=(0, 0)),
            parts,
        ),
    ]
    return [*found, *_metrics(plan, curves, x, parts)] if plan.steps else []


def _smoothed(loss: Points, starts: list[int]) -> Points:
    """Each stage by itself: another loss may be trained in it. A point at `starts[i]` is the last of the stage before."""
    found: Points = []
    for first, last in itertools.pairwise([float("-inf"), *map(float, starts[1:-1]), float("inf")]):
        found += smoothed([(x, y) for x, y in loss if first < x <= last])
    return found


def _rates(plan: Plan, starts: list[int]) -> Points:
    """At evenly spread steps, and on both sides of every jump."""
    points: Points = []
    for stage, start in zip(plan.stages, starts, strict=False):
        if stage.steps:
            points += [(float(start + k), at(stage.learning_rate, k)) for k in _looked_at(stage)]
    return points


def _looked_at(stage: StagePlan) -> list[int]:
    spread = {round(i * (stage.steps - 1) / (_POINTS - 1)) for i in range(_POINTS)}
    jumps = {k for s in stage.learning_rate for k in (s.first, s.last, *s.cycles)}
    near = {k + d for k in jumps for d in (-1, 0)}
    return sorted(k for k in spread | near if 0 <= k < stage.steps)


def _sparsities(plan: Plan, record: dict[str, Any], curves: dict[str, Points], starts: list[int]) -> list[Series]:
    """One line a prune block; before the end of the run also what was reached."""
    found: list[Series] = []
    blocks = [(start, s, b) for start, s in zip(starts, plan.stages, strict=False) for b in s.prunes if b.events]
    for start, stage, block in blocks:
        points = [(float(start + e.step), e.sparsity) for e in thinned(block.events)]
        points = [(points[0][0], 0.0), *points, (float(plan.steps), points[-1][1])]
        name = clean(block.name if len(plan.stages) == 1 else f"{stage.name}, {block.name}") if len(blocks) > 1 else ""
        found.append(Series(name, points, len(found) + 2, steps=True, dots=False))
    if record.get("status") != "finished" and (reached := curves.get("train/sparsity")):
        found = [Series(s.name or "planned", s.points, s.colour, steps=True, dots=False, dashed=True) for s in found]
        found.append(Series("reached", reached, 0, dots=False, steps=True))
    return found


def _metrics(plan: Plan, curves: dict[str, Points], x: Axis, parts: list[tuple[float, str]]) -> list[Chart]:
    """For evaluations with more than two points; those at the ends of stages are given as numbers."""
    found = []
    for evaluation in plan.evaluations:
        named = [(m, curves.get(f"{evaluation.name}/{m}", [])) for m in evaluation.metrics]
        for share in (True, False):
            lines = [Series(m, points, i) for i, (m, points) in enumerate(named) if (m in RATIO_METRICS) == share]
            if any(len(s.points) > 2 for s in lines):
                found.append(Chart(f"{clean(evaluation.name)}", lines, x, Axis(percent=share), parts))
    return found


# ----------------------------------------------------------------------- plan
def planned(plan: Plan) -> list[str]:
    stages = [
        [
            clean(s.name),
            f"{s.steps:,}" if s.steps else "one-shot",
            f"{s.epochs:.2f}".rstrip("0").rstrip(".") if s.epochs else "",
            f"{s.batch}" if s.steps else "",
            f"{s.optimizer}, {s.precision}" if s.steps else s.precision,
            "; ".join([*map(_shrink, by_block(s)), *map(_prune, s.prunes)]) or "nothing",
            "; ".join(f"from {clean(d.teacher_ref)}" for d in s.distills),
        ]
        for s in plan.stages
    ]
    heads = ("stage", "steps", "epochs", "batch", "optimizer", "shrinks or prunes", "distils")
    model = f"{plan.model.ref} ({plan.model.family}, {amount(plan.model.parameters)} parameters), {plan.model.task.replace('_', ' ')}"
    data = [
        [
            clean(d.label or "data"),
            n,
            clean(s.reference),
            "streamed" if s.stream else f"{d.examples.get(n, 0):,}",
            "" if s.stream else f"{d.items.get(n, 0):,}",
            f"{d.max_length}",
        ]
        for d in plan.data
        for n, s in d.splits.items()
    ]
    return [
        f"<p>Model: <code>{escape(model)}</code></p>",
        p.table(heads, stages, numbers=(1, 2, 3)),
        p.table(("data", "split", "from", "examples", "inputs", "tokens"), data, numbers=(3, 4, 5)),
        *(p.folded(f"events of {clean(s.name)}, {clean(b.name)}", _events(b)) for s in plan.stages for b in s.prunes),
    ]


def _shrink(rounds: Sequence[ShrinkPlan]) -> str:
    before, after = rounds[0].parameters[0], rounds[-1].parameters[1]
    of = ""
    if budget := rounds[-1].budget:
        of = f" (predicted {budget.speed.predicted:.2f}x as fast)" if budget.speed else f" (budget {budget.most:,})"
    steps = f" in rounds before steps {', '.join(f'{r.step:,}' for r in rounds)}" if len(rounds) > 1 else ""
    return f"{told_of_all(rounds)}{steps}, by {rounds[0].by}: {before:,} -> {after:,} parameters{of}"


def _prune(block: Any) -> str:
    weights = sum(t.size for t in block.targets)
    what = f"{plural(len(block.targets), 'matrix')}, {plural(weights, 'weight')}, by {block.method}"
    if not block.events:
        return what
    start, last = block.events[0], block.events[-1]
    pattern = (
        "" if block.pattern == "unstructured" else f", {block.pattern} {block.pattern_size[0]}:{block.pattern_size[1]}"
    )
    how = f"{what} ({block.scope}{pattern})"
    if len(block.events) == 1:
        return f"{how}, {last.sparsity:.0%} at once"
    return f"{how}, {start.sparsity:.0%} to {last.sparsity:.0%} in {plural(len(block.events), 'event')}"


def _events(block: Any) -> str:
    shown = thinned(block.events)
    rows = [[f"{e.step:,}", f"{e.sparsity:.2%}", f"{sum(e.zeros):,}"] for e in shown]
    table = p.table(("step", "sparsity", "zeros"), rows, numbers=(0, 1, 2))
    told = (
        f"{len(shown):,} of {len(block.events):,} events are shown, evenly spaced"
        if len(shown) < len(block.events)
        else ""
    )
    return table + (f"<p>{told}</p>" if told else "")


def thinned(events: Sequence[Any]) -> Sequence[Any]:
    """At most `_EVENTS` of them, evenly, the first and the last among them: more make no page that can be read."""
    last = len(events) - 1
    if last < _EVENTS:
        return events
    return [events[round(i * last / (_EVENTS - 1))] for i in range(_EVENTS)]


def _one_line(value: object) -> str:
    return ", ".join(f"{n} {v}" for n, v in value.items()) if isinstance(value, dict) else str(value)


def _sessions(sessions: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Every resume: where the run went on, what was not as before, and the claims that were replaced."""
    rows = []
    for before, now in itertools.pairwise(sessions):
        told = [f"{clean(now['started'])}, at step {now['step']:,} of stage {now['stage'] + 1}"]
        told += map(clean, differences(before["environment"], now["environment"]))
        told += [f"claimed before: {clean(c)}" for c in before["claims"] if c not in now["claims"]]
        told += [f"claimed now: {clean(c)}" for c in now["claims"] if c not in before["claims"]]
        rows.append(["resumed", "; ".join(told)])
    return rows


def _made(record: dict[str, Any], plan: Plan) -> str:
    rows = [
        ["spec digest", plan.spec_digest],
        ["behaviour digest", plan.behaviour_digest],
        ["model", plan.model.digest],
    ]
    rows += [[clean(n), clean(_one_line(v))] for n, v in record.get("environment", {}).items()]
    rows += [["run digest", clean(str(record.get("digests", {}).get("run", "")))]]
    rows += _sessions(record.get("sessions", []))
    rows += [[f"time of {clean(n)}", duration(s)] for n, s in record.get("seconds", {}).items()]
    return p.table(("what", "value"), rows)

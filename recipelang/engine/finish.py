"""The end of a run: weights are written, measured and judged, and the record says so."""

from __future__ import annotations

import pkgutil
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from recipelang import processes
from recipelang.engine import export
from recipelang.engine.card import card
from recipelang.engine.course import Course
from recipelang.engine.evaluate import evaluate
from recipelang.engine.exporting import Written, write_exports
from recipelang.engine.figures import at_end
from recipelang.engine.harness import measure_harness
from recipelang.engine.records import RECORD, Interrupted, Measurements, Result
from recipelang.engine.run_record import counted, emptied, told_of, warn_of_emptied
from recipelang.engine.runtimes import open_exported
from recipelang.engine.sources import same_model
from recipelang.engine.speeds import how
from recipelang.engine.statement import STATEMENT, statement
from recipelang.kinds.formats import FORMATS, others
from recipelang.planning.types import EvaluatePlan
from recipelang.planning.zeros import Pattern, patterns_of
from recipelang.pruning import shards
from recipelang.pruning.stacks import layouts
from recipelang.spec.claims import Verdict, metric_text
from recipelang.spec.harness import HARNESS
from recipelang.storage.writing import json_text, remove_folder, write_json, write_text
from recipelang.tasks import Features

Judge = Callable[[Measurements], tuple[Verdict, ...]]


def finish(run: Course, judge: Judge, started: float) -> Result:
    """Weights are written before claims are judged: a failed claim loses nothing."""
    run.check_place()
    source, folder = Path(run.plan.model.path), run.out / "export"
    same_model(source, run.plan.model.digest, f"the model `{run.plan.model.ref}`")  # the tokenizer is copied from there
    with run.clock.part("export"):
        export.save_model(
            run.model, folder, source, run.plan.export.max_shard, run.stamp(), run.plan.model.task, run.disk
        )
    if processes.main():
        export.move_up(folder, run.out)
    _leave_out_stages(run)
    exports, elsewhere = _other_formats(run)
    elsewhere |= _of_lm_eval(run)
    sizes, times = at_end(run, exports)
    lying = layouts(run.model)
    matrices = tuple(n for n, p in run.model.named_parameters() if p.dim() == 2 or n in lying)
    measured = Measurements(
        {**run.position.metrics, **elsewhere},
        run.zeros(matrices),
        {n: p.numel() for n, p in run.model.named_parameters()},
        run.plan.selections,
        _patterns(run, matrices, {n for n, lies in lying.items() if lies.inputs_first}),
        sizes,
        how(times, run.plan.figures),
    )
    before = run.position.zeros_at_start
    gained = {n: z - before[n] for n, z in run.zeros(run.plan.never).items() if z > before[n]}
    verdicts = () if run.plan.rehearsal else judge(measured)
    result = Result(run.out, run.plan, measured, verdicts, time.monotonic() - started, gained)
    told = told_of(result, run.position.seconds, run.zeros(tuple(measured.sizes)))
    if exports:
        told["exports"] = {name: written.told() for name, written in exports.items()}
    if times:
        told["speeds"] = [t.model_dump() for t in times]
    told["parts"] = {name: round(seconds, 3) for name, seconds in run.clock.seconds.items()}
    if run.position.layers_kept:
        told["layers_kept"] = run.position.layers_kept
    if not processes.main():
        return result
    shares = told["sparsity"]["tensors"]
    run.reporter.found(warn_of_emptied(emptied(run.plan.stages, shares), shares))
    if run.plan.export.card:
        write_text(run.out / "README.md", card(run.plan, told, run.out), inside=run.out)
    body = run.record_body("finished", told)
    more = {**counted(measured), "never": {n: before[n] for n in run.plan.never}}
    said = statement(run.plan, run.out, body, more, json_text(body))
    write_json(run.out / "recipe" / STATEMENT, said, inside=run.out)  # first: a finished run always has it
    write_json(run.out / RECORD, body, inside=run.out)
    remove_folder(run.checkpoints, inside=run.out)  # the weights themselves are there now
    return result


def _leave_out_stages(run: Course) -> None:
    """A model that was kept for a claim belongs to the run while the claim does."""
    for stage in run.plan.stages if processes.main() else ():
        folder = run.out / "stages" / stage.name
        if stage.name not in run.plan.kept_stages and folder.is_dir():
            remove_folder(folder, inside=run.out)


def _other_formats(run: Course) -> tuple[dict[str, Written], dict[str, float]]:
    """The written weights in every other format of the plan, each evaluated as the model itself was."""
    names = others(run.plan.export)
    if not names:
        return {}, {}
    evaluations, cpu = run.plan.evaluations, torch.device("cpu")
    data = {e.name: run.split(run.data_of(e.data), e.split, e.samples) for e in evaluations}
    done: dict[str, Written] = {}
    with run.clock.part("other formats"):
        if processes.main():
            done, found = write_exports(run.plan, run.out, _first_batch(run, data))
            run.reporter.found(found)
        done, metrics = processes.first(done), dict[str, float]()
        for name in (n for n in names if not done[n].error):
            model = open_exported(run.out, name, torch.get_num_threads())
            if prepare := run.task.prepare:
                pkgutil.resolve_name(prepare)(model, run.plan.model)
            for e in evaluations:
                told = run.under_way(e, len(data[e.name][1]))
                with run.clock.part(f"evaluate {e.name} in {name}"):
                    measured = evaluate(model, run.task, e, *data[e.name], cpu, nullcontext, told=told)
                metrics |= {f"{e.name}.{name}.{metric}": value for metric, value in measured.items()}
                shown = "  ".join(f"{m} {metric_text(m, v)}" for m, v in measured.items())
                run.reporter.message(f"{e.name} in {FORMATS[name].runtime}: {shown}")
    return done, metrics


def _of_lm_eval(run: Course) -> dict[str, float]:
    """Tasks of lm-eval, with the final weights; a signal ends one between two batches, and `resume` measures it again."""
    found: dict[str, float] = {}
    last = run.plan.stages[-1]
    for plan in run.plan.harnesses:
        name = f"{HARNESS} {plan.name}"
        shown = EvaluatePlan(name=name, split=plan.task, metrics=())

        def told(done: int, of: int, shown: EvaluatePlan = shown) -> None:
            run.reporter.measuring(shown, done, of)
            if run.stop.received and processes.world() == 1:
                raise Interrupted(run.stop.received, run.checkpoints)

        whole = nullcontext() if run.disk is None else run.disk.whole()
        folder, cast = Path(run.plan.model.path), run.autocast(last.precision)
        with run.clock.part(name), whole:
            measured = measure_harness(run.model, folder, plan, run.plan.seed, cast, told)
        run.obey()
        found |= measured
        on = f"at most {plan.samples:,} examples" if plan.samples else ""
        run.reporter.evaluated(last.name, name, {m.rpartition(".")[2]: v for m, v in measured.items()}, None, on)
    return found


def _first_batch(run: Course, data: Mapping[str, tuple[Sequence[Any], Features]]) -> dict[str, Tensor] | None:
    """What the first evaluation reads first."""
    for e in run.plan.evaluations:
        features = data[e.name][1]
        batch = features.batch(range(min(len(features), e.batch)))
        return {n: torch.from_numpy(v) for n, v in batch.items() if n not in run.task.labels}
    return None


def _patterns(run: Course, names: tuple[str, ...], turned: Collection[str]) -> dict[str, tuple[Pattern, ...]]:
    """For every matrix the patterns of the plan that it keeps to, then the usual ones: a model may come with them."""
    planned = {(p.pattern, p.pattern_size) for s in run.plan.stages for p in s.prunes} - {("unstructured", (0, 0))}
    each = ((n, (shards.whole(weight).detach() != 0).cpu().numpy()) for n, weight in run.weights(names))
    return {n: patterns_of(live, tuple(sorted(planned)), turned=n in turned) for n, live in each}

"""A plan from its first step to its record: stages in order, checkpoints, evaluation, export, claims."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from recipelang import processes
from recipelang.engine import checkpoint, export
from recipelang.engine.acting import acting
from recipelang.engine.attention_maps import show_maps
from recipelang.engine.card import card
from recipelang.engine.depth import keep_layers
from recipelang.engine.environment import chosen_device, environment
from recipelang.engine.evaluate import evaluate
from recipelang.engine.event_log import Curves, EventLog
from recipelang.engine.files import moved, only_one, same_folder
from recipelang.engine.gradients import gradients
from recipelang.engine.groups import make_optimizer
from recipelang.engine.interrupt import StopRequests
from recipelang.engine.layers import Layers
from recipelang.engine.leavings import check_no_links
from recipelang.engine.loop import train
from recipelang.engine.models import is_out_of_memory, load_model
from recipelang.engine.order import drawn
from recipelang.engine.position import Position, Session, environments
from recipelang.engine.records import RECORD, Interrupted, Measurements, Reporter, Result, Several
from recipelang.engine.run_record import body, counted, emptied, measured_on, told_of, warn_of_emptied
from recipelang.engine.seeds import stream
from recipelang.engine.sessions import earlier, reclaimed, resumed, session, told_claims
from recipelang.engine.sources import same_data, same_model, unchanged
from recipelang.engine.statement import STATEMENT, lock_digest, run_digest, stamps, statement
from recipelang.engine.teacher_cache import Kept, Wanted, teacher_outputs
from recipelang.methods import METHODS
from recipelang.modifiers.distill import Running, asked
from recipelang.modifiers.modifier import Event, Modifier, State, fire
from recipelang.modifiers.prune import code_of, fits_shards
from recipelang.planning.data import load_split
from recipelang.planning.facts import model_digest
from recipelang.planning.types import DataPlan, DistillPlan, Plan, StagePlan
from recipelang.planning.zeros import Pattern, patterns_of
from recipelang.pruning import shards
from recipelang.pruning.masks import Masks
from recipelang.pruning.scores import Gradients
from recipelang.schedules.stepwise import at
from recipelang.source import Diagnostic, RecipeError, fail
from recipelang.spec.claims import Verdict
from recipelang.storage.writing import json_text, remove_folder, sweep, write_json, write_text
from recipelang.tasks import Features, task_of

Judge = Callable[[Measurements], tuple[Verdict, ...]]


def execute(
    plan: Plan,
    out: Path,
    reporter: Reporter,
    judge: Judge,
    *,
    resume: bool = False,
    shard: bool = False,
    exact: bool = False,
    held: bool = False,
    written: Plan | None = None,
) -> Result:
    """Run a plan into a prepared folder, or continue from its newest good checkpoint.

    `exact`: refuse to resume where other bits could come out. `held`: the caller has locked the folder. `written`: the
    plan of the start before this one.
    Raises `RecipeError` with a code, or `Interrupted` after a signal.
    """
    with only_one(out) if processes.main() and not held else nullcontext():
        if processes.main():
            check_no_links(out)
            for folder in (out, out / "recipe", out / "checkpoints", out / "stages"):
                sweep(folder)
        return _execute(_Run(plan, out, reporter, shard, exact, written or plan), judge, resume)


def _execute(run: _Run, judge: Judge, resume: bool) -> Result:
    try:
        with StopRequests() as stop:
            return run.go(stop, judge, resume)
    except Interrupted:
        run.note("interrupted", {})
        raise
    except RecipeError as error:
        run.check_place()
        run.note("failed", {"error": [f"{d.code}: {d.message}" for d in error.diagnostics]})
        raise RecipeError(map(run.with_last_good, error.diagnostics)) from None
    except Exception as error:
        run.check_place()
        if is_out_of_memory(error):
            raise _out_of_memory(run) from None
        if processes.is_gone(error):
            raise RecipeError(map(run.with_last_good, processes.gone(error).diagnostics)) from None
        run.note("failed", {"error": [f"{type(error).__name__}: {error}"]})
        raise


def _out_of_memory(run: _Run) -> RecipeError:
    run.note("failed", {"error": ["E081: out of memory"]})
    batch = max(s.micro_batch for s in run.plan.stages)
    help = "use a machine with more memory, or a smaller `max_length`"
    if batch > 1:
        help = f"set `micro_batch` below {batch}: the same steps in less memory"
    return fail("E081", "out of memory", help=help)


class _Run:
    def __init__(self, plan: Plan, out: Path, reporter: Reporter, shard: bool, exact: bool, written: Plan) -> None:
        self.plan = plan
        self.written = written
        self.out = out
        self.reporter = reporter
        self.shard = shard
        self.exact = exact
        self.place = os.stat(out)
        self.device = chosen_device()
        self.around = environment(self.device, shard)
        self.checkpoints = out / "checkpoints"
        self.position = Position(behaviour=plan.behaviour_digest)
        self.masks = Masks()
        self.task = task_of(plan.model.task)
        self.data: dict[tuple[str, str, int | None], tuple[tuple[Any, ...], Features]] = {}
        self.needed = {d.teacher for s in plan.stages for d in s.distills if d.teacher.startswith("stage.")}

    # ------------------------------------------------------------------ the run
    def go(self, stop: StopRequests, judge: Judge, resume: bool) -> Result:
        for method in {p.method: METHODS[p.method] for s in self.plan.stages for p in s.prunes}.values():
            code_of(method)  # E205 now, not after hours in a later stage
        started = time.monotonic()
        self.stop = stop
        past = earlier(self.out) if resume else []
        self.position.sessions = [*past, self._session()]
        if not resume:
            self.record("running", {})
        unchanged(self.plan)
        model = load_model(Path(self.plan.model.path), self.plan.model, self.plan.seed, self.plan.model.redrawn)
        model = model if self.plan.model.drop is None else keep_layers(model, self.plan.model.drop.keep)
        self.model = model.to(self.device)
        if self.shard:
            shards.shard(self.model, self.device)
            for prune in (p for s in self.plan.stages for p in s.prunes):
                fits_shards(prune, dict(self.model.named_parameters()))
        loaded = self._newest() if resume else None
        if loaded is not None:
            self._continue(loaded.position)
        else:
            self.position.zeros_at_start = self._zeros(self.plan.never)
        if resume and loaded is None:
            self._begin_again()
        if resume:
            self.record("running", {})
        self._open_log(resume)
        if loaded is None:
            self._measure_dense()
        for stage in self.plan.stages[self.position.stage :]:
            if stage.mode == "one_shot":
                self._one_shot(stage, loaded)
            else:
                self._stage(stage, stop, loaded)
            loaded = None
        if loaded is not None:  # every stage was done before the interruption
            checkpoint.restore(loaded, self.model, self.masks, None)
        return self._finish(judge, started)

    def _session(self) -> Session:
        return session(self.plan, self.around, self.device.type, self.position)

    def _continue(self, position: Position) -> None:
        """Go on from there, and say what is not as it was."""
        self.position = position
        now = self._session()
        self.reporter.found(resumed(position.sessions[-1], now, exact=self.exact))
        position.sessions.append(now)

    def _begin_again(self) -> None:
        """Nothing is left of what earlier starts did but what they claimed."""
        now = self.position.sessions[-1]
        self.position.sessions = [s for s in self.position.sessions if (s.stage, s.step) == (now.stage, now.step)]
        self.reporter.found(reclaimed(self.written.spec_digest, told_claims(self.written), now))

    def _same_model(self) -> None:
        model = self.plan.model
        same_model(Path(model.path), model.digest, f"the model `{model.ref}`")

    def check_place(self) -> None:
        """E194 when the output folder is not the one that the run began in."""
        if not same_folder(self.out, self.place):
            raise moved(self.out)

    def _stage(self, stage: StagePlan, stop: StopRequests, loaded: checkpoint.Loaded | None) -> None:
        data = self._data(stage.data)
        _, features = self._split(data, "train")
        self.model.requires_grad_(True)  # a rehearsal leaves what the stage before froze
        optimizer = make_optimizer(stage, self.model)
        until = min(stage.steps, self.plan.rehearsal or stage.steps)
        modifiers = self._modifiers(stage)
        for modifier in modifiers:
            modifier.join(optimizer)
        show_maps(self.model, any("output_attentions" in m.asks for m in modifiers))
        own = (processes.rank(), self.position.step) if processes.rank() else ()  # every process drops others
        torch.manual_seed(stream(stage.seed, stage.name, "dropout", *own))
        if loaded is not None:
            inside = self.position.step > 0
            checkpoint.restore(
                loaded, self.model, self.masks, optimizer, modifiers=modifiers if inside else (), random_states=inside
            )
        state = State(
            self.model, optimizer, self.masks, stage.steps, step=self.position.step, prunable=self._prunable(stage)
        )
        state.gradients = self._sampler(stage, state, features)
        before = self.position.seconds.get(stage.name, 0.0)
        began = time.monotonic()
        self.reporter.stage_started(stage, until, state.step)

        def after_step(loss: float, due: bool) -> None:
            self.check_place()
            rate = at(stage.learning_rate, state.step - 1)  # groups of the optimizer may have others
            self.reporter.stepped(stage, state.step, loss, rate, state.sparsity)
            self._evaluate_inside(stage, state.step, until)
            stopped, due_somewhere = processes.most(stop.received or 0, due)
            if (due_somewhere and state.step < until) or stopped:
                self.position.step = state.step
                self.position.seconds[stage.name] = before + time.monotonic() - began
                path = checkpoint.save(
                    self.checkpoints, self.position, self.model, self.masks, optimizer, stage.keep, modifiers
                )
                if stopped and state.step < until:
                    raise Interrupted(stopped, path)

        train(
            stage,
            state,
            features,
            modifiers,
            self.device,
            self._autocast(stage.precision),
            shuffle=data.shuffle,
            order_seed=stage.seed if data.seed is None else data.seed,
            until=until,
            after_step=after_step,
            by_length=data.group_by_length,
        )
        self._end_stage(stage, before + time.monotonic() - began)
        self._obey(stop)

    def _one_shot(self, stage: StagePlan, loaded: checkpoint.Loaded | None) -> None:
        """No step is taken, so a stage that was interrupted begins again: `START` and `END` are all there is."""
        if loaded is not None:
            checkpoint.restore(loaded, self.model, self.masks, None)
        began = time.monotonic()
        self.model.requires_grad_(True)  # a rehearsal leaves what the stage before froze
        optimizer = make_optimizer(stage, self.model)
        state = State(self.model, optimizer, self.masks, steps=0, prunable=self._prunable(stage))
        of = stage.calibration.layers if stage.calibration else 0
        self.reporter.stage_started(stage, of, 0)
        if stage.calibration is not None:
            data = self._data(stage.data)
            _, features = self._split(data, "train")
            autocast = self._autocast(stage.precision)
            state.gradients = self._sampler(stage, state, features)
            state.layers = Layers(
                self.model, features, self.task.LABELS, stage.micro_batch, autocast, self._between_layers(stage)
            )
        modifiers = self._modifiers(stage)
        torch.manual_seed(stream(stage.seed, stage.name, "dropout"))
        fire(Event.START, modifiers, state)
        fire(Event.END, modifiers, state)
        self.reporter.pruned(stage, state.sparsity)
        self._end_stage(stage, time.monotonic() - began)
        self._obey(self.stop)

    def _prunable(self, stage: StagePlan) -> int:
        """Weights of all targets of this stage and of those before it, each once."""
        sizes = {t.name: t.size for s in self.plan.stages[: stage.index + 1] for p in s.prunes for t in p.targets}
        return sum(sizes.values())

    def _between_layers(self, stage: StagePlan) -> Callable[[int, int], None]:
        def between(done: int, of: int) -> None:
            self.reporter.layer_pruned(stage, done, of)
            if done < of:
                self._obey(self.stop)

        return between

    def _measure_dense(self) -> None:
        """What `compare = dense` asks for: the model that the first stage starts from."""
        for evaluation in self.plan.evaluations:
            if evaluation.dense:
                metrics = self._measure(self.plan.stages[0], evaluation.name)
                for metric, value in metrics.items():
                    self.position.metrics[f"{evaluation.name}.dense.{metric}"] = value
                self.reporter.evaluated(None, evaluation.name, metrics, on=measured_on(self.plan, evaluation.name))

    def _end_stage(self, stage: StagePlan, seconds: float) -> None:
        self.check_place()
        self.position.seconds[stage.name] = seconds
        self.reporter.stage_ended(stage, seconds)
        for evaluation in self.plan.evaluations:
            metrics = self._measure(stage, evaluation.name)
            for metric, value in metrics.items():
                self.position.metrics[f"stage.{stage.name}.{evaluation.name}.{metric}"] = value
                self.position.metrics[f"{evaluation.name}.{metric}"] = value
            self.reporter.evaluated(stage.name, evaluation.name, metrics, on=measured_on(self.plan, evaluation.name))
        if f"stage.{stage.name}" in self.needed:
            source = Path(self.plan.model.path)
            export.save_model(
                self.model, self._stage_folder(stage.name), source, self.plan.export.max_shard, self._stamp()
            )
            processes.wait()  # the others read it
            self.position.stage_models[stage.name] = model_digest(self._stage_folder(stage.name))
        self.position.stage, self.position.step = stage.index + 1, 0
        checkpoint.save(self.checkpoints, self.position, self.model, self.masks, None, stage.keep)

    def _evaluate_inside(self, stage: StagePlan, step: int, until: int) -> None:
        for evaluation in self.plan.evaluations:
            every = evaluation.every.get(stage.name)
            if every and step % every == 0 and step < until:
                random_state = torch.get_rng_state()
                metrics = self._measure(stage, evaluation.name)
                torch.set_rng_state(random_state)
                self.reporter.evaluated(
                    stage.name, evaluation.name, metrics, step, measured_on(self.plan, evaluation.name)
                )

    def _measure(self, stage: StagePlan, name: str) -> dict[str, float]:
        evaluation = next(e for e in self.plan.evaluations if e.name == name)
        data = self._data(evaluation.data)
        examples, features = self._split(data, evaluation.split, evaluation.samples)
        autocast = self._autocast(stage.precision)
        return evaluate(self.model, self.task, evaluation, examples, features, self.device, autocast)

    # ------------------------------------------------------------------- pieces
    def _modifiers(self, stage: StagePlan) -> list[Modifier]:
        return acting(
            stage, [self._kept(stage, d) if d.cache else self._running(d) for d in stage.distills], self.task.OUTPUTS
        )

    def _sampler(self, stage: StagePlan, state: State, features: Features) -> Gradients:
        """Gradients for scores, from examples drawn anew at every event."""

        def sample(batches: int, size: int, dense: bool = False) -> Iterator[None]:
            seed = stream(stage.seed, stage.name, "gradients", state.step)
            size, part, cast = size or stage.batch, stage.micro_batch, self._autocast(stage.precision)
            return gradients(state, features, batches, size, part, seed, cast, dense=dense)

        return sample

    def _running(self, d: DistillPlan) -> Running:
        model = self._teacher(d)
        show_maps(model, "output_attentions" in asked(d))
        return Running(model, asked(d))

    def _kept(self, stage: StagePlan, d: DistillPlan) -> Kept:
        """The teacher's outputs beside the checkpoints: kept as long as a resumed run may need them."""

        data = next(p for p in self.plan.data if p.label == stage.data)
        _, features = self._split(data, "train")
        until = min(stage.steps, self.plan.rehearsal or stage.steps)
        seed = stage.seed if data.seed is None else data.seed
        named = [self.task.OUTPUTS if t.output == "logits" else (t.output,) for t in d.terms]
        wanted = Wanted(
            teacher=model_digest(self._teacher_folder(d)),
            features=features,
            per_token=self.task.PER_TOKEN,
            rows=drawn(
                stage,
                len(features),
                data.shuffle,
                seed,
                until,
                features.lengths if data.group_by_length else None,
            ),
            outputs=tuple(sorted({name for names in named for name in names})),
            kept=d.cache or "fp16",
            precision=stage.precision,
        )
        return teacher_outputs(
            self.checkpoints / "teacher",
            wanted,
            lambda: self._teacher(d),
            self._autocast(stage.precision),
            stage.micro_batch,
            lambda: self._obey(self.stop),
            self.reporter.message,
        )

    def _obey(self, stop: StopRequests) -> None:
        """Between two pieces of work that are kept: a signal that reached any process stops them all."""
        (stopped,) = processes.most(stop.received or 0)
        if stopped:
            raise Interrupted(stopped, self.checkpoints)

    def _teacher(self, d: DistillPlan) -> nn.Module:
        return load_model(self._teacher_folder(d), self.plan.model, self.plan.seed).to(self.device)

    def _teacher_folder(self, d: DistillPlan) -> Path:
        """E195 when it does not hold the teacher that was planned, or that a stage left."""
        if not d.teacher.startswith("stage."):
            same_model(Path(d.teacher), d.teacher_digest, f"the teacher `{d.teacher_ref}`")
            return Path(d.teacher)
        name = d.teacher.removeprefix("stage.")
        folder = self._stage_folder(name)
        same_model(folder, self.position.stage_models[name], f"the model at the end of stage `{name}`")
        return folder

    def _stage_folder(self, name: str) -> Path:
        return self.out / "stages" / name

    def _autocast(self, precision: str) -> Callable[[], AbstractContextManager[None]]:
        if precision == "fp32":
            return nullcontext
        return lambda: torch.autocast(self.device.type, torch.bfloat16)  # type: ignore[return-value]

    def _data(self, label: str) -> DataPlan:
        return next(d for d in self.plan.data if d.label == label)

    def _split(self, data: DataPlan, name: str, first: int | None = None) -> tuple[tuple[Any, ...], Features]:
        key = (data.label, name, first)
        if key not in self.data:
            self.data[key] = load_split(data, name, Path(self.plan.model.path), first)
            same_data(data.splits[name])
        return self.data[key]

    def _newest(self) -> checkpoint.Loaded | None:
        """The newest checkpoint that is whole; a damaged one is named and passed over."""
        for path in processes.first(checkpoint.newest_first(self.checkpoints)):
            try:
                loaded = checkpoint.load(path, self.plan, self.model)
            except checkpoint.Damaged as why:
                self.reporter.message(
                    f"the checkpoint `{path.name}` is damaged; the previous checkpoint is used: {why}"
                )
                continue
            return loaded
        if self.exact:
            raise fail("E196", "this run has no usable checkpoint to continue from", help="resume without `--exact`")
        self.reporter.message("no checkpoint is usable, so the run starts again")
        return None

    def _zeros(self, names: tuple[str, ...]) -> dict[str, int]:
        parameters = dict(self.model.named_parameters())
        return dict(zip(names, shards.zeros(parameters[n] for n in names), strict=True))

    def _patterns(self, names: tuple[str, ...]) -> dict[str, tuple[Pattern, ...]]:
        """For every matrix the patterns of the plan that it keeps to, then the usual ones: a model may come with them."""
        planned = {(p.pattern, p.pattern_size) for s in self.plan.stages for p in s.prunes} - {("unstructured", (0, 0))}
        parameters = dict(self.model.named_parameters())
        each = ((n, (shards.whole(parameters[n]).detach() != 0).cpu().numpy()) for n in names)
        return {n: patterns_of(live, tuple(sorted(planned))) for n, live in each}

    def _open_log(self, resume: bool) -> None:
        if not processes.main():
            return
        done = sum(s.steps for s in self.plan.stages[: self.position.stage]) + self.position.step
        log = EventLog(self.out / "tensorboard", resumed_at=done + 1 if resume else 0)
        self.reporter = Several(self.reporter, Curves(self.plan, log))

    def _stamp(self) -> dict[str, str]:
        return stamps(self.plan, self.out, self.digest)

    # ---------------------------------------------------------------------- end
    def _finish(self, judge: Judge, started: float) -> Result:
        """Weights are written before claims are judged: a failed claim loses nothing."""
        self.check_place()
        self._same_model()  # the tokenizer is copied from there
        folder = self.out / "export"
        export.save_model(self.model, folder, Path(self.plan.model.path), self.plan.export.max_shard, self._stamp())
        if processes.main():
            export.move_up(folder, self.out)
        matrices = tuple(n for n, p in self.model.named_parameters() if p.dim() == 2)
        measured = Measurements(
            dict(self.position.metrics),
            self._zeros(matrices),
            {n: p.numel() for n, p in self.model.named_parameters()},
            self.plan.selections,
            self._patterns(matrices),
        )
        before = self.position.zeros_at_start
        gained = {n: z - before[n] for n, z in self._zeros(self.plan.never).items() if z > before[n]}
        verdicts = () if self.plan.rehearsal else judge(measured)
        result = Result(self.out, self.plan, measured, verdicts, time.monotonic() - started, gained)
        told = told_of(result, self.position.seconds, self._zeros(tuple(measured.sizes)))
        if not processes.main():
            return result
        shares = told["sparsity"]["tensors"]
        self.reporter.found(warn_of_emptied(emptied(self.plan.stages, shares), shares))
        if self.plan.export.card:
            write_text(self.out / "README.md", card(self.plan, told, self.out), inside=self.out)
        body = self._body("finished", told)
        more = {**counted(measured), "never": {n: before[n] for n in self.plan.never}}
        said = statement(self.plan, self.out, body, more, json_text(body))
        write_json(self.out / "recipe" / STATEMENT, said, inside=self.out)  # first: a finished run always has it
        write_json(self.out / RECORD, body, inside=self.out)
        remove_folder(self.checkpoints, inside=self.out)  # the weights themselves are there now
        return result

    def note(self, status: str, more: dict) -> None:  # type: ignore[type-arg]
        """`record` on the way out of a failure, which must not hide that failure."""
        with suppress(RecipeError):
            self.check_place()  # another folder of that name is not written to
            self.record(status, more)

    def with_last_good(self, d: Diagnostic) -> Diagnostic:
        """Say what is left after a loss that is not finite, or a write that failed."""
        newest = checkpoint.newest_first(self.checkpoints)[:1]
        if d.code not in ("E082", "E084", "E088", "E187") or not newest:
            return d
        again = f"; `recipelang resume {self.out}` continues from it" if d.code not in ("E082", "E187") else ""
        return replace(d, notes=(*d.notes, f"the last good checkpoint is `{newest[0].name}`{again}"))

    def record(self, status: str, more: dict) -> None:  # type: ignore[type-arg]
        """`run.json`: written at the start, and again at every end."""
        if processes.main():
            write_json(self.out / RECORD, self._body(status, more), inside=self.out)

    def _body(self, status: str, more: dict) -> dict:  # type: ignore[type-arg]
        more = {"sessions": [s.model_dump() for s in self.position.sessions], **more}
        return body(self.plan, status, self.digest, self.around, more)

    @property
    def digest(self) -> str:
        """What makes two runs the same: `recipe.run` in the weights."""
        return run_digest(self.plan, lock_digest(self.out), environments(self.position.sessions))

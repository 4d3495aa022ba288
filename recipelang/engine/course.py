"""A run under way: what its stages and its end share, and what is written of it at any moment."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from torch import nn

from recipelang import processes
from recipelang.engine.checkpoint_write import Writing
from recipelang.engine.clock import Clock
from recipelang.engine.environment import chosen_device, environment
from recipelang.engine.evaluate import evaluate
from recipelang.engine.files import moved, same_folder
from recipelang.engine.interrupt import StopRequests
from recipelang.engine.models import load_model
from recipelang.engine.offload import Offloaded
from recipelang.engine.position import Position, environments
from recipelang.engine.precision import autocast
from recipelang.engine.records import RECORD, Interrupted, Reporter
from recipelang.engine.run_record import body, examples_of, measured_on
from recipelang.engine.slices import Unsliced, sharded_model
from recipelang.engine.sources import same_data, same_template
from recipelang.engine.statement import lock_digest, run_digest, stamps
from recipelang.modifiers.average import Average
from recipelang.modifiers.keep_best import KeepBest
from recipelang.modifiers.modifier import Modifier
from recipelang.planning.data import load_split
from recipelang.planning.data_plan import DataPlan
from recipelang.planning.layers import Keep
from recipelang.planning.types import EvaluatePlan, ModelPlan, Plan, StagePlan
from recipelang.pruning import shards
from recipelang.pruning.masks import Masks
from recipelang.source import RecipeError
from recipelang.storage.writing import write_json
from recipelang.tasks import Features, task_of
from recipelang.tasks.later import Later

#: of a stage, what acts in it, as it is or with more
Marked = Callable[[StagePlan, list[Modifier]], list[Modifier]]


class Course:
    """Where a run stands: its model and masks, what is done, and where it writes."""

    def __init__(
        self,
        plan: Plan,
        out: Path,
        reporter: Reporter,
        shard: bool,
        offload: bool = False,
        marked: Marked = lambda stage, modifiers: modifiers,
        clock: Clock | None = None,
    ) -> None:
        self.plan = plan
        self.out = out
        self.reporter = reporter
        self.shard = shard
        self.offload = offload
        self.disk: Offloaded | None = None  # of weights that stay on disk, once it is known where they are
        self.marked = marked
        self.clock = clock or Clock()
        self.place = os.stat(out)
        self.device = chosen_device()
        self.around = environment(self.device, shard)
        self.checkpoints = out / "checkpoints"
        self.position = Position(behaviour=plan.behaviour_digest)
        self.masks = Masks()
        self.task = task_of(plan.model.task)
        self.data: dict[tuple[str, str, int | None], tuple[Sequence[Any], Features]] = {}
        self.stop = StopRequests(self._stopping)
        self.measuring: EvaluatePlan | None = None
        self.writing: Writing | None = None  # a checkpoint that is not whole yet
        self.average: Average | None = None  # inside a stage that ends with one of its weights
        self.best: KeepBest | None = None  # inside a stage that keeps its best weights
        self.model: nn.Module  # once it is loaded

    def check_place(self) -> None:
        """E194 when the output folder is not the one that the run began in."""
        if not same_folder(self.out, self.place):
            raise moved(self.out)

    def _stopping(self, number: int, at_once: bool) -> None:
        if processes.main():
            self.reporter.stopping(number, at_once, self.out)

    def in_shards(
        self, folder: Path, plan: ModelPlan, seed: int, redrawn: Sequence[str] = (), keep: Keep | None = None
    ) -> nn.Module:
        """What `load_model` gives, in shards: each process reads its own rows, or cuts them from a whole model where its
        type has weights that are no rows. All processes call it."""
        model, why = None, None
        try:
            model = sharded_model(folder, plan, seed, redrawn, keep, self.device)
        except Unsliced as error:
            why = str(error)
        whys = [w for w in processes.each(why) if w is not None]
        if model is not None and not whys:
            return model
        what = "" if folder == Path(self.plan.model.path) else f" of `{folder.name}`"
        self.reporter.message(f"every process loads the whole model{what} before it keeps its shard: {whys[0]}")
        del model
        model = load_model(folder, plan, seed, redrawn, keep).to(self.device)
        shards.shard(model, self.device)
        return model

    def kept(self) -> None:
        """Until the checkpoint that was begun is there. Raises what went wrong with it."""
        writing, self.writing = self.writing, None
        if writing is not None:
            with self.clock.part("checkpoints"):
                writing.wait()

    def leave(self, error: BaseException) -> None:
        """The same after a failure, which is what is told."""
        codes = {d.code for d in error.diagnostics} if isinstance(error, RecipeError) else set()
        if self.writing is not None:
            self.writing.leave(lost="E088" in codes or processes.is_gone(error))

    def obey(self) -> None:
        """Between two pieces of work that are kept: a signal that reached any process stops them all."""
        (stopped,) = processes.most(self.stop.received or 0)
        if stopped:
            raise Interrupted(stopped, self.checkpoints)

    def record(self, status: str, more: dict) -> None:  # type: ignore[type-arg]
        """`run.json`: written at the start, and again at every end."""
        if processes.main():
            write_json(self.out / RECORD, self.record_body(status, more), inside=self.out)

    def record_body(self, status: str, more: dict) -> dict:  # type: ignore[type-arg]
        more = {"sessions": [s.model_dump() for s in self.position.sessions], **more}
        if self.position.layers_kept:
            more["layers_kept"] = self.position.layers_kept
        if self.position.scores_reused:
            more["scores_reused"] = self.position.scores_reused
        if self.position.few_tokens:
            more["few_tokens"] = self.position.few_tokens
        if self.position.layer_sparsity:
            more["layer_sparsity"] = self.position.layer_sparsity
        if self.position.best:
            more["best"] = {name: best.model_dump() for name, best in self.position.best.items()}
        if self.position.stopped:
            more["stopped"] = self.position.stopped
        if self.position.reconstructed:
            more["reconstructed"] = self.position.reconstructed
        if self.position.fp16:
            more["fp16"] = {name: scaled.model_dump() for name, scaled in self.position.fp16.items()}
        if self.position.streams:
            more["streams"] = {name: read.model_dump() for name, read in self.position.streams.items()}
        return body(self.plan, status, self.digest, self.around, more)

    @property
    def digest(self) -> str:
        """What makes two runs the same: `recipe.run` in the weights."""
        return run_digest(self.plan, lock_digest(self.out), environments(self.position.sessions))

    def stamp(self) -> dict[str, str]:
        return stamps(self.plan, self.out, self.digest)

    def data_of(self, label: str) -> DataPlan:
        return next(d for d in self.plan.data if d.label == label)

    def split(self, data: DataPlan, name: str, first: int | None = None) -> tuple[Sequence[Any], Features]:
        key = (data.label, name, first)
        if key not in self.data:
            with self.clock.part("data"):
                examples, features = load_split(data, name, Path(self.plan.model.path), first)
                self._same(data, name)
            if isinstance(examples, Later):
                examples.check = lambda: self._same(data, name)
            self.data[key] = examples, features
            same_template(Path(self.plan.model.path), data)
        return self.data[key]

    @staticmethod
    def _same(data: DataPlan, name: str) -> None:
        for part in data.parts_of(name):
            same_data(data.splits[part])

    def autocast(self, precision: str) -> Callable[[], AbstractContextManager[None]]:
        return autocast(precision, self.device)

    def under_way(self, evaluation: EvaluatePlan, rows: int) -> Callable[[int], None]:
        """What an evaluation calls between its portions: it is shown, and ends where a signal asks to stop."""
        of = examples_of(self.plan, evaluation)

        def told(done: int) -> None:
            self.reporter.measuring(evaluation, of * done // max(1, rows), of)
            self.obey()

        return told

    def measure(self, evaluation: EvaluatePlan, stage: StagePlan | None, step: int | None = None) -> dict[str, float]:
        """Of the model as it is now, which the reporter is told too; without a stage, before the first one.

        Raises `Interrupted` between two portions, once a signal asks to stop: nothing is measured then.
        """
        data = self.data_of(evaluation.data)
        examples, features = self.split(data, evaluation.split, evaluation.samples)
        autocast = self.autocast((stage or self.plan.stages[0]).precision)
        self.measuring = evaluation
        whole = nullcontext() if self.disk is None else self.disk.whole()
        with self.clock.part(f"evaluate {evaluation.name}"), whole:
            told = self.under_way(evaluation, len(features))
            metrics = evaluate(
                self.model, self.task, evaluation, examples, features, self.device, autocast, self.disk, told
            )
        self.measuring = None
        on = measured_on(self.plan, evaluation.name)
        self.reporter.evaluated(stage.name if stage else None, evaluation.name, metrics, step, on)
        return metrics

    def weights(self, names: Iterable[str]) -> Iterator[tuple[str, nn.Parameter]]:
        """Parameters one by one; those that lie on disk are in memory until the next one is asked for."""
        for name in names:
            with nullcontext() if self.disk is None else self.disk.present([name]):
                yield name, self.model.get_parameter(name)

    def zeros(self, names: Sequence[str]) -> dict[str, int]:
        if self.disk is None:  # processes add up all at once
            return dict(zip(names, shards.zeros(self.model.get_parameter(n) for n in names), strict=True))
        return {n: shards.zeros([weight])[0] for n, weight in self.weights(names)}

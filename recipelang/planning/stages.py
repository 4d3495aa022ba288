"""The stages of a recipe for one model: what acts in them, and when, in steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from types import MappingProxyType, ModuleType

from recipelang.kinds.terms import INNER, REVERSE
from recipelang.methods import METHODS
from recipelang.planning import calibration, compat, controls, match as matching, schedule
from recipelang.planning.adapter_plan import AdapterPlan
from recipelang.planning.adapters import held_by, not_trained_here, plan_adapters
from recipelang.planning.budget_plan import BudgetPlan
from recipelang.planning.budgets import Reach
from recipelang.planning.context import Context
from recipelang.planning.data import class_counts
from recipelang.planning.data_plan import DataPlan
from recipelang.planning.distill import check_whole, plan_term, read_teacher
from recipelang.planning.facts import ModelFacts, model_digest
from recipelang.planning.figures import Claimed, Models, foresee, judge_foreseen, plan_figures
from recipelang.planning.losses import can_be_counted, plan_loss
from recipelang.planning.processor import emulates
from recipelang.planning.prune_plan import PrunePlan
from recipelang.planning.prunes import Prunes
from recipelang.planning.references import Pins, locate_model
from recipelang.planning.shrinks import Shrinks, by_table
from recipelang.planning.similarity import in_batch_fits
from recipelang.planning.streamed import stage_can_stream
from recipelang.planning.types import DistillPlan, FreezePlan, GroupPlan, StagePlan
from recipelang.planning.watching import with_watch
from recipelang.source import Diagnostics, Label, RecipeError, at_label
from recipelang.source.words import an, plural
from recipelang.spec.blocks import DistillSpec, StageSpec
from recipelang.spec.claims import selectors
from recipelang.spec.controls import ShrinkSpec
from recipelang.spec.recipe import Recipe
from recipelang.tasks.pooling import Pooling, pooling_of
from recipelang.values import selector as sel
from recipelang.values.composite import StageRef
from recipelang.values.quantities import Quantity, Time

#: precisions of 16 bits, each with what is said where a CPU computes in fp32 and rounds, and the names of what it lacks
_EMULATED = {
    "bf16": ("W104", "avx512_bf16, amx_bf16 or bf16"),
    "fp16": ("W174", "avx512_fp16, amx_fp16 or asimdhp"),
}


class Stages(Context):
    """Where the model comes from (files, somebody's loop, a config alone), a subclass says."""

    def __init__(self, recipe: Recipe, beside: Path, found: Diagnostics, pins: Pins = MappingProxyType({})) -> None:
        super().__init__(recipe, beside, found, pins)
        self.data: dict[str, DataPlan] = {}
        self.pooling: Pooling | None = None  # of a model of embeddings
        self.prunes = Prunes(self)
        self.shrinks = Shrinks(self, self.prunes, self._by_speed)
        self.before: dict[str, ModelFacts] = {}  # stage -> the model that it starts with, and the one that it leaves
        self.after: dict[str, ModelFacts] = {}

    def _stages(self) -> list[StagePlan]:
        planned: list[StagePlan] = []
        for index, spec in enumerate(self.recipe.stages):
            self.before[spec.name] = self.facts
            at_once = spec.mode == "one_shot"
            shrinks = self.shrinks.at_once(spec) if at_once else ()
            stage = None if shrinks is None else self._stage(index, spec)
            if stage is not None and spec.shrinks and not at_once:  # the stage begins with the larger model
                shrinks = self.shrinks.in_rounds(spec, stage)
                stage = None if shrinks is None else stage
            if stage is not None:
                whole = stage.model_copy(update={"shrinks": shrinks}) if shrinks else stage
                planned.append(with_watch(self, spec, whole))
            self.after[spec.name] = self.facts
            self.prunes.trained |= spec.mode == "train" or bool(shrinks)  # of what the files hold something is gone
        if not any(s.prunes or s.shrinks for s in planned) and not self.found.errors:
            help = "add `prune NAME { targets = @linear & @encoder ... }` if weights should become zero"
            self.say("W103", "this recipe prunes nothing", f"stage.{self.recipe.stages[-1].name}", help)
        return planned

    def _stage(self, index: int, spec: StageSpec) -> StagePlan | None:
        path = f"stage.{spec.name}"
        if not stage_can_stream(self, spec, self.data.get(spec.data) if spec.reads_data else None):
            return None
        if spec.mode == "one_shot":
            return self._one_shot(index, spec)
        assert spec.batch is not None and spec.learning_rate is not None and spec.length is not None
        per_epoch = self._steps_per_epoch(spec)
        steps = spec.length.in_steps(per_epoch)
        if steps < 1:
            help = f"lengthen it: an epoch here has {plural(per_epoch, 'step')}"
            self.say("E063", "this stage has no steps", f"{path}.length", help)
            return None
        micro = spec.micro_batch or spec.batch
        if spec.batch % micro:
            help = (
                f"write {' or '.join(map(str, _fitting(spec.batch, micro)))}, or change `batch`, which is {spec.batch}"
            )
            self.say("E077", "`batch` is not a multiple of `micro_batch`", f"{path}.micro_batch", help)
            return None
        if not in_batch_fits(self.recipe, spec, self.data.get(spec.data), self.found):
            return None
        if self.guard(f"{path}.micro_batch", lambda: check_whole(spec)) is None:
            return None
        clock = _clock(spec)
        rate = clock.segments(
            spec.learning_rate, steps, per_epoch, self.recipe.label(f"{path}.learning_rate"), self.found
        )
        self._warn_of_emulation(spec)
        prunes = [p for p in (self.prunes.plan(path, prune, steps, per_epoch, clock) for prune in spec.prunes) if p]
        distills = [self._distill(path, d, steps, per_epoch) for d in spec.distills]
        adapters = plan_adapters(self, path, spec, prunes, self.prunes.patterned)
        freezes = self._freezes(path, spec, steps, per_epoch, prunes, adapters)
        groups = self._groups(path, spec, steps, per_epoch, adapters)
        told = [(d.hardness, d.temperature, *(t.weight for t in d.terms)) for d in distills if d]
        own = [g.learning_rate for g in groups if g.learning_rate is not None]
        if not all((rate, *own, *(schedule for schedules in told for schedule in schedules))):
            return None  # why is told by the schedule that has no steps
        every = spec.checkpoint_every
        return StagePlan(
            name=spec.name,
            index=index,
            mode=spec.mode,  # type: ignore[arg-type]
            steps=steps,
            steps_per_epoch=per_epoch,
            epochs=0 if self._streams(spec) else steps / per_epoch,
            batch=spec.batch,
            micro_batch=micro,
            accumulation=spec.batch // micro,
            optimizer=spec.optimizer.name,
            optimizer_args={n: controls.doubles(v) for n, v in spec.optimizer.arguments if n != "no_decay"},
            undecayed=controls.undecayed(spec.optimizer, self.facts, groups),
            learning_rate=rate,
            clip=None if spec.clip is None else float(spec.clip),
            loss=self.guard(f"{path}.class_weights", lambda: plan_loss(self, spec, lambda: self._class_counts(spec))),
            ema=None if spec.ema is None else float(spec.ema),
            precision=spec.precision,  # type: ignore[arg-type]
            data=spec.data,
            seed=self.recipe.seed if spec.seed is None else spec.seed,
            checkpoint_every=max(1, every.in_steps(per_epoch)) if isinstance(every, Time) else None,
            checkpoint_seconds=float(every.value) if isinstance(every, Quantity) else None,
            keep=spec.keep,
            prunes=tuple(prunes),
            distills=tuple(d for d in distills if d),
            freezes=freezes,
            groups=groups,
            adapters=adapters,
            compile=spec.compile,
            activation_checkpointing=spec.activation_checkpointing,
            compat=spec.compat,  # type: ignore[arg-type]
        )

    def _by_speed(self, spec: ShrinkSpec, path: str, reach: Reach, name: str) -> BudgetPlan:
        return by_table(self, spec, path, reach, name)

    def _class_counts(self, spec: StageSpec) -> Sequence[int]:
        """Labels of each class in the training data of a stage. E256 where they cannot be counted."""
        can_be_counted(self.data[spec.data])
        return class_counts(self.data[spec.data], self.facts.path)

    def _one_shot(self, index: int, spec: StageSpec) -> StagePlan | None:
        """A stage of no steps: its events fall on its end, which is where it begins."""
        path = f"stage.{spec.name}"
        planned = [self.prunes.plan(path, prune, 0, 1) for prune in spec.prunes]
        prunes = tuple(p for p in planned if p)
        size = spec.micro_batch or calibration.BATCH
        if not in_batch_fits(self.recipe, spec, self.data.get(spec.data), self.found):
            return None
        if not self._in_layers(spec, prunes):
            return None
        read = None
        if spec.reads_data and self.data:
            read = calibration.plan(prunes, self.facts, self.data[spec.data])
            calibration.check(self.recipe, spec, prunes, self.data[spec.data], read, self.found)
        return StagePlan(
            name=spec.name,
            index=index,
            mode="one_shot",
            steps=0,
            steps_per_epoch=1,
            epochs=0,
            batch=size,
            micro_batch=size,
            accumulation=1,
            optimizer="sgd",
            learning_rate=(),
            precision=spec.precision,  # type: ignore[arg-type]
            data=spec.data,
            seed=self.recipe.seed if spec.seed is None else spec.seed,
            keep=spec.keep,
            prunes=prunes,
            calibration=read,
        )

    def _in_layers(self, spec: StageSpec, prunes: tuple[PrunePlan, ...]) -> bool:
        """Inputs are gathered layer by layer, so a target must lie in one."""
        layered = {t.name for t in self.facts.tensors if t.layer is not None}
        for prune in prunes:
            outside = [t.name for t in prune.targets if t.name not in layered]
            if METHODS[prune.method].looks_at == "inputs" and not outside and not self.facts.chained:
                message = f"this release cannot take {an(f'`{self.facts.family}`')} layer by layer"
                at = self.recipe.label(f"stage.{spec.name}.prune.{prune.name}.method")
                notes = ("its layers share their weights, or do not follow each other",)
                help = f"`{prune.method}` reads the inputs of each layer: use `magnitude`"
                self.found.say("E055", message, at, notes=notes, help=help)
                return False
            if METHODS[prune.method].looks_at == "inputs" and outside:
                at = self.recipe.label(f"stage.{spec.name}.prune.{prune.name}.targets")
                message = f"`{prune.method}` works layer by layer, and `{outside[0]}` is in no layer"
                role = "decoder" if any("decoder" in t.roles for t in self.facts.tensors) else "encoder"
                help = f"write `@linear & @{role}`"
                self.found.say("E054", message, at, help=help)
                return False
        return True

    def _freezes(
        self,
        path: str,
        spec: StageSpec,
        steps: int,
        per_epoch: int,
        prunes: list[PrunePlan],
        adapters: Sequence[AdapterPlan],
    ) -> tuple[FreezePlan, ...]:
        found: list[FreezePlan] = []
        for freeze in spec.freezes:
            at = f"{path}.freeze.{freeze.name}"
            targets = self.select(freeze.targets, f"{at}.targets", matrices_only=False)
            until = None if freeze.until is None else freeze.until.in_steps(per_epoch)
            planned = self.guard(
                f"{at}.until",
                lambda f=freeze, t=targets, u=until: controls.plan_freeze(f.name, t, u, steps, self.facts),
            )
            if targets and planned:
                found.append(planned)
        not_trained_here(self, path, adapters, {f.name: f.targets for f in found}, "freeze")
        found += held_by(adapters, self.facts.tensors)
        held = controls.frozen(found, steps)
        if held and not adapters and all(t.name in held for t in self.facts.tensors):
            help = "leave at least one parameter to train"
            self.say("E054", "every parameter is frozen", f"{path}.freeze.{found[-1].name}", help)
        for prune in prunes:
            if name := controls.never_ranked(prune, held):
                label = self.recipe.label(f"{path}.prune.{prune.name}.method")
                notes = (f"`{name}` is frozen until its first mask, so it has no gradients",)
                help = "prune it with `magnitude`, or freeze other parameters"
                message = f"`{prune.method}` ranks by gradients"
                self.found.say("E054", message, label, notes=notes, help=help)
        return tuple(found)

    def _groups(
        self, path: str, spec: StageSpec, steps: int, per_epoch: int, adapters: Sequence[AdapterPlan]
    ) -> tuple[GroupPlan, ...]:
        asked: list[controls.Asked] = []
        for group in spec.groups:
            at = f"{path}.group.{group.name}"
            targets = self.select(group.targets, f"{at}.targets", matrices_only=False)
            rate, decay = None, None if group.weight_decay is None else float(group.weight_decay)
            if group.learning_rate is not None:
                label = self.recipe.label(f"{at}.learning_rate")
                rate = _clock(spec).segments(group.learning_rate, steps, per_epoch, label, self.found)
            if decay is not None and spec.optimizer.get("weight_decay") is None:
                message = f"`{spec.optimizer.name}` has no weight decay"
                self.say("E054", message, f"{at}.weight_decay", "use `adamw`, or remove it")
            if decay and spec.optimizer.get("no_decay") == "norms_and_biases":
                self._warn_of_decay(f"{at}.targets", targets)
            asked.append(controls.Asked(group.name, targets, rate, decay, self.recipe.label(f"{at}.targets")))
        not_trained_here(self, path, adapters, {a.name: a.targets for a in asked}, "group")
        return self.guard(path, lambda: controls.plan_groups(asked, self.facts)) or ()

    def _warn_of_decay(self, path: str, targets: tuple[str, ...]) -> None:
        """A group by a part of the model has its norms and biases too, which the optimizer's decay would spare."""
        chosen = [t for t in self.facts.tensors if t.name in set(targets)]
        with_it = [t.name for t in chosen if controls.spared(t)]
        if with_it and len(with_it) < len(chosen):
            notes = (f"one of them is `{with_it[0]}`; the optimizer's own `weight_decay` skips norms and biases",)
            help = "add `except (@norm | @bias)` to the selector, or put norms and biases in a separate group"
            message = "this group applies weight decay to norms and biases too"
            self.found.say("W144", message, self.recipe.label(path), notes=notes, help=help)

    def _steps_per_epoch(self, spec: StageSpec) -> int:
        assert spec.batch is not None
        if self._streams(spec):  # all of the stage, in steps
            assert spec.length is not None
            return max(1, spec.length.in_steps(1))
        return -(-self.data[spec.data].items["train"] // spec.batch)

    def _streams(self, spec: StageSpec) -> bool:
        return spec.data in self.data and self.data[spec.data].streamed

    def _warn_of_emulation(self, spec: StageSpec) -> None:
        if spec.precision not in _EMULATED:
            return
        code, listing = _EMULATED[spec.precision]
        if any(d.code == code for d in self.found) or not emulates(spec.precision):  # once is enough
            return
        notes = (f"on such a processor, {spec.precision} steps were measured to be over ten times slower than fp32",)
        help = f"choose `fp32` here; {spec.precision} is for GPUs and for CPUs that list {listing}"
        message = f"this CPU has no {spec.precision} arithmetic"
        self.say(code, message, f"stage.{spec.name}.precision", help, notes)

    def _digest_of(self, teacher: ModelFacts) -> str:
        return model_digest(teacher.path)

    def _distill(self, stage: str, spec: DistillSpec, steps: int, per_epoch: int) -> DistillPlan | None:
        path = f"{stage}.distill"
        hardness, temperature = (
            schedule.segments(getattr(spec, n), steps, per_epoch, self.recipe.label(f"{path}.{n}"), self.found)
            for n in ("hardness", "temperature")
        )
        if isinstance(spec.teacher, StageRef):
            where = reference = f"stage.{spec.teacher.name}"
            facts, digest = self.after[spec.teacher.name], ""
            pooling = self.pooling
        else:
            reference = spec.teacher
            facts = self.guard(f"{path}.teacher", lambda: self._teacher(reference))
            if facts is None:
                return None
            where, digest = str(facts.path), self._digest_of(facts)
            pooling = pooling_of(facts.path) if digest and self.task.gives == "embeddings" else None
        teacher = facts
        at = self.recipe.label(f"{path}.on")
        terms = [
            self.guard(
                f"{path}.on",
                lambda t=term: plan_term(
                    t, self.facts, teacher, lambda w: schedule.segments(w, steps, per_epoch, at, self.found), steps
                ),
            )
            for term in spec.on
        ]
        has = self.task.outputs
        for term in spec.on:
            if term.name not in (*INNER, REVERSE, "logits", *has):
                message = f"a model for {self.recipe.model.task} has no `{term.name}`"
                self.say("E054", message, f"{path}.on", "write `logits`: every output of the task")
                return None
        inner = next((term.name for term in spec.on if term.name in INNER), None)
        if inner and self.facts.two_stacks:
            message = f"this release does not compare `{inner}` of an encoder and its decoder"
            self.say("E055", message, f"{path}.on", "write `on = logits`")
            return None
        if spec.cache and inner:
            help = f"a cache stores outputs only: remove `{inner}` or the cache"
            self.say("E054", f"`cache` and `{inner}` cannot be combined", f"{path}.cache", help)
        if spec.cache and self.task.gives == "words":
            help = "remove it: the logits of every token are far larger than the text"
            self.say("E055", "this release does not support `cache` for language models", f"{path}.cache", help)
        if not all(terms):
            return None
        return DistillPlan(
            teacher=where,
            teacher_ref=reference,
            teacher_parameters=teacher.parameters,
            teacher_digest=digest,
            pooling=pooling,
            terms=tuple(terms),
            cache="fp16" if spec.cache is True else spec.cache or None,  # type: ignore[arg-type]
            hardness=hardness,
            temperature=temperature,
        )

    def _teacher(self, reference: str) -> ModelFacts:
        path = locate_model(reference, self.beside, self.pins.get(reference))
        return read_teacher(path, self.facts, max(d.max_length for d in self.data.values()))

    def _selections(self) -> dict[str, tuple[str, ...]]:
        chosen: dict[str, tuple[str, ...]] = {}
        for selector, span in selectors(self.recipe):
            label = Label(self.recipe.source, span)
            try:
                with at_label(label):
                    found = tuple(t.name for t in matching.prunable(selector, self.facts))
            except RecipeError as error:
                self.found.extend(error.diagnostics)
                continue
            if not found:
                self.found.extend(matching.nothing(selector, self.facts, label).diagnostics)
            chosen[sel.text(selector)] = found
        return chosen

    def claimed(self, models: Models, dtype: str, selections: Mapping[str, Sequence[str]]) -> Claimed:
        """What claims say of size and speed, of the stages that are planned."""
        figures = plan_figures(self.recipe, models, dtype, self.recipe.export.max_shard, self.found)
        foreseen = foresee(self.recipe, figures, self.facts, selections)
        judge_foreseen(self.recipe, foreseen, self.found)
        return Claimed(tuple(figures), tuple("" if v is None else v.measured for v in foreseen))


def _clock(stage: StageSpec) -> ModuleType:
    """What turns schedules of a stage's rate and masks into steps."""
    return schedule if stage.compat is None else compat


def _fitting(batch: int, micro: int) -> list[int]:
    """The largest parts of a batch below `micro`; one that is far below is not looked for."""
    below = range(min(batch, micro), 0, -1)[:10_000]
    return sorted(islice((n for n in below if batch % n == 0), 3)) or [1]

"""A checked recipe, a model and data into a plan: every tensor, step and count, before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from types import MappingProxyType, ModuleType

from recipelang.kinds.terms import INNER
from recipelang.kinds.text import show
from recipelang.methods import METHODS
from recipelang.planning import calibration, compat, controls, data_remarks, match as matching, numbers, schedule
from recipelang.planning.context import Context
from recipelang.planning.data import ClassFacts, plan_data, understand, with_labels
from recipelang.planning.distill import plan_term
from recipelang.planning.facts import ModelFacts, model_digest, read_model_facts, stored_dtype
from recipelang.planning.families import label_count, label_names
from recipelang.planning.identities import identities
from recipelang.planning.languages import language_remarks
from recipelang.planning.layers import with_layers
from recipelang.planning.memory import peak_memory
from recipelang.planning.processor import emulates_bf16
from recipelang.planning.prunes import Prunes
from recipelang.planning.references import Pins, locate_model
from recipelang.planning.remarks import remarks
from recipelang.planning.similarity import in_batch_fits, measures_what_it_can
from recipelang.planning.types import (
    ClaimPlan,
    DataPlan,
    DistillPlan,
    DropPlan,
    EvaluatePlan,
    ExportPlan,
    FreezePlan,
    GroupPlan,
    ModelPlan,
    Plan,
    PrunePlan,
    StagePlan,
)
from recipelang.planning.weights import check_weights
from recipelang.planning.zeros import stored_zeros as zeros_of_folder
from recipelang.source import Diagnostics, Label, RecipeError, at_label, fail
from recipelang.source.words import an, listed, plural
from recipelang.spec.attribute import ANY, Attr
from recipelang.spec.blocks import DistillSpec, EvaluateSpec, StageSpec
from recipelang.spec.canonical import behaviour_digest, spec_digest
from recipelang.spec.claims import selectors
from recipelang.spec.metrics import MEASURES, METRICS, MORE_METRICS
from recipelang.spec.recipe import Recipe
from recipelang.spec.requirements import used as plugins_of
from recipelang.tasks.config_defaults import token_types
from recipelang.tasks.meaning import Meaning
from recipelang.tasks.pooling import Pooling, pooling_of
from recipelang.tasks.written_scores import can_be_counted
from recipelang.values import selector as sel
from recipelang.values.composite import StageRef


def resolve(
    recipe: Recipe, beside: Path, found: Diagnostics, *, rehearsal: int | None = None, pins: Pins | None = None
) -> Plan | None:
    """The plan, or none with errors in `found`. Local paths in the recipe are relative to `beside`."""
    return Resolver(recipe, beside, found, rehearsal, pins or {}).run()


#: texts, or tokens of a language model, in one forward pass of an evaluation
EVALUATED_TEXTS, EVALUATED_TOKENS = 64, 4096


class Resolver(Context):
    """For a run; `plan.live` takes what it knows of a model from the model itself."""

    def __init__(
        self, recipe: Recipe, beside: Path, found: Diagnostics, rehearsal: int | None, pins: Pins = MappingProxyType({})
    ) -> None:
        super().__init__(recipe, beside, found, pins)
        self.rehearsal = rehearsal
        self.dropped: DropPlan | None = None
        self.pooling: Pooling | None = None  # of a model of embeddings
        self.prunes = Prunes(self)

    def run(self) -> Plan | None:
        if self._not_yet():
            return None
        facts = self.guard("model.base", self._model)
        if facts is None or not self._understands():
            return None
        facts = self._with_labels(facts)
        if facts is None:
            return None
        self.facts, self.dropped = self._with_layers(facts)
        data = self._data()
        if data is None:
            return None
        self.data = {d.label: d for d in data}
        if self.classes is not None and "positive" in self.task.settings:
            data_remarks.judge_positive(self.recipe, self.classes, self.found)
        if not self._measures_what_it_can():
            return None
        stages = self._stages()
        self._warn_of_random_head()
        self._judge_dtype()
        selections = self._selections()
        if self.found.errors:
            return None
        try:
            known = identities(self.recipe, self.beside)
        except RecipeError as error:
            self.found.extend(error.diagnostics)
            return None
        model = self.recipe.model
        plan = Plan(
            name=self.recipe.name,
            source=Path(self.recipe.source.name).name,
            spec_digest=spec_digest(self.recipe, known),
            behaviour_digest=behaviour_digest(self.recipe, known),
            seed=self.recipe.seed,
            model=ModelPlan(
                ref=model.base,
                path=str(facts.path),
                task=model.task,
                dtype=self.dtype,  # type: ignore[arg-type]
                attention=model.attention,  # type: ignore[arg-type]
                dropout=None if model.dropout is None else float(model.dropout),
                attention_dropout=None if model.attention_dropout is None else float(model.attention_dropout),
                digest=model_digest(facts.path),
                family=facts.family,
                parameters=self.facts.parameters,
                drop=self.dropped,
                fresh_head=not facts.has_head,
                redrawn=facts.redrawn,
                left_out=(*facts.left_out, *facts.strangers),
                tied=next((t.name for t in self.facts.tensors if t.tied), None),
                roleless=matching.without_role(self.facts),
                labels=facts.labels,
                pooling=self.pooling,
            ),
            data=tuple(data),
            stages=tuple(stages),
            evaluations=tuple(self._evaluations(stages)),
            plugins=plugins_of(self.recipe),
            export=ExportPlan(**{n: getattr(self.recipe.export, n) for n in ("formats", "card", "max_shard")}),
            claims=tuple(
                ClaimPlan(kind=c.kind, id=i, text=c.text, message=c.message)  # type: ignore[arg-type]
                for i, c in enumerate(self.recipe.claims)
            ),
            never=tuple(dict.fromkeys(n for s in stages for p in s.prunes for n in p.never)),
            selections=selections,
            rehearsal=self.rehearsal,
        )
        return plan.model_copy(update={"peak_memory": peak_memory(plan, self.facts)})

    # ---------------------------------------------------------------- references
    def _model(self) -> ModelFacts:
        model = self.recipe.model
        facts = read_model_facts(
            locate_model(model.base, self.beside, self.pins.get(model.base) or model.revision), model.task
        )
        check_weights(facts)
        if self.task.gives == "embeddings":
            self.pooling = pooling_of(facts.path)
        self.found.extend([*remarks(facts, self.recipe.label("model.base"))])
        return facts

    def _used(self) -> dict[str, set[str]]:
        """Label of a data set -> its splits that are read."""
        used: dict[str, set[str]] = {}
        for stage in self.recipe.stages:
            if stage.reads_data:
                used.setdefault(stage.data, set()).add("train")
        for evaluation in self.recipe.evaluations:
            used.setdefault(evaluation.data, set()).add(evaluation.split)
        return used

    def _understands(self) -> bool:
        """What the data mean, each set over all its splits."""
        task = self.recipe.model.task
        self.meanings: dict[str, Meaning] = {}
        for label, splits in self._used().items():
            path = f"data.{label}" if label else "data"
            found = self.guard(
                path,
                lambda a=label, u=splits: understand(
                    self.recipe, a, self.recipe.data[a], u, task, self.beside, self.pins
                ),
                "E074",
            )
            if found is None:
                return False
            self.meanings[label] = found
        return True

    def _with_labels(self, facts: ModelFacts) -> ModelFacts | None:
        """A task of classes takes their names from the data of the first stage that reads some, or is measured on."""
        self.classes: ClassFacts | None = None
        if self.task.gives == "number":
            return self.guard("model.base", lambda: numbers.with_number(facts, self.recipe, self.found))
        if self.task.classes is None:
            return facts
        stages = [(s.data, "train") for s in self.recipe.stages if s.reads_data]
        reads = [*stages, *((e.data, e.split) for e in self.recipe.evaluations)]
        if not reads:
            return facts
        label, split = reads[0]
        path, spec = f"data.{label}" if label else "data", self.recipe.data[label]
        meaning = self.meanings[label]
        self.classes = self.guard(
            path, lambda: with_labels(facts, self.recipe, label, spec, split, meaning, self.beside, self.pins), "E074"
        )
        if self.classes is None:
            return None
        data_remarks.judge(self.recipe, self.meanings, self.classes, self.found)
        return self.classes.facts if not self.found.errors else None

    def _with_layers(self, facts: ModelFacts) -> tuple[ModelFacts, DropPlan | None]:
        """The model that is trained: all names and shapes from here on are its own."""
        for stage in self.recipe.stages[1:]:
            for drop in stage.drops:
                message = "layers can be dropped only in the first stage"
                help = "move it to the first stage, or start another recipe from this one's result"
                self.error("E054", message, f"stage.{stage.name}.drop.{drop.name}", help)
        for drop in self.recipe.stages[0].drops:
            path = f"stage.{self.recipe.stages[0].name}.drop.{drop.name}.keep"
            left = self.guard(path, lambda d=drop: with_layers(facts, d.keep))
            if left is not None:
                return left, DropPlan(keep=drop.keep, layers=facts.layers, parameters=facts.parameters)
        return facts, None

    def _data(self) -> list[DataPlan] | None:
        plans: list[DataPlan] = []
        for label, splits in self._used().items():
            path = f"data.{label}" if label else "data"
            spec = self.recipe.data[label]
            plan = self.guard(
                path,
                lambda a=label, s=spec, u=splits: plan_data(
                    self.recipe, a, s, u, self.facts, self.meanings[a], self.beside, self.pins
                ),
                "E074",
            )
            if plan is None:
                return None
            data_remarks.tell(self.recipe, plan, self.found)
            self.found.extend([*language_remarks(self.recipe, plan, self.facts)])
            plans.append(plan)
        return plans

    def stored_zeros(self) -> dict[str, tuple[int, int]] | None:
        stored = zeros_of_folder(self.facts.path)
        found = {}
        for tensor in self.facts.tensors:
            name = tensor.name
            if tensor.layer is not None and self.dropped is not None:  # it had another number in the files
                name = name.replace(f".{tensor.layer}.", f".{self.dropped.keep[tensor.layer]}.", 1)
            found[tensor.name] = self.facts.zeros(name, stored)
        return found

    # -------------------------------------------------------------------- stages
    def _stages(self) -> list[StagePlan]:
        planned: list[StagePlan] = []
        for index, spec in enumerate(self.recipe.stages):
            stage = self._stage(index, spec)
            if stage is not None:
                planned.append(stage)
            self.prunes.trained |= spec.mode == "train"
        if not any(s.prunes for s in planned) and not self.found.errors:
            at = self.recipe.label(f"stage.{self.recipe.stages[-1].name}")
            help = "add `prune NAME { targets = @linear & @encoder ... }` if weights should become zero"
            self.found.say("W103", "this recipe prunes nothing", at, help=help)
        return planned

    def _warn_of_random_head(self) -> None:
        """One shot changes no head, so a new one leaves the run as it was drawn."""
        if self.facts.has_head or any(s.mode != "one_shot" for s in self.recipe.stages):
            return
        names = [t.name for t in self.facts.tensors if "head" in t.roles and t.name in self.facts.fresh]
        notes = (f"the weights lack {listed(names, 3)} for {self.facts.task.replace('_', ' ')}",)
        help = "name a model that was fine-tuned for the task, or train the head in an earlier stage"
        at = self.recipe.label("model.base")
        message = "the head is random, and no stage trains it"
        self.found.say("W173", message, at, notes=notes, help=help)

    @property
    def dtype(self) -> str:
        """Of the weights in memory and in the output."""
        written = self.recipe.model.dtype
        return stored_dtype(self.facts.path) if written == "auto" else written

    def _judge_dtype(self) -> None:
        """Weights of few bits are pruned as they are; training them is another matter."""
        trained = any(s.mode == "train" for s in self.recipe.stages)
        written = "model.dtype" in self.recipe.spans
        at = self.recipe.label("model.dtype" if written else "model.base")
        if self.dtype == "fp16" and trained:
            notes = ("gradients of fp16 weights overflow or vanish without scaling, which fp16 weights do not allow",)
            help = "write `dtype = fp32` or `dtype = bf16`; `precision` sets the arithmetic of a stage"
            self.found.say("E221", "fp16 weights cannot be trained", at, notes=notes, help=help)
        elif self.dtype == "bf16" and trained:
            notes = ("bf16 has 8 significant bits: an update below 1/512 of a weight changes nothing",)
            help = "write `dtype = fp32` with `precision = bf16` in the stage: fast steps, exact updates"
            self.found.say("W193", "training in bf16 loses small updates", at, notes=notes, help=help)
        elif not (written or trained) and (stored := stored_dtype(self.facts.path)) != "fp32":
            notes = (f"the model's files store {stored}; fp32 takes twice the memory, and the output twice the room",)
            help = "write `dtype = auto` to prune and write the weights as they are stored"
            self.found.say("W194", f"{stored} weights are pruned and written as fp32", at, notes=notes, help=help)

    def _stage(self, index: int, spec: StageSpec) -> StagePlan | None:
        path = f"stage.{spec.name}"
        if spec.mode == "one_shot":
            return self._one_shot(index, spec)
        assert spec.batch is not None and spec.learning_rate is not None and spec.length is not None
        per_epoch = self._steps_per_epoch(spec)
        steps = spec.length.in_steps(per_epoch)
        if steps < 1:
            help = f"lengthen it: an epoch here has {plural(per_epoch, 'step')}"
            self.error("E063", "this stage has no steps", f"{path}.length", help)
            return None
        micro = spec.micro_batch or spec.batch
        if spec.batch % micro:
            help = (
                f"write {' or '.join(map(str, _fitting(spec.batch, micro)))}, or change `batch`, which is {spec.batch}"
            )
            self.error("E077", "`batch` is not a multiple of `micro_batch`", f"{path}.micro_batch", help)
            return None
        if not in_batch_fits(self.recipe, spec, self.data.get(spec.data), self.found):
            return None
        clock = _clock(spec)
        rate = clock.segments(
            spec.learning_rate, steps, per_epoch, self.recipe.label(f"{path}.learning_rate"), self.found
        )
        self._warn_of_bf16(spec)
        prunes = [p for p in (self.prunes.plan(path, prune, steps, per_epoch, clock) for prune in spec.prunes) if p]
        distills = [self._distill(path, d, steps, per_epoch) for d in spec.distills]
        freezes = self._freezes(path, spec, steps, per_epoch, [p for p in prunes if p])
        groups = self._groups(path, spec, steps, per_epoch)
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
            epochs=steps / per_epoch,
            batch=spec.batch,
            micro_batch=micro,
            accumulation=spec.batch // micro,
            optimizer=spec.optimizer.name,
            optimizer_args={n: controls.doubles(v) for n, v in spec.optimizer.arguments if n != "no_decay"},
            undecayed=controls.undecayed(spec.optimizer, self.facts, groups),
            learning_rate=rate,
            clip=None if spec.clip is None else float(spec.clip),
            precision=spec.precision,  # type: ignore[arg-type]
            data=spec.data,
            seed=self.recipe.seed if spec.seed is None else spec.seed,
            checkpoint_every=None if every is None else max(1, every.in_steps(per_epoch)),
            keep=spec.keep,
            prunes=tuple(prunes),
            distills=tuple(d for d in distills if d),
            freezes=freezes,
            groups=groups,
            compile=spec.compile,
            activation_checkpointing=spec.activation_checkpointing,
            compat=spec.compat,  # type: ignore[arg-type]
        )

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
        self, path: str, spec: StageSpec, steps: int, per_epoch: int, prunes: list[PrunePlan]
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
        held = controls.frozen(found, steps)
        if held and all(t.name in held for t in self.facts.tensors):
            help = "leave at least one parameter to train"
            self.error("E054", "every parameter is frozen", f"{path}.freeze.{found[-1].name}", help)
        for prune in prunes:
            if name := controls.never_ranked(prune, held):
                label = self.recipe.label(f"{path}.prune.{prune.name}.method")
                notes = (f"`{name}` is frozen until its first mask, so it has no gradients",)
                help = "prune it with `magnitude`, or freeze other parameters"
                message = f"`{prune.method}` ranks by gradients"
                self.found.say("E054", message, label, notes=notes, help=help)
        return tuple(found)

    def _groups(self, path: str, spec: StageSpec, steps: int, per_epoch: int) -> tuple[GroupPlan, ...]:
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
                self.error("E054", message, f"{at}.weight_decay", "use `adamw`, or remove it")
            if decay and spec.optimizer.get("no_decay") == "norms_and_biases":
                self._warn_of_decay(f"{at}.targets", targets)
            asked.append(controls.Asked(group.name, targets, rate, decay, self.recipe.label(f"{at}.targets")))
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
        return -(-self.data[spec.data].items["train"] // spec.batch)

    def _warn_of_bf16(self, spec: StageSpec) -> None:
        said = any(d.code == "W104" for d in self.found)  # once is enough
        if spec.precision != "bf16" or said or not emulates_bf16():
            return
        at = self.recipe.label(f"stage.{spec.name}.precision")
        notes = ("on such a processor, bf16 steps were measured to be over ten times slower than fp32",)
        help = "choose `fp32` here; bf16 is for GPUs and for CPUs that list avx512_bf16, amx_bf16 or bf16"
        self.found.say("W104", "this CPU has no bf16 arithmetic", at, notes=notes, help=help)

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
            facts, digest = self.facts, ""
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
            if term.name not in (*INNER, "logits", *has):
                message = f"a model for {self.recipe.model.task} has no `{term.name}`"
                self.error("E054", message, f"{path}.on", "write `logits`: every output of the task")
                return None
        inner = next((term.name for term in spec.on if term.name in INNER), None)
        if inner and self.facts.two_stacks:
            message = f"this release does not compare `{inner}` of an encoder and its decoder"
            self.error("E055", message, f"{path}.on", "write `on = logits`")
            return None
        if spec.cache and inner:
            help = f"a cache stores outputs only: remove `{inner}` or the cache"
            self.error("E054", f"`cache` and `{inner}` cannot be combined", f"{path}.cache", help)
        if spec.cache and self.task.gives == "words":
            help = "remove it: the logits of every token are far larger than the text"
            self.error("E055", "this release does not support `cache` for language models", f"{path}.cache", help)
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
        facts = read_model_facts(locate_model(reference, self.beside, self.pins.get(reference)), self.recipe.model.task)
        theirs, ours = facts.config.get("vocab_size"), self.facts.config.get("vocab_size")
        if theirs != ours:
            help, notes = "choose a teacher with the student's tokenizer", [f"teacher {theirs}, student {ours} tokens"]
            raise fail("E080", "teacher and student have different vocabularies", help=help, notes=notes)
        theirs, ours = (token_types(f.config) for f in (facts, self.facts))
        if 0 < theirs < ours:  # a teacher without a table is not given the types
            notes = [f"teacher {theirs}, student {ours} kinds: the two texts of a pair need two"]
            help = "choose a teacher of the student's family"
            raise fail("E080", "the teacher has fewer token types than the student", help=help, notes=notes)
        one_number, embeds = (self.task.gives == what for what in ("number", "embeddings"))
        named = any(facts.config.get(field) for field in ("id2label", "num_labels"))
        if not facts.has_head and (one_number or not named):  # so that no labels are compared that nobody gave
            raise self._no_head()
        if one_number:
            numbers.gives_one_number(facts, "teacher")
        if embeds:
            pooling_of(facts.path)
        theirs, ours = (1 if embeds else label_count(f.config) for f in (facts, self.facts))
        if theirs != ours:
            help, notes = "choose a teacher of the same task", [f"teacher {theirs}, student {ours} labels"]
            raise fail("E080", "teacher and student have different labels", help=help, notes=notes)
        if not embeds:
            _same_order(label_names(facts.config), label_names(self.facts.config))
        if not facts.has_head:
            raise self._no_head()
        longest = max(d.max_length for d in self.data.values())
        if longest > facts.max_positions:
            notes = [f"the teacher accepts {facts.max_positions:,} tokens, windows have {longest:,}"]
            raise fail("E080", "the teacher cannot read windows this long", help="shorten `max_length`", notes=notes)
        check_weights(facts)
        return facts

    def _no_head(self) -> RecipeError:
        help = "name a model fine-tuned for this task, or `stage.NAME`: a new head would teach noise"
        return fail("E080", f"the teacher has no head for {self.recipe.model.task}", help=help)

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

    # ---------------------------------------------------------------- the others
    def _evaluations(self, stages: list[StagePlan]) -> list[EvaluatePlan]:
        per_epoch = {s.name: s.steps_per_epoch for s in stages if s.steps}
        return [
            EvaluatePlan(
                name=e.name,
                data=e.data,
                split=e.split,
                samples=e.samples,
                batch=e.batch or self._evaluation_batch(e, stages),
                metrics=e.metrics or METRICS[self.recipe.model.task],
                positive=self._positive(e),
                null_threshold=data_remarks.null_threshold(e, self.meanings[e.data], self.recipe.model.task),
                dense=e.compare == "dense",
                every={} if e.every is None else {n: max(1, e.every.in_steps(k)) for n, k in per_epoch.items()},
            )
            for e in self.recipe.evaluations
        ]

    def _evaluation_batch(self, e: EvaluateSpec, stages: list[StagePlan]) -> int:
        """As many examples as a training step of the recipe has room for: nothing is kept for a backward pass."""
        data = self.data[e.data]
        words = self.task.gives == "words"
        most = EVALUATED_TOKENS // data.max_length if words else EVALUATED_TEXTS // data.sequences
        return max(1, min(most, 4 * min(s.micro_batch for s in stages)))

    def _positive(self, e: EvaluateSpec) -> str | None:
        if self.classes is None or "positive" not in self.task.settings:
            return None
        return data_remarks.positive_class(self.recipe.data[e.data].positive, self.classes)[0]

    def _measures_what_it_can(self) -> bool:
        task = self.recipe.model.task
        known = (*METRICS[task], *MORE_METRICS.get(task, ()))
        for e in self.recipe.evaluations:
            if wrong := [m for m in e.metrics if m not in known]:
                have = " and ".join(filter(None, (", ".join(f"`{m}`" for m in known[:-1]), f"`{known[-1]}`")))
                path = f"evaluate.{e.name}.metrics"
                self.error("E054", f"`{wrong[0]}` is not a metric of {task}", path, f"it has {have}")
                return False
            packages = {m: MEASURES[m].package for m in e.metrics}
            at = f"evaluate.{e.name}.metrics"
            if not self.guard(at, lambda p=packages: all(can_be_counted(*needs) for needs in p.items())):
                return False
            data = self.data[e.data]
            if self.task.gives == "embeddings" and not measures_what_it_can(self.recipe, e, data, self.found):
                return False
            if not data_remarks.null_fits(self.recipe, e, data, self.found):
                return False
            if self.task.gives == "number" and not numbers.correlates(self.recipe, e, data, self.found):
                return False
            classes = self.task.classes if self.facts.labels else None
            for metric in (e.metrics or METRICS[task]) if classes else ():
                if classes and (why := classes.refuses(metric, self.facts.labels)):
                    others = ", ".join(m for m in METRICS[task] if m != metric)
                    path = f"evaluate.{e.name}" + (".metrics" if e.metrics else "")
                    self.error("E054", why, path, f"write `metrics = [{others}]`")
                    return False
        return True

    def _not_yet(self) -> bool:
        """What the language has and this release cannot run: said before anything is loaded."""
        before = len(self.found)
        for path, spec in self.recipe.blocks():
            for name, attribute in spec.attributes().items():
                value = attribute.postponed(getattr(spec, name))
                if value is not None:
                    self._refuse(path, name, attribute, value)
        return len(self.found) > before

    def _refuse(self, path: str, name: str, attribute: Attr, value: object) -> None:
        shown = value if isinstance(value, str) else show(value)
        what = f"`{name}`" if ANY in attribute.later else f"`{name} = {shown}`"
        have = [f"`{s}`" for s in attribute.kind.symbols if s not in attribute.later]
        listed = " and ".join(filter(None, (", ".join(have[:-1]), *have[-1:])))
        help = f"this release supports {listed}" if have else "remove it for now"
        self.error("E055", f"this release does not support {what} yet", f"{path}.{name}", help)


def _clock(stage: StageSpec) -> ModuleType:
    """What turns schedules of a stage's rate and masks into steps."""
    return schedule if stage.compat is None else compat


def _fitting(batch: int, micro: int) -> list[int]:
    """The largest parts of a batch below `micro`; one that is far below is not looked for."""
    below = range(min(batch, micro), 0, -1)[:10_000]
    return sorted(islice((n for n in below if batch % n == 0), 3)) or [1]


def _same_order(teacher: Sequence[str], student: Sequence[str]) -> None:
    """Two models that call the same classes by other numbers teach each other nonsense."""
    theirs, ours = ([n.casefold() for n in names] for names in (teacher, student))
    if set(theirs) == set(ours) and theirs != ours:
        notes = [f"teacher {', '.join(teacher)}; student {', '.join(student)}"]
        help = "choose a teacher that was trained on this data"
        raise fail("E080", "teacher and student have their labels in different orders", help=help, notes=notes)

"""A checked recipe, a model and data into a plan: every tensor, step and count, before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import islice
from pathlib import Path
from types import MappingProxyType, ModuleType

from recipelang.plan import calibration, compat, controls, counts, match as matching, schedule
from recipelang.plan.data import plan_data, with_labels
from recipelang.plan.distill import plan_term
from recipelang.plan.facts import ModelFacts, model_digest, read_model_facts
from recipelang.plan.families import TensorFact, label_count, label_names
from recipelang.plan.identities import identities
from recipelang.plan.layers import with_layers
from recipelang.plan.memory import peak_memory, scoring
from recipelang.plan.processor import emulates_bf16
from recipelang.plan.references import Pins, locate_model
from recipelang.plan.types import (
    ClaimPlan,
    DataPlan,
    DenseGroup,
    DistillPlan,
    DropPlan,
    EvaluatePlan,
    ExportPlan,
    FreezePlan,
    GroupPlan,
    ModelPlan,
    Plan,
    PruneEvent,
    PrunePlan,
    StagePlan,
    Target,
)
from recipelang.source import Diagnostic, Diagnostics, Label, RecipeError, at_label, fail
from recipelang.spec import selector as sel
from recipelang.spec.attribute import ANY, Attr
from recipelang.spec.blocks import METRICS, DistillSpec, PruneSpec, StageSpec
from recipelang.spec.canonical import behaviour_digest, spec_digest
from recipelang.spec.check import Recipe
from recipelang.spec.claims import selectors
from recipelang.spec.methods import METHODS
from recipelang.spec.show import percent, show
from recipelang.spec.terms import INNER
from recipelang.tasks import task_of
from recipelang.values.composite import StageRef


def resolve(
    recipe: Recipe, beside: Path, found: Diagnostics, *, rehearsal: int | None = None, pins: Pins | None = None
) -> Plan | None:
    """The plan, or none with errors in `found`. Local paths in the recipe are relative to `beside`."""
    return Resolver(recipe, beside, found, rehearsal, pins or {}).run()


#: a set of masks made with the first scope can be continued with the second: its sets hold whole ones of the first
COARSER = {("row", "uniform"), ("row", "global"), ("uniform", "global"), ("erk", "global")}


class Resolver:
    """For a run; `plan.live` takes what it knows of a model from the model itself."""

    def __init__(
        self, recipe: Recipe, beside: Path, found: Diagnostics, rehearsal: int | None, pins: Pins = MappingProxyType({})
    ) -> None:
        self.pins = pins
        self.recipe = recipe
        self.beside = beside
        self.found = found
        self.rehearsal = rehearsal
        self.patterned: dict[str, str] = {}  # tensor -> the pattern of its mask
        self.masked: dict[str, int] = {}  # tensor -> its zeros, where they are known
        self.acts: dict[str, tuple[str, bool]] = {}  # tensor -> the last stage that named it, whether to release it
        self.ranked: dict[str, tuple[tuple[str, tuple[str, ...]], str]] = {}  # tensor -> its last ranking set, stage

    def run(self) -> Plan | None:
        if self._not_yet():
            return None
        facts = self._guard("model.base", self._model)
        facts = facts and self._with_labels(facts)
        if facts is None:
            return None
        self.facts, dropped = self._with_layers(facts)
        data = self._data()
        if data is None or not self._measures_what_it_can():
            return None
        self.data = {d.label: d for d in data}
        stages = self._stages()
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
                dtype=model.dtype,  # type: ignore[arg-type]
                dropout=None if model.dropout is None else float(model.dropout),
                attention_dropout=None if model.attention_dropout is None else float(model.attention_dropout),
                digest=model_digest(facts.path),
                family=facts.family,
                parameters=self.facts.parameters,
                drop=dropped,
                fresh_head=not facts.has_head,
                redrawn=facts.redrawn,
                labels=facts.labels,
            ),
            data=tuple(data),
            stages=tuple(stages),
            evaluations=tuple(self._evaluations(stages)),
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
    def _guard(self, path: str, call, code: str = "E076"):  # type: ignore[no-untyped-def]
        """A coded error from reading a file, shown at the attribute that named it; `code` for what the system refuses."""
        try:
            try:
                return call()
            except OSError as error:
                name = f"`{error.filename}`" if error.filename else "a file"
                raise fail(code, f"{name} cannot be read", notes=[error.strerror or str(error)]) from None
        except RecipeError as error:
            for d in error.diagnostics:
                primary = d.primary or self.recipe.label(path)
                self.found.add(Diagnostic(d.code, d.message, primary, d.secondary, d.notes, d.help, d.fixes))
            return None

    def _model(self) -> ModelFacts:
        model = self.recipe.model
        return read_model_facts(
            locate_model(model.base, self.beside, self.pins.get(model.base) or model.revision), model.task
        )

    def _with_labels(self, facts: ModelFacts) -> ModelFacts | None:
        """A task of classes takes their names from the data of the first stage that reads some, or is measured on."""
        if not task_of(facts.task).CLASSES:
            return facts
        stages = [(s.data, "train") for s in self.recipe.stages if s.reads_data]
        reads = [*stages, *((e.data, e.split) for e in self.recipe.evaluations)]
        if not reads:
            return facts
        label, split = reads[0]
        path, spec = f"data.{label}" if label else "data", self.recipe.data[label]
        return self._guard(
            path, lambda: with_labels(facts, self.recipe, label, spec, split, self.beside, self.pins), "E074"
        )

    def _with_layers(self, facts: ModelFacts) -> tuple[ModelFacts, DropPlan | None]:
        """The model that is trained: all names and shapes from here on are its own."""
        for stage in self.recipe.stages[1:]:
            for drop in stage.drops:
                message = "layers are dropped before the first stage only"
                help = "move it to the first stage, or begin another recipe with what this one leaves"
                self._error("E054", message, f"stage.{stage.name}.drop.{drop.name}", help)
        for drop in self.recipe.stages[0].drops:
            path = f"stage.{self.recipe.stages[0].name}.drop.{drop.name}.keep"
            left = self._guard(path, lambda d=drop: with_layers(facts, d.keep))
            if left is not None:
                return left, DropPlan(keep=drop.keep, layers=facts.layers, parameters=facts.parameters)
        return facts, None

    def _data(self) -> list[DataPlan] | None:
        used: dict[str, set[str]] = {}
        for stage in self.recipe.stages:
            if stage.reads_data:
                used.setdefault(stage.data, set()).add("train")
        for evaluation in self.recipe.evaluations:
            used.setdefault(evaluation.data, set()).add(evaluation.split)
        plans: list[DataPlan] = []
        for label, splits in used.items():
            path = f"data.{label}" if label else "data"
            spec = self.recipe.data[label]
            plan = self._guard(
                path,
                lambda a=label, s=spec, u=splits: plan_data(self.recipe, a, s, u, self.facts, self.beside, self.pins),
                "E074",
            )
            if plan is None:
                return None
            plans.append(plan)
        return plans

    # -------------------------------------------------------------------- stages
    def _stages(self) -> list[StagePlan]:
        planned: list[StagePlan] = []
        in_force: dict[str, Fraction] = {}  # target -> sparsity it already has
        for index, spec in enumerate(self.recipe.stages):
            stage = self._stage(index, spec, in_force)
            if stage is not None:
                planned.append(stage)
        if not any(s.prunes for s in planned) and not self.found.errors:
            at = self.recipe.label(f"stage.{self.recipe.stages[-1].name}")
            help = "add `prune NAME { targets = @linear & @encoder ... }` if weights should become zero"
            self.found.add(Diagnostic("W103", "this recipe prunes nothing", at, help=(help,)))
        return planned

    def _stage(self, index: int, spec: StageSpec, in_force: dict[str, Fraction]) -> StagePlan | None:
        path = f"stage.{spec.name}"
        if spec.mode == "one_shot":
            return self._one_shot(index, spec, in_force)
        assert spec.batch is not None and spec.learning_rate is not None
        per_epoch = self._steps_per_epoch(spec)
        steps = spec.length.in_steps(per_epoch)
        if steps < 1:
            help = f"lengthen it: an epoch here has {per_epoch:,} step{'s' if per_epoch > 1 else ''}"
            self._error("E063", "this stage has no step", f"{path}.length", help)
            return None
        micro = spec.micro_batch or spec.batch
        if spec.batch % micro:
            help = (
                f"write {' or '.join(map(str, _fitting(spec.batch, micro)))}, or change `batch`, which is {spec.batch}"
            )
            self._error("E077", "`batch` is not a multiple of `micro_batch`", f"{path}.micro_batch", help)
            return None
        clock = _clock(spec)
        rate = clock.segments(
            spec.learning_rate, steps, per_epoch, self.recipe.label(f"{path}.learning_rate"), self.found
        )
        self._warn_of_bf16(spec)
        prunes = [
            p for p in (self._prune(path, prune, steps, per_epoch, in_force, clock) for prune in spec.prunes) if p
        ]
        distills = [self._distill(path, d, steps, per_epoch) for d in spec.distills]
        freezes = self._freezes(path, spec, steps, per_epoch, [p for p in prunes if p])
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
            optimizer_args={n: _double(v) for n, v in spec.optimizer.arguments},
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
            groups=self._groups(path, spec, steps, per_epoch),
            compile=spec.compile,
            compat=spec.compat,  # type: ignore[arg-type]
        )

    def _one_shot(self, index: int, spec: StageSpec, in_force: dict[str, Fraction]) -> StagePlan | None:
        """A stage of no steps: its events fall on its end, which is where it begins."""
        path = f"stage.{spec.name}"
        planned = [self._prune(path, prune, 0, 1, in_force) for prune in spec.prunes]
        prunes = tuple(p for p in planned if p)
        size = spec.micro_batch or calibration.BATCH
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
            if METHODS[prune.method].wants == "inputs" and outside:
                at = self.recipe.label(f"stage.{spec.name}.prune.{prune.name}.targets")
                message = f"`{prune.method}` goes through layers, and `{outside[0]}` lies in none"
                role = "decoder" if any("decoder" in t.roles for t in self.facts.tensors) else "encoder"
                help = f"write `@linear & @{role}`"
                self.found.add(Diagnostic("E054", message, at, help=(help,)))
                return False
        return True

    def _freezes(
        self, path: str, spec: StageSpec, steps: int, per_epoch: int, prunes: list[PrunePlan]
    ) -> tuple[FreezePlan, ...]:
        found: list[FreezePlan] = []
        for freeze in spec.freezes:
            at = f"{path}.freeze.{freeze.name}"
            targets = self._select(freeze.targets, f"{at}.targets", matrices_only=False)
            until = None if freeze.until is None else freeze.until.in_steps(per_epoch)
            planned = self._guard(
                f"{at}.until",
                lambda f=freeze, t=targets, u=until: controls.plan_freeze(f.name, t, u, steps, self.facts),
            )
            if targets and planned:
                found.append(planned)
        held = controls.frozen(found, steps)
        if held and all(t.name in held for t in self.facts.tensors):
            help = "leave something to train"
            self._error("E054", "every parameter is frozen", f"{path}.freeze.{found[-1].name}", help)
        for prune in prunes:
            if name := controls.never_ranked(prune, held):
                label = self.recipe.label(f"{path}.prune.{prune.name}.method")
                notes = (f"`{name}` is frozen until its first mask, so it has none",)
                helps = ("prune it by `magnitude`, or freeze other parameters",)
                message = f"`{prune.method}` ranks by gradients"
                self.found.add(Diagnostic("E054", message, label, notes=notes, help=helps))
        return tuple(found)

    def _groups(self, path: str, spec: StageSpec, steps: int, per_epoch: int) -> tuple[GroupPlan, ...]:
        asked: list[controls.Asked] = []
        for group in spec.groups:
            at = f"{path}.group.{group.name}"
            targets = self._select(group.targets, f"{at}.targets", matrices_only=False)
            rate, decay = None, None if group.weight_decay is None else float(group.weight_decay)
            if group.learning_rate is not None:
                label = self.recipe.label(f"{at}.learning_rate")
                rate = _clock(spec).segments(group.learning_rate, steps, per_epoch, label, self.found)
            if decay is not None and spec.optimizer.get("weight_decay") is None:
                message = f"`{spec.optimizer.name}` has no weight decay"
                self._error("E054", message, f"{at}.weight_decay", "use `adamw`, or take it out")
            asked.append(controls.Asked(group.name, targets, rate, decay, self.recipe.label(f"{at}.targets")))
        return self._guard(path, lambda: controls.plan_groups(asked, self.facts)) or ()

    def _steps_per_epoch(self, spec: StageSpec) -> int:
        assert spec.batch is not None
        return -(-self.data[spec.data].items["train"] // spec.batch)

    def _warn_of_bf16(self, spec: StageSpec) -> None:
        said = any(d.code == "W104" for d in self.found)  # once is enough
        if spec.precision != "bf16" or said or not emulates_bf16():
            return
        at = self.recipe.label(f"stage.{spec.name}.precision")
        notes = ("steps were measured more than ten times slower than in fp32 on such a processor",)
        help = ("choose `fp32` here; bf16 is for GPUs and for CPUs that list avx512_bf16, amx_bf16 or bf16",)
        self.found.add(Diagnostic("W104", "this CPU has no bf16 arithmetic", at, notes=notes, help=help))

    def _prune(
        self,
        stage: str,
        spec: PruneSpec,
        steps: int,
        per_epoch: int,
        in_force: dict[str, Fraction],
        clock: ModuleType = schedule,
    ) -> PrunePlan | None:
        path = f"{stage}.prune.{spec.name}"
        targets = self._select(spec.targets, f"{path}.targets", matrices_only=True)
        never = self._select(spec.never, f"{path}.never", matrices_only=False, empty=True) if spec.never else ()
        if spec.never:
            self._warn_of_idle(spec.never, f"{path}.never")
        if not targets or not self._keeps_never(targets, never, path):
            return None
        facts = {t.name: t for t in self.facts.tensors}
        shapes = [facts[n].shape for n in targets]
        size = (spec.pattern.a, spec.pattern.b)
        if not self._divides(spec, targets, shapes, path):
            return None
        scope = "uniform" if spec.pattern.kind == "N:M" else str(spec.method.get("scope") or "uniform")
        regrows = METHODS[spec.method.name].regrows
        timed: list[tuple[int, Fraction]] = []
        if not self._released_alone(spec, targets, stage, path) or not self._keeps_its_pattern(spec, targets, path):
            return None
        if spec.method.name == "release":
            for name in targets:
                for known in (in_force, self.ranked, self.patterned, self.masked):
                    known.pop(name, None)  # type: ignore[attr-defined]
        elif spec.sparsity is not None:
            label = self.recipe.label(f"{path}.sparsity")
            timed = clock.events(spec.sparsity, steps, per_epoch, label, self.found)
            if not self._sound(spec, timed, path):
                return None
            if self._keeps_to_its_set(targets, scope, stage, label, regrows) and not regrows:
                self._rises(timed, targets, in_force, label)
            in_force |= dict.fromkeys(targets, timed[-1][1])
        zeros = counts.over_time(spec.pattern.kind, size, scope, shapes, [s for _, s in timed], rises=not regrows)
        grown: list[tuple[int, ...]] = [()] * len(zeros)
        if zeros and regrows:
            self.masked |= dict(zip(targets, zeros[-1], strict=True))
            grown = _grown(spec, scope, shapes, [k for k, _ in timed], zeros)
        elif zeros:
            zeros = self._not_below(targets, zeros)
        args = {n: float(v) if isinstance(v, Fraction) else v for n, v in spec.method.arguments if v is not None}
        memory, passes = scoring(spec.method.name, args, [facts[n].size for n in targets])
        return PrunePlan(
            name=spec.name,
            method=spec.method.name,
            args=args,  # type: ignore[arg-type]
            scope=scope,  # type: ignore[arg-type]
            pattern=spec.pattern.kind,  # type: ignore[arg-type]
            pattern_size=size,
            order=spec.order,  # type: ignore[arg-type]
            ties="first" if clock is schedule else "sparseml_1",
            targets=tuple(Target(name=n, shape=facts[n].shape, purpose=_purpose(facts[n])) for n in targets),
            never=never,
            dense=self._left_dense(set(targets), set(never)),
            events=tuple(
                PruneEvent(step=k, sparsity=float(s), zeros=n, grown=g)
                for (k, s), n, g in zip(timed, zeros, grown, strict=True)
            ),
            scoring=memory,
            passes=passes,
        )

    def _sound(self, spec: PruneSpec, timed: list[tuple[int, Fraction]], path: str) -> bool:
        """There are events, and what they ask for can be done by this method and pattern."""
        at = f"{path}.sparsity"
        if not timed:
            if not self.found.errors:
                help = "prune more often, or lengthen the window"
                self._error("E063", "no pruning event falls in this stage", at, help)
            return False
        if spec.pattern.kind == "N:M":
            share = 1 - Fraction(spec.pattern.a, spec.pattern.b)
            if wrong := next((s for _, s in timed if s not in (0, share)), None):
                message = f"{percent(wrong)} is not the sparsity of `{show(spec.pattern)}`"
                help = f"it is {percent(share)}: write `sparsity = {percent(share)}`, or a `step` to it"
                self._error("E054", message, at, help)
                return False
        method, name = METHODS[spec.method.name], spec.method.name
        if method.wants == "steps" and timed[0][0] == 0 and timed[0][1] > 0:
            message = f"`{name}` cannot rank at step 0: no gradient has been seen"
            self._error("E054", message, at, "let the window begin later, or at 0%")
            return False
        if method.regrows and len(timed) < 3:
            help = "it does between the first event and the last: `constant(80%, over = start..90%, updates = 2 per epoch)`"
            self._error("E063", f"`{name}` would swap no weights", at, help)
            return False
        return True

    def _not_below(self, targets: tuple[str, ...], zeros: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
        """Other sets round otherwise: an event asks for no fewer zeros than an earlier stage left."""
        floor = [self.masked.get(n, 0) for n in targets]
        if len(zeros[0]) != len(targets):
            floor = [sum(floor)]
        raised = [tuple(map(max, event, floor)) for event in zeros]
        for name in targets:
            self.masked.pop(name, None)
        if len(zeros[0]) == len(targets):
            self.masked |= dict(zip(targets, raised[-1], strict=True))
        return raised

    def _released_alone(self, spec: PruneSpec, targets: tuple[str, ...], stage: str, path: str) -> bool:
        """Masks are taken off as a stage starts, so no other block of it can have to do with these tensors."""
        releases = spec.method.name == "release"
        for name in targets:
            where, released = self.acts.get(name, ("", False))
            if where == stage and (releases or released):
                message = "a stage that releases tensors cannot prune them as well"
                help = "release them in a stage of its own, before this one"
                at = self.recipe.label(f"{path}.targets")
                self.found.add(Diagnostic("E064", message, at, notes=(f"one of them is `{name}`",), help=(help,)))
                return False
        self.acts |= dict.fromkeys(targets, (stage, releases))
        return True

    def _keeps_its_pattern(self, spec: PruneSpec, targets: tuple[str, ...], path: str) -> bool:
        """Groups of a pattern would revive single weights that another pattern masked."""
        pattern = show(spec.pattern)
        for name in targets:
            before = self.patterned.get(name, pattern)
            if spec.method.name != "hold" or name not in self.patterned:
                self.patterned[name] = pattern
            if spec.pattern.kind != "unstructured" and before != pattern:
                message = f"these tensors were pruned as `{before}` before"
                notes = (f"one of them is `{name}`; groups of `{pattern}` would revive some of its weights",)
                help = (f"go on with `{before}`, or free them in a stage before, with `method = release`",)
                at = self.recipe.label(f"{path}.pattern")
                self.found.add(Diagnostic("E064", message, at, notes=notes, help=help))
                return False
        return True

    def _divides(self, spec: PruneSpec, targets: tuple[str, ...], shapes: list[tuple[int, ...]], path: str) -> bool:
        """Groups of a pattern cover a tensor without a rest."""
        height, width = {"N:M": (1, spec.pattern.b), "block": (spec.pattern.a, spec.pattern.b)}.get(
            spec.pattern.kind, (1, 1)
        )
        for name, shape in zip(targets, shapes, strict=True):
            if shape[0] % height or shape[-1] % width:
                message = f"`{show(spec.pattern)}` does not divide `{name}`"
                notes = (f"it has {' × '.join(map(str, shape))} weights, outputs × inputs",)
                help = ("choose another pattern, or take the tensor out with `except`",)
                at = self.recipe.label(f"{path}.pattern")
                self.found.add(Diagnostic("E072", message, at, notes=notes, help=help))
                return False
        return True

    def _left_dense(self, targets: set[str], never: set[str]) -> tuple[DenseGroup, ...]:
        """What a prune block does not touch, in the model's order of kinds."""
        groups: dict[str, list[TensorFact]] = {}
        for tensor in self.facts.tensors:
            if tensor.name not in targets:
                groups.setdefault(_purpose(tensor), []).append(tensor)
        return tuple(
            DenseGroup(
                what=what,
                tensors=len(tensors),
                weights=sum(t.size for t in tensors),
                protected=all(t.name in never for t in tensors),
            )
            for what, tensors in groups.items()
        )

    def _rises(
        self,
        timed: list[tuple[int, Fraction]],
        targets: tuple[str, ...],
        in_force: dict[str, Fraction],
        label: Label | None,
    ) -> None:
        before = max((in_force.get(n, Fraction(0)) for n in targets), default=Fraction(0))
        for step, sparsity in timed:
            if sparsity < before:
                message = f"sparsity falls from {float(before):.2%} to {float(sparsity):.2%} at step {step:,}"
                help = "weights once masked stay masked: let the schedule rise"
                self.found.add(Diagnostic("E064", message, label, help=(help,)))
                return
            before = sparsity

    def _keeps_to_its_set(
        self, targets: tuple[str, ...], scope: str, stage: str, label: Label | None, regrows: bool
    ) -> bool:
        """Counts are kept for a ranking set as a whole, so another set over its tensors could revive weights.

        Two blocks of a stage never share tensors; beyond that a method that regrows may take any set.
        """
        mine = (scope, targets if scope == "global" else ())
        for name in targets:
            before, where = self.ranked.setdefault(name, (mine, stage))
            if where == stage and before is not mine:
                message, help = "two blocks of a stage prune the same tensors", "prune a tensor in one block of a stage"
            elif before == mine or (before[0], scope) in COARSER or regrows:
                continue
            elif before[0] == "global":
                message = "these tensors were ranked together before"
                help = "go on with the same targets and `scope = global`: single tensors may be sparser than the whole"
            else:
                message = f"these tensors were ranked with `scope = {before[0]}` before"
                help = f"go on with `{before[0]}`, or with `global`: other sets may be sparser already than their share"
            self.found.add(Diagnostic("E064", message, label, notes=(f"one of them is `{name}`",), help=(help,)))
            return False
        self.ranked |= dict.fromkeys(targets, (mine, stage))
        return True

    def _distill(self, stage: str, spec: DistillSpec, steps: int, per_epoch: int) -> DistillPlan | None:
        path = f"{stage}.distill"
        hardness, temperature = (
            schedule.segments(getattr(spec, n), steps, per_epoch, self.recipe.label(f"{path}.{n}"), self.found)
            for n in ("hardness", "temperature")
        )
        if isinstance(spec.teacher, StageRef):
            where = reference = f"stage.{spec.teacher.name}"
            facts = self.facts
        else:
            reference = spec.teacher
            facts = self._guard(f"{path}.teacher", lambda: self._teacher(reference))
            if facts is None:
                return None
            where = str(facts.path)
        teacher = facts
        at = self.recipe.label(f"{path}.on")
        terms = [
            self._guard(
                f"{path}.on",
                lambda t=term: plan_term(
                    t, self.facts, teacher, lambda w: schedule.segments(w, steps, per_epoch, at, self.found), steps
                ),
            )
            for term in spec.on
        ]
        has = task_of(self.recipe.model.task).OUTPUTS
        for term in spec.on:
            if term.name not in (*INNER, "logits", *has):
                message = f"a model for {self.recipe.model.task} gives no `{term.name}`"
                self._error("E054", message, f"{path}.on", "write `logits`: every output of the task")
                return None
        inner = next((term.name for term in spec.on if term.name in INNER), None)
        if spec.cache and inner:
            help = f"a cache keeps outputs only: take `{inner}` out, or the cache"
            self._error("E054", f"`cache` and `{inner}` exclude each other", f"{path}.cache", help)
        if spec.cache and task_of(self.recipe.model.task).BLOCKS:
            help = "take it out: the logits of every token are far larger than the text"
            self._error("E055", "`cache` for a language model is not in this release yet", f"{path}.cache", help)
        if not all(terms):
            return None
        return DistillPlan(
            teacher=where,
            teacher_ref=reference,
            teacher_parameters=teacher.parameters,
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
        theirs, ours = label_count(facts.config), label_count(self.facts.config)
        if theirs != ours:
            help, notes = "choose a teacher of the same task", [f"teacher {theirs}, student {ours} labels"]
            raise fail("E080", "teacher and student have different labels", help=help, notes=notes)
        _same_order(label_names(facts.config), label_names(self.facts.config))
        if not facts.has_head:
            help = "name a model fine-tuned for it, or `stage.NAME`: a new head would teach noise"
            raise fail("E080", f"the teacher has no head for {self.recipe.model.task}", help=help)
        longest = max(d.max_length for d in self.data.values())
        if longest > facts.max_positions:
            notes = [f"the teacher takes {facts.max_positions:,} tokens, windows have {longest:,}"]
            raise fail("E080", "the teacher cannot read windows this long", help="shorten `max_length`", notes=notes)
        return facts

    # ----------------------------------------------------------------- selectors
    def _select(
        self, selector: sel.Selector, path: str, *, matrices_only: bool, empty: bool = False
    ) -> tuple[str, ...]:
        names = self._guard(path, lambda: matching.match(selector, self.facts))
        if names is None:
            return ()
        chosen = tuple(t.name for t in matching.matrices(names, self.facts)) if matrices_only else names
        if not chosen and not empty:
            error = matching.nothing(selector, self.facts, self.recipe.label(path))
            self.found.extend(error.diagnostics)
        return chosen

    def _warn_of_idle(self, never: sel.Selector, path: str) -> None:
        """A name pattern that protects nothing is most often misspelt. A role may well be another family's."""
        for leaf in matching.leaves(never):
            if not isinstance(leaf, sel.Glob | sel.Regex) or self._guard(
                path, lambda p=leaf: matching.match(p, self.facts)
            ):
                continue
            near = matching.nearest(leaf, self.facts)
            at = Label(self.recipe.source, leaf.span) if leaf.span else self.recipe.label(path)
            help = (f"near it: {', '.join(f'`{n}`' for n in near)}",) if near else ()
            self.found.add(Diagnostic("W105", f"`{sel.text(leaf)}` protects nothing in this model", at, help=help))

    def _keeps_never(self, targets: tuple[str, ...], never: tuple[str, ...], path: str) -> bool:
        both = [n for n in targets if n in set(never)]
        if not both:
            return True
        never_label = self.recipe.label(f"{path}.never", "protects them")
        shown = ", ".join(f"`{n}`" for n in both[:3]) + (f" and {len(both) - 3} more" if len(both) > 3 else "")
        self.found.add(
            Diagnostic(
                "E071",
                f"`targets` meets `never` in {len(both)} tensor{'s' if len(both) > 1 else ''}",
                self.recipe.label(f"{path}.targets", "selects them"),
                (never_label,) if never_label else (),
                notes=(f"they share {shown}",),
                help=("add `except ...` to `targets`, or take them out of `never`",),
            )
        )
        return False

    def _selections(self) -> dict[str, tuple[str, ...]]:
        chosen: dict[str, tuple[str, ...]] = {}
        for selector, span in selectors(self.recipe):
            label = Label(self.recipe.source, span)
            try:
                with at_label(label):
                    names = matching.match(selector, self.facts)
            except RecipeError as error:
                self.found.extend(error.diagnostics)
                continue
            found = tuple(t.name for t in matching.matrices(names, self.facts))
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
                metrics=e.metrics or METRICS[self.recipe.model.task],
                dense=e.compare == "dense",
                every={} if e.every is None else {n: max(1, e.every.in_steps(k)) for n, k in per_epoch.items()},
            )
            for e in self.recipe.evaluations
        ]

    def _measures_what_it_can(self) -> bool:
        task = self.recipe.model.task
        for e in self.recipe.evaluations:
            if wrong := [m for m in e.metrics if m not in METRICS[task]]:
                have = " and ".join(f"`{m}`" for m in METRICS[task])
                path = f"evaluate.{e.name}.metrics"
                self._error("E054", f"`{wrong[0]}` is not a metric of {task}", path, f"it has {have}")
                return False
            for metric in (e.metrics or METRICS[task]) if self.facts.labels else ():
                if why := task_of(task).refuses(metric, self.facts.labels):
                    others = ", ".join(m for m in METRICS[task] if m != metric)
                    path = f"evaluate.{e.name}" + (".metrics" if e.metrics else "")
                    self._error("E054", why, path, f"write `metrics = [{others}]`")
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
        help = f"this release has {listed}" if have else "take it out for now"
        self._error("E055", f"{what} is not in this release yet", f"{path}.{name}", help)

    def _error(self, code: str, message: str, path: str, help: str | None = None) -> None:
        self.found.add(Diagnostic(code, message, self.recipe.label(path), help=(help,) if help else ()))


def _clock(stage: StageSpec) -> ModuleType:
    """What turns schedules of a stage's rate and masks into steps."""
    return schedule if stage.compat is None else compat


def _fitting(batch: int, micro: int) -> list[int]:
    """The largest parts of a batch below `micro`; one that is far below is not looked for."""
    below = range(min(batch, micro), 0, -1)[:10_000]
    return sorted(islice((n for n in below if batch % n == 0), 3)) or [1]


def _grown(
    spec: PruneSpec, scope: str, shapes: list[tuple[int, ...]], steps: list[int], zeros: list[tuple[int, ...]]
) -> list[tuple[int, ...]]:
    """What a method that takes weights back swaps at every event: from its `fraction` at the first to none at the last."""
    fraction = spec.method.get("fraction")
    assert isinstance(fraction, Fraction)
    kind, size = spec.pattern.kind, (spec.pattern.a, spec.pattern.b)
    ways = [Fraction(step - steps[0], steps[-1] - steps[0]) for step in steps]
    return [counts.grown(kind, size, scope, shapes, n, fraction, x) for n, x in zip(zeros, ways, strict=True)]


def _same_order(teacher: Sequence[str], student: Sequence[str]) -> None:
    """Two models that call the same classes by other numbers teach each other nonsense."""
    theirs, ours = ([n.casefold() for n in names] for names in (teacher, student))
    if set(theirs) == set(ours) and theirs != ours:
        notes = [f"teacher {', '.join(teacher)}; student {', '.join(student)}"]
        help = "choose a teacher that was trained on this data"
        raise fail("E080", "teacher and student have their labels in another order", help=help, notes=notes)


def _purpose(tensor: TensorFact) -> str:
    for role in ("embeddings", "head", "pooler"):
        if role in tensor.roles:
            return role
    return "other matrices" if len(tensor.shape) == 2 else "norms and biases"


def _double(value: object) -> float | tuple[float, ...]:
    if isinstance(value, tuple):
        return tuple(float(v) for v in value)
    return float(value)  # type: ignore[arg-type]

"""A checked recipe, a model and data into a plan: every tensor, step and count, before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType

from recipelang.planning import data_remarks, match as matching, numbers
from recipelang.planning.data import ClassFacts, never_read, plan_data, training_splits, understand, with_labels
from recipelang.planning.data_plan import DataPlan
from recipelang.planning.dropouts import dropouts_fit
from recipelang.planning.evaluations import can_be_measured, plan_evaluations
from recipelang.planning.facts import ModelFacts, model_digest, read_model_facts, stored_dtype
from recipelang.planning.figures import Models
from recipelang.planning.formats import can_be_exported
from recipelang.planning.harness import plan_harnesses
from recipelang.planning.identities import identities
from recipelang.planning.languages import language_remarks
from recipelang.planning.layers import stack_layers, whole, with_layers
from recipelang.planning.memory import memory_of
from recipelang.planning.opened import read_once
from recipelang.planning.prepared import refusal
from recipelang.planning.references import Pins, locate_model
from recipelang.planning.remarks import remarks
from recipelang.planning.remembered import cache_folder
from recipelang.planning.sliced import protected
from recipelang.planning.stages import Stages
from recipelang.planning.streamed import can_be_evaluated
from recipelang.planning.tracking import tracking
from recipelang.planning.types import (
    ClaimPlan,
    DropPlan,
    ExportPlan,
    KeptPlan,
    ModelPlan,
    Plan,
    StagePlan,
    trained_rows,
)
from recipelang.planning.weights import check_weights
from recipelang.planning.zeros import stored_zeros as zeros_of_folder
from recipelang.source import Diagnostics, RecipeError
from recipelang.source.words import listed
from recipelang.spec.canonical import behaviour_digest, spec_digest
from recipelang.spec.controls import DROPS
from recipelang.spec.recipe import Recipe
from recipelang.spec.requirements import used as plugins_of
from recipelang.tasks import in_parts
from recipelang.tasks.meaning import Meaning
from recipelang.tasks.pooling import pooling_of


def resolve(
    recipe: Recipe, beside: Path, found: Diagnostics, *, rehearsal: int | None = None, pins: Pins | None = None
) -> Plan | None:
    """The plan, or none with errors in `found`. Local paths in the recipe are relative to `beside`."""
    with read_once():
        return Resolver(recipe, beside, found, rehearsal, pins or {}).run()


class Resolver(Stages):
    """For a run: everything is read from files."""

    def __init__(
        self, recipe: Recipe, beside: Path, found: Diagnostics, rehearsal: int | None, pins: Pins = MappingProxyType({})
    ) -> None:
        super().__init__(recipe, beside, found, pins)
        self.rehearsal = rehearsal
        self.dropped: DropPlan | None = None

    def run(self) -> Plan | None:
        if self._not_yet(self.recipe.blocks()):  # before anything is loaded
            return None
        self._judge_processes()
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
        self._judge_cache()
        self.data = {d.label: d for d in data}
        if self.classes is not None and "positive" in self.task.settings:
            data_remarks.judge_positive(self.recipe, self.classes, self.found)
        if not can_be_evaluated(self, self.data) or not can_be_measured(self, self.data):
            return None
        start = self.facts
        stages = self._stages()
        self._mixtures_are_read(data, stages)
        self._warn_of_random_head()
        self._judge_dtype()
        selections = self._selections()
        self.guard("export.formats", lambda: can_be_exported(self.recipe.export, self.recipe.model.task))
        harnesses = plan_harnesses(self, self.rehearsal)
        self.guard("track", lambda: tracking(self.recipe, self.beside))
        if self.found.errors:
            return None
        claimed = self.claimed(Models(start, self.after, base=facts, said={}), self.dtype, selections)
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
                parameters=start.parameters,
                drop=self.dropped,
                fresh_head=not facts.has_head,
                redrawn=facts.redrawn,
                left_out=(*facts.left_out, *facts.strangers),
                tied=next((t.name for t in start.tensors if t.tied), None),
                roleless=matching.without_role(start),
                labels=facts.labels,
                pooling=self.pooling,
            ),
            data=tuple(data),
            stages=tuple(stages),
            evaluations=plan_evaluations(self.recipe, self.data, stages, self._positive(), self.rehearsal),
            harnesses=harnesses,
            plugins=plugins_of(self.recipe),
            export=ExportPlan(
                **{n: getattr(self.recipe.export, n) for n in ("formats", "quantize", "card", "max_shard")}
            ),
            claims=tuple(
                ClaimPlan(kind=c.kind, id=i, text=c.text, message=c.message, planned=claimed.planned[i])  # type: ignore[arg-type]
                for i, c in enumerate(self.recipe.claims)
            ),
            figures=claimed.figures,
            never=protected(stages, {t.name for t in self.facts.tensors}),
            selections=selections,
            rehearsal=self.rehearsal,
        )
        return plan.model_copy(update=memory_of(plan, self.before))

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
        self.found.extend([*dropouts_fit(self.recipe, facts.family, facts.dropouts)])
        return facts

    def _used(self) -> dict[str, set[str]]:
        """Label of a data set -> its splits that are read."""
        used: dict[str, set[str]] = {}
        for stage in self.recipe.stages:
            if stage.reads_data:
                used.setdefault(stage.data, set()).update(training_splits(self.recipe.data[stage.data]))
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
        splits = training_splits(spec) if split == "train" else (split,)
        meaning = self.meanings[label]
        self.classes = self.guard(
            path, lambda: with_labels(facts, self.recipe, label, spec, splits, meaning, self.beside, self.pins), "E074"
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
                self.say("E054", message, f"stage.{stage.name}.drop.{drop.name}", help)
        drops = self.recipe.stages[0].drops
        kept = {}
        for drop in drops:
            path = f"stage.{self.recipe.stages[0].name}.drop.{drop.name}.keep"
            if self.guard(path, lambda d=drop: whole(facts, {DROPS[d.name]: d.keep})) is None:
                return facts, None
            kept[DROPS[drop.name]] = drop.keep
        left = self.guard(path, lambda: with_layers(facts, kept)) if drops else None
        if left is None:
            return facts, None
        of = [KeptPlan(keep=keep, layers=stack_layers(facts, w)) for w, keep in whole(facts, kept).items()]
        decoder = of[1] if len(of) > 1 else None
        return left, DropPlan(keep=of[0].keep, layers=of[0].layers, parameters=facts.parameters, decoder=decoder)

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

    def _judge_processes(self) -> None:
        try:
            in_parts.asked()
        except ValueError as error:
            message = f"`{in_parts.VARIABLE}` is not a number of processes"
            notes = (f"it is `{str(error)[:40]}`; the data is prepared as if it were not set",)
            help = f"set it to a number from 1 to {in_parts.MOST}, or unset it"
            self.found.say("W188", message, self.recipe.label("data"), notes=notes, help=help)

    def _judge_cache(self) -> None:
        if why := refusal():
            message = "prepared data cannot be kept for the next start"
            help = "free some space, or choose another folder: `RECIPELANG_CACHE=DIR`"
            notes = (why, f"the folder is {cache_folder()}", "every start prepares the data again")
            self.found.say("W187", message, self.recipe.label("data"), notes=notes, help=help)

    def _mixtures_are_read(self, data: Sequence[DataPlan], stages: Sequence[StagePlan]) -> None:
        """E227 for a source that no stage comes to."""
        for plan in (d for d in data if d.mixture):
            rows = trained_rows(plan, stages)
            block = f"data.{plan.label}" if plan.label else "data"
            for source in plan.mixture if rows else ():
                if rows * source.rows < sum(m.rows for m in plan.mixture):
                    self.found.extend(never_read(self.recipe, block, source.name, rows, "rows").diagnostics)

    def stored_zeros(self) -> dict[str, tuple[int, int]] | None:
        stored = zeros_of_folder(self.facts.path)
        found = {}
        for tensor in self.facts.tensors:
            name = tensor.name
            if tensor.layer is not None and self.dropped is not None:  # it had another number in the files
                name = name.replace(f".{tensor.layer}.", f".{self.dropped.keep[tensor.layer]}.", 1)
            found[tensor.name] = self.facts.zeros(name, stored)
        return found

    # ---------------------------------------------------------- what is said of it
    def _warn_of_random_head(self) -> None:
        """One shot changes no head, so a new one leaves the run as it was drawn."""
        if self.facts.has_head or any(s.mode != "one_shot" for s in self.recipe.stages):
            return
        names = [t.name for t in self.facts.tensors if "head" in t.roles and t.name in self.facts.fresh]
        notes = (f"the weights lack {listed(names, 3)} for {self.facts.task.replace('_', ' ')}",)
        help = "name a model that was fine-tuned for the task, or train the head in an earlier stage"
        message = "the head is random, and no stage trains it"
        self.say("W173", message, "model.base", help, notes)

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
            help = "write `dtype = fp32` with `precision = fp16` in the stage: fast steps, exact updates"
            self.found.say("E221", "fp16 weights cannot be trained", at, notes=notes, help=help)
        elif self.dtype == "bf16" and trained:
            notes = ("bf16 has 8 significant bits: an update below 1/512 of a weight changes nothing",)
            help = "write `dtype = fp32` with `precision = bf16` in the stage: fast steps, exact updates"
            self.found.say("W193", "training in bf16 loses small updates", at, notes=notes, help=help)
        elif not (written or trained) and (stored := stored_dtype(self.facts.path)) != "fp32":
            notes = (f"the model's files store {stored}; fp32 takes twice the memory, and the output twice the room",)
            help = "write `dtype = auto` to prune and write the weights as they are stored"
            self.found.say("W194", f"{stored} weights are pruned and written as fp32", at, notes=notes, help=help)

    def _positive(self) -> dict[str, str | None]:
        """Of each evaluation the class whose F1 counts, where it is one."""
        if (classes := self.classes) is None or "positive" not in self.task.settings:
            return {}
        data = self.recipe.data
        return {e.name: data_remarks.positive_class(data[e.data].positive, classes)[0] for e in self.recipe.evaluations}

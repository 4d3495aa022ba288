"""A recipe planned on a model and data of which there is nothing but a config: whether any model could follow it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from recipelang.planning.data import DEFAULT_LENGTH
from recipelang.planning.data_plan import DataPlan
from recipelang.planning.evaluations import can_be_measured
from recipelang.planning.facts import ModelFacts
from recipelang.planning.families import TensorFact, check_head, label_names, tensors_of
from recipelang.planning.resolve import Resolver
from recipelang.planning.types import DropPlan, StagePlan
from recipelang.source import Diagnostics
from recipelang.spec.blocks import StageSpec
from recipelang.spec.recipe import Recipe

#: steps of an epoch, and examples; whole tenths and hundredths of epochs are whole steps
STEPS, _EXAMPLES = 100, 100_000


@dataclass(frozen=True)
class Imagined:
    """`facts` are those of the model that is trained, after layers went."""

    facts: ModelFacts
    drop: DropPlan | None
    stages: tuple[StagePlan, ...]


def resolve_imagined(
    recipe: Recipe, config: dict[str, Any], found: Diagnostics, tensors: tuple[TensorFact, ...] = ()
) -> Imagined | None:
    """The stages on the model of a config, `STEPS` steps an epoch, or none with errors in `found`. No file is read.

    `tensors` are those of a type that is in no table of families, for whatever task.
    """
    return _Imagined(recipe, config, found, tensors).imagined()


class _Imagined(Resolver):
    """Models, teachers and data are those of the config, whatever the recipe names."""

    def __init__(
        self, recipe: Recipe, config: dict[str, Any], found: Diagnostics, tensors: tuple[TensorFact, ...]
    ) -> None:
        super().__init__(recipe, Path(), found, None)
        self.config, self.tensors = config, tensors

    def imagined(self) -> Imagined | None:
        if self._not_yet(self.recipe.blocks()):
            return None
        facts = self.guard("model.task", self._model)
        if facts is None:
            return None
        self.facts, drop = self._with_layers(facts)
        self.data = {label: self._imagined_data(label) for label in self.recipe.data}
        if not can_be_measured(self, self.data):
            return None
        stages = self._stages()
        self._selections()
        return None if self.found.errors else Imagined(self.facts, drop, tuple(stages))

    def _model(self) -> ModelFacts:
        family, task = str(self.config["model_type"]), self.recipe.model.task
        if not self.tensors:
            check_head(family, task)
        tensors = self.tensors or tuple(tensors_of(family, self.config, task))
        return ModelFacts(Path(), family, task, self.config, tensors, ())

    def _imagined_data(self, label: str) -> DataPlan:
        spec = self.recipe.data[label]
        length = min(spec.max_length or DEFAULT_LENGTH, self.facts.max_positions)
        count = spec.samples or _EXAMPLES
        return DataPlan(
            label=label,
            task=self.recipe.model.task,
            splits={},
            max_length=length,
            stride=spec.stride,
            samples=spec.samples,
            examples={"train": count},
            items={"train": count},
        )

    def _steps_per_epoch(self, spec: StageSpec) -> int:
        return STEPS

    def _warn_of_emulation(self, spec: StageSpec) -> None:
        """Not on this machine."""

    def _class_counts(self, spec: StageSpec) -> Sequence[int]:
        return [1] * len(label_names(self.facts.config))  # of no data

    def stored_zeros(self) -> None:
        return None

    def _digest_of(self, teacher: ModelFacts) -> str:
        return ""

    def _teacher(self, reference: str) -> ModelFacts:
        return replace(self._model(), path=Path(reference))

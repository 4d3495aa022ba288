"""A stage of training as fields of transformers' `TrainingArguments`: what a callback of this project leaves to them."""

from __future__ import annotations

import json
from fractions import Fraction

from recipelang.schedules.shapes import exponent
from recipelang.source import Diagnostic, RecipeError
from recipelang.spec.blocks import StageSpec
from recipelang.spec.recipe import Recipe
from recipelang.values.composite import Schedule, ShapeSegment
from recipelang.values.quantities import Time


def convert(recipe: Recipe, stage: str | None = None) -> str:
    """JSON, in the order of the recipe.

    Args:
        stage: its name, where the recipe trains in several.

    Raises:
        RecipeError: E115, for what has no field there.
    """
    return json.dumps(_Arguments(recipe, chosen(recipe, stage)).fields(), indent=2, ensure_ascii=False) + "\n"


def chosen(recipe: Recipe, stage: str | None = None) -> StageSpec:
    training = [s for s in recipe.stages if s.mode == "train" and stage in (None, s.name)]
    if len(training) == 1:
        return training[0]
    names = ", ".join(f"`--stage {s.name}`" for s in recipe.stages if s.mode == "train")
    label = recipe.label(f"stage.{recipe.stages[-1].name}")
    if not names:
        raise RecipeError(Diagnostic("E115", "no stage of this recipe trains", label))
    message = f"no training stage is named `{stage}`" if stage else "training arguments describe one stage"
    raise RecipeError(Diagnostic("E115", message, label, help=(f"choose one: {names}",)))


def left(stage: StageSpec) -> tuple[str, ...]:
    """Blocks of a stage that are no arguments: the callback does them, from the recipe itself."""
    kinds = {"prune": stage.prunes, "distill": stage.distills, "freeze": stage.freezes}
    return tuple(kind for kind, blocks in kinds.items() if blocks)


def rounds_up(recipe: Recipe, stage: StageSpec) -> bool:
    """Whether the warm-up is a share of the training: of a part of a step a Trainer makes a whole one."""
    return isinstance(_Arguments(recipe, stage).rate().get("warmup_steps"), float)


class _Arguments:
    def __init__(self, recipe: Recipe, stage: StageSpec) -> None:
        self.recipe, self.stage = recipe, stage
        self.at = f"stage.{stage.name}"

    def fields(self) -> dict[str, object]:
        stage = self.stage
        assert stage.batch is not None
        for kind, blocks in (("group", stage.groups), ("drop", stage.drops)):
            for block in blocks:  # type: ignore[attr-defined]
                does = "has groups of its own" if kind == "group" else "trains all layers of a model"
                raise self._no(
                    f"{kind}.{block.name}", f"a Trainer {does}", f"remove `{kind}`, and do this in your own code"
                )
        micro = stage.micro_batch or stage.batch
        seed = self.recipe.seed if stage.seed is None else stage.seed
        data = self.recipe.data.get(stage.data)
        fields: dict[str, object] = {**self._length(), "per_device_train_batch_size": micro}
        if stage.batch % micro:
            raise self._no("micro_batch", "`batch` is not a multiple of `micro_batch`")
        fields["gradient_accumulation_steps"] = stage.batch // micro
        fields |= {**self.rate(), **self._optimizer()}
        fields["max_grad_norm"] = 0.0 if stage.clip is None else float(stage.clip)
        fields |= {"bf16": stage.precision == "bf16", "torch_compile": stage.compile, "seed": seed}
        fields |= {"fp16": True} if stage.precision == "fp16" else {}
        fields |= {"tf32": True} if stage.precision == "tf32" else {}
        fields |= {"gradient_checkpointing": True} if stage.activation_checkpointing else {}
        if data is not None and data.seed is not None:
            fields["data_seed"] = data.seed
        if data is not None and (data.group_by_length or not data.shuffle):
            fields["train_sampling_strategy"] = "group_by_length" if data.group_by_length else "sequential"
        return {**fields, **self._checkpoints()}

    def _length(self) -> dict[str, object]:
        length = self.stage.length
        assert length is not None
        if length.epochs and length.steps:
            raise self._no(
                "length", "a Trainer's length is in either epochs or steps", "write it in one of these units"
            )
        return {"num_train_epochs": float(length.epochs)} if length.epochs else {"max_steps": int(length.steps)}

    def _checkpoints(self) -> dict[str, object]:
        every = self.stage.checkpoint_every
        kept: dict[str, object] = {"save_total_limit": self.stage.keep}
        if every is None or every == Time(epochs=Fraction(1)):
            return {"save_strategy": "epoch", **kept}
        if not isinstance(every, Time) or every.epochs:
            raise self._no(
                "checkpoint_every", "a Trainer writes checkpoints every N steps or every epoch", "write it in steps"
            )
        return {"save_strategy": "steps", "save_steps": int(every.steps), **kept}

    def _optimizer(self) -> dict[str, object]:
        chosen = self.stage.optimizer
        if chosen.name == "adamw":
            betas, eps, decay = (chosen.get(n) for n in ("betas", "eps", "weight_decay"))
            assert isinstance(betas, tuple) and isinstance(eps, Fraction) and isinstance(decay, Fraction | int)
            if decay and chosen.get("no_decay") != "norms_and_biases":
                message = "a Trainer's weight decay skips norms and biases"
                raise self._no("optimizer", message, "remove `no_decay = nothing`")
            names = {"adam_beta1": betas[0], "adam_beta2": betas[1], "adam_epsilon": eps, "weight_decay": decay}
            return {"optim": "adamw_torch", **{n: float(v) for n, v in names.items()}}
        momentum = chosen.get("momentum")
        args = {"optim_args": f"momentum={float(momentum)}"} if isinstance(momentum, Fraction) and momentum else {}
        return {"optim": "sgd", "weight_decay": 0.0, **args}

    # -------------------------------------------------------------- learning rate
    def rate(self) -> dict[str, object]:
        """One of its named schedules, which all warm up from 0, or hold, and then fall to the end of training."""
        schedule = self.stage.learning_rate
        assert isinstance(schedule, Schedule)
        parts = schedule.segments
        if any(part.ends == "last" for part in parts):
            if self.stage.compat:
                raise self._no("compat", "a Trainer cannot follow another tool's clock", "remove `compat`")
            message = "a Trainer's rate reaches its end after the last step"
            raise self._no("learning_rate", message, "remove `ends = last`")
        warm: dict[str, object] = {}
        if len(parts) == 2 and self._warms(parts[0], parts[1]):
            warm = {"warmup_steps": self._warmup(parts[0])}
            parts = parts[1:]
        if len(parts) != 1 or parts[0].rewind is not None or not self._reaches_the_end(parts[0]):
            message = "a Trainer's rate is one shape, after a warm-up at most"
            raise self._no("learning_rate", message, "write `linear`, `cosine` or `polynomial` over the stage")
        return {"learning_rate": float(parts[0].start), **self._shape(parts[0], bool(warm)), **warm}

    def _shape(self, part: ShapeSegment, warmed: bool) -> dict[str, object]:
        first, last = float(part.start), float(part.end)
        if part.shape == "constant" or first == last:
            return {"lr_scheduler_type": "constant_with_warmup" if warmed else "constant"}
        if last > first:
            raise self._no("learning_rate", "a Trainer's rate does not rise after the warm-up")
        match part.shape:
            case "linear" if not last:
                return {"lr_scheduler_type": "linear"}
            case "cosine" if not last:
                return {"lr_scheduler_type": "cosine"}
            case "cosine":
                return {"lr_scheduler_type": "cosine_with_min_lr", "lr_scheduler_kwargs": {"min_lr": last}}
            case "linear" | "polynomial" | "cubic":
                power = float(exponent(part.shape, part.power))
                return {"lr_scheduler_type": "polynomial", "lr_scheduler_kwargs": {"lr_end": last, "power": power}}
        raise self._no("learning_rate", f"a Trainer has no schedule like `{part.shape}`")

    @staticmethod
    def _warms(first: ShapeSegment, second: ShapeSegment) -> bool:
        return first.shape == "linear" and not first.start and first.end == second.start and first.rewind is None

    def _warmup(self, part: ShapeSegment) -> float:
        """Steps, or below 1 a share of the training."""
        assert part.window is not None
        start, end = part.window
        length = self.stage.length
        assert length is not None
        if start == Time() and not end.epochs:
            return int(end.steps)
        if start == Time() and end.pure and length.epochs:
            return float(end.epochs / length.epochs)
        raise self._no("learning_rate", "a Trainer's warm-up begins at the start", "write `start..10%`")

    def _reaches_the_end(self, part: ShapeSegment) -> bool:
        return part.window is None or part.window[1] == self.stage.length

    def _no(self, attribute: str, message: str, help: str | None = None) -> RecipeError:
        label = self.recipe.label(f"{self.at}.{attribute}")
        return RecipeError(Diagnostic("E115", message, label, help=(help,) if help else ()))

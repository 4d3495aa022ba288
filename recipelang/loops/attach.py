"""`recipelang.attach`: one stage of a recipe in a training loop of your own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import nn

from recipelang.engine import losses
from recipelang.engine.acting import acting
from recipelang.engine.attention_maps import show_maps
from recipelang.engine.roles import parts_of
from recipelang.kinds.terms import INNER
from recipelang.loading.read import around_of, check_all, source_of
from recipelang.loops.gradients import Sampler, loss_of
from recipelang.loops.notices import warn
from recipelang.loops.pruner import Pruning
from recipelang.loops.teacher import handed, logits_of
from recipelang.methods import METHODS
from recipelang.modifiers.modifier import State
from recipelang.modifiers.prune import fits_shards
from recipelang.planning.families import TensorFact
from recipelang.planning.live import Live, chosen_stage, masked_before, resolve_stage
from recipelang.planning.types import StagePlan
from recipelang.pruning import shards
from recipelang.pruning.masks import Masks
from recipelang.pruning.stacks import layouts
from recipelang.source import Diagnostics, RecipeError, at_label, fail
from recipelang.spec.recipe import Recipe
from recipelang.spec.watched import watched
from recipelang.tasks import task_of

#: methods that ask for gradients between steps
_SAMPLES = {name for name, method in METHODS.items() if method.looks_at == "gradients"}


def attach(
    recipe: str | Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    *,
    steps_per_epoch: int,
    stage: str | None = None,
    params: Mapping[str, object] | None = None,
    overlays: Sequence[str | Path] = (),
    teacher: nn.Module | None = None,
    batches: Iterable[Mapping[str, torch.Tensor]] | None = None,
    task_loss: Callable[[nn.Module, Mapping[str, torch.Tensor]], torch.Tensor] | None = None,
    learning_rate: bool = True,
    after: Pruning | None = None,
) -> Pruning:
    """Check a recipe, plan one of its stages for this model, and give what the loop calls at its six events.

    Args:
        recipe: a path, `lib://NAME`, or the text itself.
        model: names and shapes of its parameters are what selectors are matched with. Of a transformers model
            of a known family, roles and layers too.
        optimizer: holds the parameters that are pruned.
        steps_per_epoch: optimizer steps, which is what `epochs` in the recipe are counted in.
        stage: its name, where the recipe has several.
        params: values of the recipe's parameters, as text: `{"target": "97%"}`.
        overlays: recipes laid over this one, the last on top.
        teacher: the model that a `distill` block learns from; it is put into eval mode and takes no gradients.
        batches: a list or a `DataLoader` for the methods that take the gradients of samples.
        task_loss: of the model and one of `batches`; the loss that a transformers model gives, with the
            recipe's `label_smoothing` and `class_weights`, unless said.
        learning_rate: whether the recipe's is set at every step; `False` leaves the optimizer's alone.
        after: what `attach` gave for the stage before, whose masks go on.

    Raises:
        RecipeError: with a code, and all that `recipelang validate` and `plan` would say.
    """
    checked, found = _read(recipe, params or {}, overlays)
    index = chosen_stage(checked, stage)
    bare = unwrapped(model)
    _ask_for_what_a_loop_lacks(checked, index, bare, teacher, batches, after)
    seen = None if teacher is None else _live(unwrapped(teacher))
    planned = resolve_stage(checked, index, _live(bare), seen, _whole(steps_per_epoch), found)
    found.raise_errors()
    assert planned is not None
    _check_shards(planned, bare, batches)
    warn(found.sorted(), stacklevel=2)
    _check_optimizer(planned, bare, optimizer, learning_rate)
    task = task_of(checked.model.task)
    two = not task.labels
    teachers = [handed(d, unwrapped(teacher), labels=two) for d in planned.distills if teacher is not None]
    compared = "targets" if two else "labelled" if "messages" in task.fields else "tokens"
    modifiers = acting(planned, teachers, logits_of(bare), learning_rate=learning_rate, compared=compared)
    for modifier in modifiers:
        modifier.join(optimizer)
    if any("output_attentions" in m.asks for m in modifiers):
        show_maps(bare, True)
    masks = Masks() if after is None else after.masks
    state = State(bare, optimizer, masks, planned.steps, layouts=layouts(bare))
    own = losses.loss_of(planned.loss, task)
    if batches is not None:
        state.gradients = Sampler(state, batches, task_loss or partial(loss_of, own=own), planned)
    return Pruning(planned, state, modifiers, compared=compared, loss_of=own)


def unwrapped(model: nn.Module) -> nn.Module:
    """The model itself under `torch.compile` and DistributedDataParallel: its names are the plan's."""
    while True:
        inner = getattr(model, "_orig_mod", None)
        if inner is None and isinstance(model, nn.parallel.DistributedDataParallel | nn.DataParallel):
            inner = model.module
        if inner is None:
            return model
        model = inner


def _read(
    recipe: str | Path, params: Mapping[str, object], overlays: Sequence[str | Path]
) -> tuple[Recipe, Diagnostics]:
    around = around_of(params, overlays)
    checked = check_all(source_of(recipe), around.given, complete=True, overlays=around.overlays)
    checked.diagnostics.raise_errors()
    if checked.recipe is None:
        raise RecipeError(checked.diagnostics.sorted())
    return checked.recipe, checked.diagnostics


def _whole(steps_per_epoch: int) -> int:
    if isinstance(steps_per_epoch, int) and steps_per_epoch > 0:
        return steps_per_epoch
    help = "count optimizer steps: `math.ceil(len(loader) / accumulation)`"
    raise fail("E086", f"`steps_per_epoch` is {steps_per_epoch}", help=help)


def _live(model: nn.Module) -> Live:
    config = getattr(model, "config", None)
    shapes, lying = {}, layouts(model)
    for name, parameter in model.named_parameters():
        if parameter.device.type == "meta":
            raise fail("E055", "this release does not support a model without weights", help="load the weights first")
        # shapes of a plan are outputs × inputs, as most modules store them
        shapes[name] = lying[name].seen(parameter.shape) if name in lying else tuple(parameter.shape)
    known = config.to_dict() if config is not None and hasattr(config, "to_dict") else None
    return Live(shapes, known, _facts(model))


def _facts(model: nn.Module) -> tuple[TensorFact, ...]:
    """Roles and layers of a transformers model, of whatever type."""
    from transformers import PreTrainedModel

    if not isinstance(model, PreTrainedModel):
        return ()
    return tuple(TensorFact(p.name, p.shape, p.roles, p.layer) for p in parts_of(model))


def _ask_for_what_a_loop_lacks(
    recipe: Recipe, index: int, model: nn.Module, teacher: nn.Module | None, batches: object, after: Pruning | None
) -> None:
    """A run has the model of an earlier stage, and the data; a loop must hand them over. E086."""
    spec = recipe.stages[index]
    path = f"stage.{spec.name}"
    names = {p.method.name for p in spec.prunes} & _SAMPLES
    outputs = any(t.name not in INNER for d in spec.distills for t in d.on)
    with at_label(recipe.label(f"{path}.distill.on") or recipe.label(f"{path}.distill")):
        if outputs and task_of(recipe.model.task).gives == "embeddings":
            message = "this release does not compare embeddings in your own loop"
            raise fail("E055", message, help="write `on = hidden(-1)`, or use `recipelang run`")
    with at_label(recipe.label(f"{path}.distill.teacher")):
        if spec.distills and teacher is None:
            help = "pass `teacher=`; to use the dense starting model: `copy.deepcopy(model)` before the first step"
            raise fail("E086", "a custom loop must pass the teacher", help=help)
        if any(d.cache for d in spec.distills):
            raise fail("E055", "this release does not support `cache` in your own loop", help="remove it")
        if teacher is not None and unwrapped(teacher) is model:
            raise fail("E086", "the teacher is the model itself", help="pass a copy: `copy.deepcopy(model)`")
    if spec.ema is not None:
        with at_label(recipe.label(f"{path}.ema")):
            help = "remove it, and use `torch.optim.swa_utils.AveragedModel`"
            raise fail("E055", "this release does not support `ema` in your own loop", help=help)
    for name, _ in watched(spec):
        with at_label(recipe.label(f"{path}.{name}")):
            help = "remove it; evaluate in your loop, and save the weights there"
            raise fail("E055", f"this release does not support `{name}` in your own loop", help=help)
    for kind, blocks, help in (
        ("drop", spec.drops, "remove it, and pass a model that has that number of layers"),
        ("shrink", spec.shrinks, "shrink the model with `recipelang run`, and pass the result"),
        ("group", spec.groups, "remove it, define the groups in your optimizer, and pass `learning_rate=False`"),
    ):
        if blocks:
            with at_label(recipe.label(f"{path}.{kind}.{blocks[0].name}")):
                raise fail("E055", f"this release does not support `{kind}` in your own loop", help=help)
    with at_label(recipe.label(path)):
        if teacher is not None and not spec.distills:
            raise fail("E086", "`teacher=` is given, but this stage has no `distill`", help="remove it")
        if names and batches is None:
            help = "pass `batches=`, a list or DataLoader of model inputs"
            raise fail("E086", f"`{min(names)}` needs batches to compute gradients", help=help)
        if batches is not None and not names:
            raise fail("E086", "`batches=` is given, but no method of this stage uses batches", help="remove it")
        before = masked_before(recipe, index)
        if before and after is None:
            help = f'pass `after=` with the result of `attach(stage="{before}")`'
            raise fail("E086", f"this stage continues with the masks of `{before}`", help=help)
        if after is not None and after.model is not model:
            raise fail("E086", "`after=` belongs to another model", help="pass the model that it was attached to")


def refuse_shards(model: nn.Module, trainer: str) -> None:
    """In a trainer, which saves and loads in its own ways, models in shards were not tried. E055."""
    if any(map(shards.is_shard, model.parameters())):
        help = "use `recipelang run --shard`, or `recipelang.attach` in your own loop"
        raise fail("E055", f"this release does not support a sharded model in the {trainer}", help=help)


def _check_shards(stage: StagePlan, model: nn.Module, batches: object) -> None:
    """A model in shards is one all over, and nothing here asks for what its processes do not hold."""
    parameters = dict(model.named_parameters())
    if not any(map(shards.is_shard, parameters.values())):
        return
    shards.check(model)
    lying = layouts(model)
    if any(t.name in lying for p in stage.prunes for t in p.targets):
        help = "give every process a full copy"
        raise fail("E055", "this release does not support sharded weights stored inputs first", help=help)
    for prune in stage.prunes:
        fits_shards(prune, parameters)
    if stage.adapters:
        help = "give every process a full copy"
        raise fail("E055", "this release has no adapters on a sharded model", help=help)
    if batches is not None:
        help = "use `recipelang run --shard`; in your own loop, give every process a full copy"
        raise fail("E055", "this release does not support sample gradients of a sharded model", help=help)


def _check_optimizer(stage: StagePlan, model: nn.Module, optimizer: torch.optim.Optimizer, learning_rate: bool) -> None:
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    parameters = dict(model.named_parameters())
    targets = [t.name for p in stage.prunes for t in p.targets]
    missing = [n for n in targets if parameters[n].requires_grad and id(parameters[n]) not in held]
    if missing:
        notes = [f"{len(missing)} of {len(targets)} targets are missing"]
        help = "build the optimizer from `model.parameters()`, and attach to that model"
        raise fail("E086", f"the optimizer does not hold `{missing[0]}`", notes=notes, help=help)
    rates = {float(group["lr"]) for group in optimizer.param_groups}
    if learning_rate and len(rates) > 1:
        notes = [f"the rates are {', '.join(f'{r:g}' for r in sorted(rates))}; a recipe has one for all"]
        help = "pass `learning_rate=False` to keep them"
        raise fail("E086", "the groups of the optimizer have different learning rates", notes=notes, help=help)

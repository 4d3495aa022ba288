"""The stages of a run: each is trained step by step or pruned in one shot, then evaluated and kept."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch

from recipelang import processes
from recipelang.engine import checkpoint
from recipelang.engine.acting import acting
from recipelang.engine.attention_maps import has_maps, show_maps
from recipelang.engine.best import averaged, bring_back, keeper
from recipelang.engine.course import Course
from recipelang.engine.gradients import gradients
from recipelang.engine.groups import make_optimizer
from recipelang.engine.kept_scores import worth_kept
from recipelang.engine.layers import Layers
from recipelang.engine.loop import train
from recipelang.engine.losses import loss_of
from recipelang.engine.models import ready
from recipelang.engine.order import order_seed
from recipelang.engine.position import Scaled, StreamRead
from recipelang.engine.precision import arithmetic
from recipelang.engine.recomputing import recompute, recomputing
from recipelang.engine.records import Interrupted
from recipelang.engine.rounds import Drawn, Rounds, cut_optimizer
from recipelang.engine.run_record import (
    layers_of,
    place_of_layers,
    told_of_layers,
    told_of_masks,
    told_of_reconstruction,
    told_of_shrinking,
    warn_of_few_tokens,
    warn_of_unreached,
)
from recipelang.engine.seeds import stream
from recipelang.engine.shrink import Left, choose, cut_masks, smaller
from recipelang.engine.sources import same_template
from recipelang.engine.stage_end import end_stage, inside, make_up_inside, measure_inside
from recipelang.engine.streaming import Stream, told as told_of
from recipelang.engine.teachers import teachers_of
from recipelang.engine.watch import Seen, Watch
from recipelang.engine.worth import Read, Rows, Worth
from recipelang.kinds.sizes import RANKINGS
from recipelang.modifiers.modifier import Event, Modifier, State, fire
from recipelang.planning.data_plan import DataPlan
from recipelang.planning.shrink_plan import ShrinkPlan
from recipelang.planning.similarity import compares_batches
from recipelang.planning.sliced import targets_left
from recipelang.planning.types import StagePlan
from recipelang.pruning.free_memory import give_back
from recipelang.pruning.stacks import layouts
from recipelang.schedules.stepwise import at
from recipelang.source.words import listed
from recipelang.tasks import Features


def train_stage(run: Course, stage: StagePlan, loaded: checkpoint.Loaded | None) -> None:
    """Step by step, from a checkpoint if one is given, to the end of the stage or of the rehearsal."""
    seconds = _steps(run, stage, loaded)
    give_back()  # moments, teachers and rows are gone before anything is measured
    end_stage(run, stage, seconds)
    run.obey()


def _steps(run: Course, stage: StagePlan, loaded: checkpoint.Loaded | None) -> float:
    """The seconds that they took, with those before an interruption."""
    data = run.data_of(stage.data)
    until = run.plan.until(stage)
    features = _stream(run, stage, data, until) if data.streamed else run.split(data, "train")[1]
    run.model.requires_grad_(True)  # a rehearsal leaves what the stage before froze
    optimizer = make_optimizer(stage, run.model)
    rounds = Rounds(stage.shrinks, partial(_shrink_between, run, stage, features))
    modifiers = [*([rounds] if stage.shrinks else []), *_modifiers(run, stage)]
    for modifier in modifiers:
        modifier.join(optimizer)
    show_maps(run.model, any("output_attentions" in m.asks for m in modifiers))
    run.best, run.average = keeper(modifiers), averaged(run, stage, modifiers)
    _take_up(run, stage, loaded, optimizer, modifiers)
    state = _state(run, stage, optimizer, stage.steps)
    state.step = run.position.step
    state.gradients = partial(_sample, run, stage, state, features)
    before = run.position.seconds.get(stage.name, 0.0)
    began = time.monotonic()
    run.reporter.stage_started(stage, until, state.step)

    def after_step(watch: Watch, due: bool) -> bool:
        run.check_place()
        measured, last = inside(run, stage, state.step, until), state.step == until
        stop, due, seen = watch.agree(run.stop.received or 0, due and not last, now=bool(measured) or last)
        _told(run, stage, seen)
        stop = (measure_inside(run, stage, state.step, measured) if measured else 0) or stop
        over = stage.name in run.position.stopped
        last = last or over
        if processes.world() == 1:  # nobody has to agree
            stop = run.stop.received or 0
        _note_read(run, stage, features, state.step)
        if stop or due:
            kept = keeping(watch, stop, due)
            with run.clock.part("checkpoints"):
                if stop and (run.position.unmeasured or not last):
                    raise Interrupted(stop, checkpoint.save(*kept))
                run.writing = checkpoint.begin(*kept)
        elif run.writing is not None and run.writing.failed:
            run.kept()
        return over

    def keeping(watch: Watch, stop: int = 0, due: bool = True) -> tuple[Any, ...]:
        """What a checkpoint of the steps until here is made of."""
        _told(run, stage, watch.agree(stop, due, now=True)[2])  # nothing is kept of a step that is not known to be good
        run.position.step = state.step
        run.position.seconds[stage.name] = before + time.monotonic() - began
        run.kept()
        return run.checkpoints, run.position, run.model, run.masks, optimizer, stage.keep, modifiers

    with (
        closing(features) if isinstance(features, Stream) else nullcontext(),
        arithmetic(stage),
        recomputing(run, stage),
        run.clock.part(f"stage {stage.name}"),
    ):
        make_up_inside(run, stage)
        over = stage.name in run.position.stopped
        train(
            stage,
            state,
            features,
            modifiers,
            run.device,
            run.autocast(stage.precision),
            shuffle=data.shuffle,
            order_seed=order_seed(stage, data),
            until=state.step if over else until,
            after_step=after_step,
            over=over,
            by_length=data.group_by_length,
            loss_of=loss_of(stage.loss, run.task),
            on_lack=lambda watch: checkpoint.save(*keeping(watch)) if state.step > run.position.step else None,
        )
        rounds.catch_up(state)
        bring_back(run, stage, state.step)
    return before + time.monotonic() - began


def one_shot_stage(run: Course, stage: StagePlan, loaded: checkpoint.Loaded | None) -> None:
    """No step is taken, so a stage that was interrupted begins again: `START` and `END` are all there is."""
    seconds = _at_once(run, stage, loaded)
    give_back()
    end_stage(run, stage, seconds)
    run.obey()


def _at_once(run: Course, stage: StagePlan, loaded: checkpoint.Loaded | None) -> float:
    """The seconds that it took."""
    if loaded is not None:
        checkpoint.restore(loaded, run.model, run.masks, None)
    began = time.monotonic()
    read, of = stage.calibration, 0
    if read is not None:
        of = read.layers if not stage.shrinks else -(-read.samples // stage.micro_batch)
    run.reporter.stage_started(stage, of, 0)
    for shrink in stage.shrinks:
        _shrink_at_once(run, stage, shrink)
    run.model.requires_grad_(True)  # a rehearsal leaves what the stage before froze
    optimizer = torch.optim.SGD(run.model.parameters())  # no step is taken
    state = _state(run, stage, optimizer, 0)
    state.present = None if run.disk is None else run.disk.present
    if stage.calibration is not None:
        data = run.data_of(stage.data)
        _, features = run.split(data, "train")
        autocast = run.autocast(stage.precision)
        state.gradients = partial(_sample, run, stage, state, features)
        state.layers = Layers(
            run.model,
            features,
            run.task.labels,
            stage.micro_batch,
            autocast,
            partial(_layer_done, run, stage),
            run.disk,
        )
    modifiers = _modifiers(run, stage)
    torch.manual_seed(stream(stage.seed, stage.name, "dropout"))
    with arithmetic(stage), run.clock.part(f"stage {stage.name}"):
        fire(Event.START, modifiers, state)
        fire(Event.END, modifiers, state)
    run.reporter.pruned(stage, state.sparsity)
    for block, given in state.shared.items():
        run.position.layer_sparsity[f"{stage.name}.{block}"] = given
        run.reporter.message(f"prune {block}: {told_of_layers(given)}")
    for block, errors in state.reconstructed.items():
        run.position.reconstructed[f"{stage.name}.{block}"] = errors
        run.reporter.message(f"prune {block}: {told_of_reconstruction(errors)}")
    if state.few_tokens:
        run.position.few_tokens[stage.name] = state.few_tokens
        if processes.main():
            run.reporter.found(warn_of_few_tokens(stage, state.few_tokens))
    return time.monotonic() - began


def _shrink(run: Course, stage: StagePlan, plan: ShrinkPlan, read: Read | None, rows: Rows | None) -> Left:
    """The model of the run becomes the smaller one, and its masks. `rows`: all that `read` can show of its data."""
    place, whole = f"{stage.name}.{plan.name}", run.position.layers_kept
    # of an earlier round, by their numbers in the model that the block began with
    here = layers_of(whole, place)
    protected = {word: tuple(i for i, n in enumerate(each) if n in plan.keep) for word, each in here.items()}
    before, start = run.zeros(run.plan.never), run.position.zeros_at_start
    kept = choose(run.model, plan, _worth(run, stage, plan, read, rows), protected or None)
    run.model = ready(smaller(run.model, kept), run.plan.model)
    cut_masks(run.masks, kept, run.model)
    for name, zeros in run.zeros(run.plan.never).items():
        if before[name] <= start[name]:  # what it has lost it cannot have gained
            start[name] = zeros
    if kept.unreached:
        run.position.few_tokens[place] = dict.fromkeys(kept.unreached, 0)
        if processes.main():
            run.reporter.found(warn_of_unreached(plan, kept.unreached))
    if plan.to("layers"):
        for word, layers in kept.keep.items():
            whole[place_of_layers(place, word)] = [here[word][i] for i in layers] if here else [*layers]
    told = told_of_shrinking([plan], layers_of(whole, place)) + told_of_masks(run.masks.dead, run.masks.size)
    run.reporter.message(f"step {plan.step:,}: {told}" if plan.step is not None else told)
    return kept


def _worth(run: Course, stage: StagePlan, plan: ShrinkPlan, read: Read | None, rows: Rows | None) -> Worth:
    """What units are worth, by an earlier pass over the same data where one was kept, which the record says."""
    data, model = run.data_of(stage.data), run.plan.model.model_dump(exclude={"ref", "path"})
    decided = (run.around, model, stage.precision, stage.micro_batch, stage.batch, stage.seed, stage.name, plan.step)
    worth, reused = worth_kept(run.model, plan, read, rows, (*decided, data.model_dump()), run.reporter.found)
    if reused:
        place = f"{stage.name}.{plan.name}" + ("" if plan.step is None else f" step {plan.step}")
        run.position.scores_reused[place] = [*reused]
        run.reporter.message(f"shrink {plan.name}: scores of {listed(reused, 4)} are those of an earlier pass")
    return worth


def _shrink_at_once(run: Course, stage: StagePlan, plan: ShrinkPlan) -> None:
    """By all of the stage's data."""
    read, features = None, None
    if stage.calibration is not None:
        _, features = run.split(run.data_of(stage.data), "train")
        run.model.requires_grad_(True)
        state = _state(run, stage, torch.optim.SGD(run.model.parameters()), 0)
        batches = -(-len(features) // stage.batch)
        sample = partial(_sample, run, stage, state, features, batches, 0)
        done = partial(_layer_done, run, stage)
        read = Read(features, run.task.labels, stage.micro_batch, run.autocast(stage.precision), sample, done)
    with run.clock.part(f"stage {stage.name}"):
        _shrink(run, stage, plan, read, features)


def _shrink_between(run: Course, stage: StagePlan, features: Features | Stream, plan: ShrinkPlan, state: State) -> None:
    """Before a step, by examples that are drawn anew; what acts in the stage and its optimizer go on with what is left."""
    some = features.features(state.step) if isinstance(features, Stream) else features
    seed = stream(stage.seed, stage.name, "shrink", state.step)
    sample = partial(_sample, run, stage, state, features, -(-plan.samples // stage.batch), 0)
    drawn = Drawn(some, plan.samples, seed)
    maps = has_maps(run.model)
    show_maps(run.model, False)
    recompute(run.model, False)
    before = dict(run.model.named_parameters())
    read = Read(drawn, run.task.labels, stage.micro_batch, run.autocast(stage.precision), sample)
    with run.clock.part(f"rounds {stage.name}"):
        seen = some if RANKINGS[plan.by].looks_at == "gradients" else drawn  # which are drawn of all
        kept = _shrink(run, stage, plan, read, seen)
    cut_optimizer(state.optimizer, kept, before, run.model)
    show_maps(run.model, maps)
    recompute(run.model, stage.activation_checkpointing)
    run.model.train()
    state.become(run.model, layouts(run.model), _prunable(run, stage, state.step + 1))


def _take_up(
    run: Course,
    stage: StagePlan,
    loaded: checkpoint.Loaded | None,
    optimizer: torch.optim.Optimizer,
    modifiers: Sequence[Modifier],
) -> None:
    """Dropout's random stream, and all that a checkpoint holds."""
    own = (processes.rank(), run.position.step) if processes.rank() else ()  # every process drops others
    torch.manual_seed(stream(stage.seed, stage.name, "dropout", *own))
    if loaded is not None:
        inside = run.position.step > 0
        checkpoint.restore(
            loaded, run.model, run.masks, optimizer, modifiers=modifiers if inside else (), random_states=inside
        )


def _stream(run: Course, stage: StagePlan, data: DataPlan, until: int) -> Stream:
    model = Path(run.plan.model.path)
    same_template(model, data)
    seed, step = order_seed(stage, data), run.position.step
    with run.clock.part("data"):
        return Stream(data, stage, model, seed, until, step, run.position.stream)


def _note_read(run: Course, stage: StagePlan, features: Features | Stream, step: int) -> None:
    """How far a stream is read, for the next checkpoint and the record."""
    if not isinstance(features, Stream):
        return
    was, now = run.position.stream, features.position(step)
    run.position.stream, run.position.streams[stage.name] = now, StreamRead.until(now)
    if processes.main() and (passed := told_of(was, now, features.shards.name)):
        run.reporter.message(passed)


def _told(run: Course, stage: StagePlan, seen: Sequence[Seen]) -> None:
    for one in seen:
        if stage.precision == "fp16":
            _note_scale(run, stage, one)
        rate = at(stage.learning_rate, one.step)  # groups of the optimizer may have others
        run.reporter.normed(stage, one.step + 1, one.norm)
        run.reporter.stepped(stage, one.step + 1, one.loss, rate, one.sparsity)


def _note_scale(run: Course, stage: StagePlan, seen: Seen) -> None:
    """The scale of the loss after a step, and whether the step was skipped, for the record."""
    before = run.position.fp16.get(stage.name)
    skipped = seen.skipped + (0 if before is None else before.skipped)
    run.position.fp16[stage.name] = Scaled(skipped=skipped, scale=seen.scale)
    if seen.skipped and processes.main():
        where = f"step {seen.step:,} of stage `{stage.name}` changed nothing"
        run.reporter.message(f"fp16 overflow: {where}; the loss scale is now {seen.scale:,.0f}")


def _state(run: Course, stage: StagePlan, optimizer: torch.optim.Optimizer, steps: int) -> State:
    how = layouts(run.model)
    prunable = _prunable(run, stage, run.position.step if steps else None)
    return State(run.model, optimizer, run.masks, steps, layouts=how, prunable=prunable)


def _prunable(run: Course, stage: StagePlan, done: int | None) -> int:
    """Weights of all targets of this stage and of those before it, each once; `done`: steps, where it takes any."""
    so_far = stage.model_copy(update={"shrinks": stage.shrinks if done is None else stage.shrunk(done)})
    return sum(targets_left([*run.plan.stages[: stage.index], so_far]).values())


def _layer_done(run: Course, stage: StagePlan, done: int, of: int) -> None:
    run.reporter.layer_pruned(stage, done, of)
    if done < of:
        run.obey()


def _modifiers(run: Course, stage: StagePlan) -> list[Modifier]:
    return run.marked(
        stage, acting(stage, teachers_of(run, stage), run.task.outputs, compared=_compared(run, stage), scaled=True)
    )


def _compared(run: Course, stage: StagePlan) -> str:
    """The tokens whose logits a teacher's are compared with."""
    if not run.task.labels:
        return "targets"
    return "answers" if any(d.label == stage.data and d.chat for d in run.plan.data) else "tokens"


def _sample(
    run: Course,
    stage: StagePlan,
    state: State,
    features: Features | Stream,
    batches: int,
    size: int,
    dense: bool = False,
) -> Iterator[None]:
    """Gradients for scores, from examples drawn anew at every event; of a stream from those that are read together."""
    if isinstance(features, Stream):
        features = features.features(state.step)
    seed = stream(stage.seed, stage.name, "gradients", state.step)
    size, part, cast = size or stage.batch, stage.micro_batch, run.autocast(stage.precision)
    part = size if compares_batches(run.plan, stage) else part
    narrow = stage.precision == "fp16"
    loss = loss_of(stage.loss, run.task)
    return gradients(state, features, batches, size, part, seed, cast, loss_of=loss, dense=dense, narrow=narrow)

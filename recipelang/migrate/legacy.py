"""Modifiers of SparseML 1: `!GMPruningModifier` and its kin, as the last commit of its loader meant them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

from recipelang.kinds.text import fraction
from recipelang.migrate.arguments import Amount, Arguments
from recipelang.migrate.form import Distill, Drop, Freeze, Prune, Rate, Sparsity, Stage, Targets, Window
from recipelang.migrate.nodes import List, Scalar, plain
from recipelang.source import Span

#: of every modifier, and without effect on what is learned
IDLE = ("log_types", "params_strict")
NO_EFFECT = "it affected only logging and checks"
_CUBE_ROOT = "(1/3)"
#: of V:N:M
COLUMNS_TOO = "it also prunes columns; for `N:M` alone, write `pattern = N:M`"


def distillation(a: Arguments, stage: Stage) -> None:
    on = [name for name, _ in a.words("distill_output_keys")]
    known = set(on) <= {"logits", "start_logits", "end_logits"}
    if not known or ("logits" in on and len(on) > 1):
        return a.refuse("distill_output_keys", f"outputs `{', '.join(on)}` are unknown here")
    hardness = a.amount("hardness", "ratio", Fraction(1, 2))
    temperature = a.amount("temperature", "number", 2)
    a.idle(("update_frequency",), "the loader accepted it without effect")
    a.only("teacher_input_keys", None, "a teacher that reads only some of the inputs cannot be migrated")
    _teacher(a)
    if hardness and temperature:
        text = on[0] if len(on) == 1 else f"[{', '.join(on)}]" if on else "logits"
        stage.distills.append(Distill(*_part(a), text, hardness, temperature, _window(a)))


def _teacher(a: Arguments) -> None:
    """`disable` and `self` are words; a path was given beside the recipe."""
    if a.has("distill_teacher") and (word := a.text("distill_teacher", "")) in ("disable", "self"):
        a.refuse("distill_teacher", f"a teacher `{word}` distils nothing", "remove the modifier, or name a model")


def epochs(a: Arguments, stage: Stage) -> None:
    """`clock.py` has read how long a stage is."""
    a.epoch("start_epoch")
    a.epoch("end_epoch")


def learning_rate(a: Arguments, stage: Stage) -> None:
    shape = a.text("lr_func", "linear")
    first, last = _rate(a, "init_lr"), _rate(a, "final_lr")
    rewind = None
    if shape == "cyclic_linear":
        rewind = a.amount("cycle_epochs", "epochs", 1)
    elif a.has("cycle_epochs"):
        a.idle(("cycle_epochs",), f"`{shape}` has no cycles")
    a.idle(("update_frequency",), "the rate was set at every step")
    if a.has("param_groups"):
        return a.refuse("param_groups", "a learning rate for only some parameters cannot be migrated")
    if shape not in ("linear", "cosine", "cyclic_linear"):
        return a.refuse("lr_func", f"the learning rate `{shape}` is unknown")
    if first is None or last is None:
        return None if a.failed else a.refuse("init_lr", "a learning rate needs `init_lr` and `final_lr`")
    window = _window(a)
    if window.end is None and not a.failed:
        return a.refuse(
            "end_epoch", "a learning rate that falls needs an end", "write the epoch; its loader failed here"
        )
    shape = "linear" if rewind else shape
    stage.rates.append(Rate(*_part(a), shape, first, last, window, rewind))


def set_learning_rate(a: Arguments, stage: Stage) -> None:
    rate = _rate(a, "learning_rate")
    if rate is not None and rate.value == 0:
        return a.refuse("learning_rate", "a learning rate of 0 cannot be migrated", "its loader failed here")
    a.idle(("constant_logging",), NO_EFFECT)
    a.only("param_groups", None, "a learning rate for only some parameters cannot be migrated")
    if rate is not None:
        stage.rates.append(Rate(*_part(a), "constant", rate, rate, _window(a)))


def _rate(a: Arguments, key: str) -> Amount | None:
    """Its loader took rates from 0 to 1 only."""
    rate = a.amount(key, "number")
    if rate is None or rate.value is None or 0 <= rate.value <= 1:
        return rate
    a.refuse(
        key, f"a learning rate of {fraction(rate.value)} cannot be migrated", "its loader accepted rates from 0 to 1"
    )
    return None


def weight_decay(a: Arguments, stage: Stage) -> None:
    decay = a.amount("weight_decay", "number")
    start = a.epoch("start_epoch", -1)
    a.idle(("end_epoch", "constant_logging", "update_frequency"), "it was set once")
    if a.has("param_groups"):
        return a.refuse("param_groups", "a weight decay of some parameters only cannot be migrated")
    if start is None or start.value is None or start.value > 0:
        return a.refuse("start_epoch", "a weight decay that changes during training cannot be migrated")
    stage.weight_decay = decay


def trainable(a: Arguments, stage: Stage) -> None:
    targets = _targets(a)
    on = a.flag("trainable", True)
    a.idle(("update_frequency",), "it was set once")
    window = _window(a)
    if on and targets is not None:
        stage.thaws.append(Freeze(*_part(a), targets, window.end))
    if on:
        return None
    if window.start is not None and not (window.start.value is not None and window.start.value <= 0):
        return a.refuse("start_epoch", "a freeze that begins later cannot be migrated", "start a new stage there")
    if targets is not None:
        stage.freezes.append(Freeze(*_part(a), targets, window.end))


def constant_pruning(a: Arguments, stage: Stage) -> None:
    targets = _targets(a)
    window = _window(a)
    a.idle(("update_frequency",), "the zeros were read again and were unchanged")
    _stays(a, "its zeros are kept until the end of the stage")
    ends, length = window.end, None if stage.length is None else stage.length.value
    if ends is not None and ends.value is not None and length is not None and ends.value < length:
        help = "end the stage there, and add one with `method = release`"
        a.refuse(
            "end_epoch", "zeros are kept until the stage ends; the original let weights regrow after this epoch", help
        )
    if targets is not None:
        lifted = ends is not None
        stage.prunes.append(Prune(*_part(a), "hold", targets, since=window.start, lifted=lifted))


def layer_pruning(a: Arguments, stage: Stage) -> None:
    layers = a.named("layers")
    window = _window(a)
    a.idle(("update_frequency",), "layers were dropped once")
    if window.start is not None and not (window.start.value is not None and window.start.value <= 0):
        return a.refuse("start_epoch", "layers are dropped before a stage, not during it", "start a new stage there")
    if window.end is not None and window.end.value != -1:
        a.note("end_epoch", "dropped layers are not restored", "the loader put them back after this epoch")
    if layers is not None:
        stage.drops.append(Drop(*_part(a), layers))


def magnitude(a: Arguments, stage: Stage) -> None:
    scope = "global" if a.flag("global_sparsity", False) else "uniform"
    _score(a)
    _prune(a, stage, f"magnitude(scope = {scope})")


def global_magnitude(a: Arguments, stage: Stage) -> None:
    a.flag("global_sparsity", True)
    _score(a)
    _prune(a, stage, "magnitude(scope = global)")


def _score(a: Arguments) -> None:
    a.only("phased", False, "phases of dense and sparse training cannot be migrated")
    kind = a.text("score_type", "magnitude")
    if kind != "magnitude":
        a.refuse("score_type", f"the score `{kind}` cannot be migrated from this modifier")


def movement(a: Arguments, stage: Stage) -> None:
    scope = "global" if a.flag("global_sparsity", False) else "uniform"
    _prune(a, stage, f"movement(scope = {scope})")


def second_order(a: Arguments, stage: Stage) -> None:
    """oBERT. The loader's defaults are not ours: blocks of one weight, and the batch of its sampler."""
    scope = "global" if a.flag("global_sparsity", True) else "uniform"
    sampler = a.table("grad_sampler_kwargs")
    batch = None
    if sampler is not None:
        for entry in sampler.entries:
            if entry.key == "batch_size":
                batch = a.number(entry.value, "number", "grad_sampler_kwargs")
            else:
                a.refuse("grad_sampler_kwargs", f"`{entry.key}` of the gradient sampler is unknown")
    arguments = [
        ("block", a.amount("fisher_block_size", "number", 1)),
        ("gradients", a.amount("num_grads", "number", 1024)),
        ("batch", batch),
        ("damp", a.amount("damp", "number", Fraction(1, 10**7))),
    ]
    rounds = a.amount("num_recomputations", "number", 1)
    if rounds is not None and rounds.value != 1:
        arguments.append(("recomputations", rounds))
    written = [f"{name} = {fraction(v.value)}" for name, v in arguments if v is not None and v.value is not None]
    _prune(a, stage, f"obert({', '.join([*written, f'scope = {scope}'])})")


# ------------------------------------------------------------------ shared
def _part(a: Arguments) -> tuple[str, Span, str]:
    return a.modifier.name, a.modifier.span, a.modifier.comment


def _window(a: Arguments) -> Window:
    """-1 is the start, or no end."""
    start, end = a.epoch("start_epoch"), a.epoch("end_epoch")
    return Window(_unless_open(start), _unless_open(end))


def _unless_open(at: Amount | None) -> Amount | None:
    return None if at is None or (at.value is not None and at.value < 0) else at


def _targets(a: Arguments) -> Targets | None:
    names = a.named("params")
    return None if names is None else Targets(names)


def _stays(a: Arguments, instead: str) -> None:
    if not a.flag("leave_enabled", True):
        a.refuse("leave_enabled", "masks stay in force here", f"{instead}; add a stage with `method = release`")


def _prune(a: Arguments, stage: Stage, method: str) -> None:
    if a.inside("final_sparsity") is None:
        targets = _targets(a)
    else:  # names stand there, each with its sparsity
        targets = Targets(())
        if a.words("params"):
            help = "write `params: []`; its loader failed here"
            a.refuse("params", "`final_sparsity` already lists names", help)
    shape, power = a.text("inter_func", "cubic"), None
    window = _window(a)
    every = a.amount("update_frequency", "epochs", -1)
    if every is not None and every.value is not None and every.value < 0:
        every = None
    _stays(a, "masks stay after the last event")
    pattern = mask_pattern(a, "mask_type")
    if shape == "inverse_cubic":
        shape, power = "polynomial", _CUBE_ROOT
    if pattern is None or targets is None:
        return
    if shape not in ("linear", "cubic", "polynomial"):
        return a.refuse("inter_func", f"the shape `{shape}` cannot be migrated")
    if not targets.names and a.inside("final_sparsity") is None:
        return a.refuse("params", "the modifier names no parameters")
    if window.end is None:
        return None if a.failed else a.refuse("end_epoch", "a ramp without an end never leaves its start")
    for names, last in _finals(a, targets):
        first = _first(a, last)
        if first is None or last is None:
            continue
        if window.start is None and first.value != last.value and (at := a.epoch("start_epoch")) is not None:
            message = f"a ramp from epoch {fraction(at.value or Fraction(0))} cannot be migrated"
            help = "write `start_epoch: 0`; the loader had already done part of the ramp at the first step"
            a.refuse("start_epoch", message, help)
        ramp = Sparsity(shape, first, last, window, every, power)
        ramp = _checked(a, ramp, pattern)
        stage.prunes.append(Prune(*_part(a), method, names, pattern, ramp))


def _first(a: Arguments, last: Amount | None) -> Amount | None:
    if a.says("init_sparsity", "__FROM_PARAM__"):
        a.refuse("init_sparsity", "a start at each tensor's own sparsity is unknown before the run", "write a ratio")
        return None
    return a.amount("init_sparsity", "ratio", last.value if last and last.value is not None else 0)


def _finals(a: Arguments, targets: Targets) -> list[tuple[Targets, Amount | None]]:
    """`final_sparsity: {0.8: [names]}` is several sparsities in one modifier."""
    table = a.inside("final_sparsity")
    if table is None:
        return [(targets, a.amount("final_sparsity", "ratio"))]
    found: list[tuple[Targets, Amount | None]] = []
    for entry in table.entries:
        node = plain(entry.value)
        items = node.items if isinstance(node, List) else (node,)
        names = tuple(i.text for i in map(plain, items) if isinstance(i, Scalar))
        found.append((replace(targets, names=names), a.number(Scalar(entry.at, entry.key), "ratio", "final_sparsity")))
    return found


def _checked(a: Arguments, ramp: Sparsity, pattern: str) -> Sparsity:
    """Sparsities are shares; that of an `N:M` pattern is its own, which the loader took to a hundredth."""
    for key, amount in (("init_sparsity", ramp.first), ("final_sparsity", ramp.last)):
        if amount.value is not None and not 0 <= amount.value <= 1:
            a.refuse(key, f"a sparsity of {fraction(amount.value)} is not between 0 and 1")
    pair = n_of_m(pattern)
    if pair is None:
        return ramp
    if ramp.first.value != ramp.last.value:
        message = f"`{pattern}` has a fixed sparsity that cannot grow over time"
        a.refuse("mask_type", message, "set `init_sparsity` to the same value")
        return ramp
    share, told = 1 - Fraction(*pair), ramp.last.value
    if told is None or told in (0, share):
        return ramp
    if abs(told - share) > Fraction(1, 100):
        message = f"`{pattern}` has the sparsity {fraction(share)}, not {fraction(told)}"
        a.refuse("mask_type", message, f"write `final_sparsity: {fraction(share)}`; the loader failed here")
        return ramp
    a.note("final_sparsity", f"`{pattern}` means {fraction(share)}", "the loader accepted nearby values")
    exact = Amount(share, "ratio", ramp.last.span)
    return replace(ramp, first=exact, last=exact)


def n_of_m(word: str) -> tuple[int, int] | None:
    """`2:4` as numbers, the first of them smaller and neither 0."""
    match = re.fullmatch(r"(\d{1,3}):(\d{1,3})", word, re.ASCII)
    return (int(match[1]), int(match[2])) if match and 0 < int(match[1]) < int(match[2]) else None


def mask_pattern(a: Arguments, key: str) -> str | None:
    """`unstructured`, `2:4` with the kept ones first, or blocks along the input."""
    if (pair := a.pair(key)) is not None:
        if min(pair) > 0:
            if pair[0] > 1:
                why = "the loader grouped that number of neighbours in a row, whatever the shape"
                a.note(key, f"blocks of {pair[0]} by {pair[1]} are `block(1, {pair[0] * pair[1]})`", why)
            return f"block(1, {pair[0] * pair[1]})"
        a.refuse(key, "a block has at least one row and one column")
        return None
    word = a.text(key, "unstructured")
    if word in ("unstructured", "block4"):
        return {"block4": "block(1, 4)"}.get(word, word)
    if word == "tensorrt":
        return "2:4"
    if (pair := n_of_m(word)) is not None:
        return f"{pair[0]}:{pair[1]}"
    if re.fullmatch(r"\d+:\d+:\d+", word, re.ASCII):
        a.refuse(key, f"the V:N:M pattern `{word}` cannot be migrated", COLUMNS_TOO)
    else:
        a.refuse(key, f"the mask `{word}` cannot be migrated", "pruning filters, channels and heads is not supported")
    return None


#: without which the loader stopped: no value is made up for them
_RAMP = ("init_sparsity", "final_sparsity", "start_epoch", "end_epoch", "update_frequency")
REQUIRED: dict[str, tuple[str, ...]] = {
    "EpochRangeModifier": ("start_epoch", "end_epoch"),
    "LearningRateFunctionModifier": ("lr_func", "init_lr", "final_lr", "start_epoch", "end_epoch"),
    "SetLearningRateModifier": ("learning_rate",),
    "SetWeightDecayModifier": ("weight_decay",),
    "TrainableParamsModifier": ("params", "trainable"),
    "ConstantPruningModifier": ("params",),
    "LayerPruningModifier": ("layers",),
    **dict.fromkeys(
        (
            "GMPruningModifier", "MagnitudePruningModifier", "GlobalMagnitudePruningModifier",
            "MovementPruningModifier", "OBSPruningModifier",
        ),
        _RAMP,
    ),
}  # fmt: skip
READERS: dict[str, Callable[[Arguments, Stage], None]] = {
    "EpochRangeModifier": epochs,
    "LearningRateFunctionModifier": learning_rate,
    "SetLearningRateModifier": set_learning_rate,
    "SetWeightDecayModifier": weight_decay,
    "TrainableParamsModifier": trainable,
    "ConstantPruningModifier": constant_pruning,
    "LayerPruningModifier": layer_pruning,
    "GMPruningModifier": magnitude,
    "MagnitudePruningModifier": magnitude,
    "GlobalMagnitudePruningModifier": global_magnitude,
    "MovementPruningModifier": movement,
    "OBSPruningModifier": second_order,
    "DistillationModifier": distillation,
}
#: what other releases called them, with the same arguments
RENAMED = {
    "LegacyGMPruningModifier": "GMPruningModifier",
    "GradualKSModifier": "GMPruningModifier",
    "ConstantKSModifier": "ConstantPruningModifier",
}

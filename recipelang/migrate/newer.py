"""Modifiers of the newer dialect, shared by late SparseML and llm-compressor: stages, one shot or trained."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

from recipelang.kinds.text import fraction
from recipelang.migrate import names
from recipelang.migrate.arguments import Arguments
from recipelang.migrate.form import Prune, Sparsity, Stage, Targets, Window
from recipelang.migrate.legacy import COLUMNS_TOO, n_of_m
from recipelang.source import Span

#: llm-compressor's own name of what SparseML called `percdamp`
_DAMP = ("dampening_frac", "percdamp")
_ONE_AFTER_ANOTHER = (
    "llm-compressor reads it as true since February 2025; before, every layer's inputs came from dense layers"
)
_HEAD = "prune it in a stage of training, or with `magnitude`"
_LEFT_OUT = (
    "llm-compressor skipped `lm_head` until February 2025; since then it prunes `lm_head` unless `ignore` names it"
)
_LAYERS = "it named the layers to calibrate one after another; here all layers of the model are"
_DOTTED = (
    "since February 2025 llm-compressor matches a linear layer by its name and a dot; this does not match, so the "
    "layer is pruned"
)


def sparsegpt(a: Arguments, stage: Stage, half: bool = False) -> None:
    """`half`: what is pruned where nothing is said."""
    block = a.amount("block_size", "number", 128)
    damp = next((d for key in _DAMP if (d := a.amount(key, "number")) is not None), None)
    written = [f"block = {fraction(block.value)}"] if block and block.value is not None else []
    written.append(f"damp = {fraction(damp.value if damp and damp.value is not None else Fraction(1, 100))}")
    if "quantize" not in a.read and a.flag("quantize", False):
        a.refuse(
            "quantize", "it also quantised, which cannot be migrated", "quantise the result with a quantisation tool"
        )
    _one_shot(a, stage, f"sparsegpt({', '.join(written)})", Fraction(1, 2) if half else None)


def tagged(a: Arguments, stage: Stage) -> None:
    """Of the end of 2023: every linear layer of every block, half of the weights unless it says more."""
    stage.name = "prune" if stage.name == "train" else stage.name
    if (bits := a.amount("num_bits", "number", 16)) is not None and not bits.is_(16):
        a.refuse(
            "num_bits", "it also quantised, which cannot be migrated", "quantise the result with a quantisation tool"
        )
    elif a.has("num_bits"):
        a.idle(("quantize",), "weights of 16 bits are not quantised")
    sparsegpt(a, stage, half=True)


def wanda(a: Arguments, stage: Stage) -> None:
    _one_shot(a, stage, "wanda(scope = row)")


def _one_shot(a: Arguments, stage: Stage, method: str, usual: Fraction | None = None) -> None:
    """What SparseGPT and Wanda share."""
    if not a.flag("sequential_update", True):
        a.note("sequential_update", "layers are always pruned one after another", _ONE_AFTER_ANOTHER)
    profile = a.text("sparsity_profile", "none")
    if profile != "none":
        a.refuse("sparsity_profile", f"sparsities of layers by the profile `{profile}` cannot be migrated")
    a.idle(("owl_m", "owl_lmbda"), "they belong to a profile")
    a.idle(("index", "group"), "it only names the modifier")
    a.idle(("start", "end", "update"), "one shot has no schedule")
    a.idle(("offload_hessians",), "it affected only where sums are stored")
    a.idle(("target_ids", "sequential_targets", "layer_prefix"), _LAYERS)
    if a.flag("preserve_sparsity_mask", False):
        why = "masks of earlier stages stay in force here; the model's initial zeros rank lowest and stay too"
        a.changes_nothing("preserve_sparsity_mask", "masks are always kept", why)
    pattern = pruned_of(a)
    if a.several("sparsity"):
        return a.refuse("sparsity", "a sparsity for each layer cannot be migrated", "write a modifier for each layer")
    sparsity = a.amount("sparsity", "ratio", usual)
    if a.inside("sparsity") is not None or pattern is None:
        return None
    if sparsity is None:
        return a.refuse("sparsity", "one shot needs one `sparsity`")
    if sparsity.value is not None and not 0 <= sparsity.value < 1:
        return a.refuse("sparsity", f"a sparsity of {fraction(sparsity.value)} is not between 0 and 1")
    targets = _targets(a)
    if targets is None:
        return None
    if sparsity.value == 0:
        return a.changes_nothing("sparsity", "it prunes nothing", "its sparsity is 0: it only quantised")
    body = _body(a, targets)
    if body is not None:
        stage.mode = "one_shot"
        stage.prunes.append(Prune(*_part(a), method, body, pattern, sparsity))


def _body(a: Arguments, targets: Targets) -> Targets | None:
    """Without the head, which is no layer: the loaders left it out until February 2025 where it was not ignored."""
    if missed := _missed(targets):
        a.note("ignore", f"the tensors of `{missed[:60]}` stay dense here", _DOTTED)
    if not names.takes_head(targets.names) or names.takes_head(targets.ignored):
        return targets
    named = tuple(name for name in targets.names if "head" in name)
    if named:
        a.refuse("targets", "layers are pruned one after another, and the head is not a layer", _HEAD)
        rest = tuple(name for name in targets.names if name not in named)
        return replace(targets, names=rest, ignored=(*targets.ignored, "__HEAD__")) if rest else None
    a.note("targets", "the head stays dense: it is not a layer", _LEFT_OUT)
    return replace(targets, ignored=(*targets.ignored, "__HEAD__"))


def _missed(targets: Targets) -> str | None:
    """The first ignored name of linear layers that llm-compressor matches with none, where a target is such a layer.

    Of a layer that is a target itself it asks for `lm_head.`: the name, a dot, and what stands below, which is nothing.
    Layers inside of a target have their plain names.
    """
    named = (*targets.names, *targets.ignored)
    body = names.Body(names.reference(names.family_of(named) or "llama", named))
    themselves = frozenset().union(*(body.layers(name) for name in targets.names))
    for word in targets.ignored:
        missed = word.endswith(("$", r"\Z")) if word.startswith("re:") else not names.is_class(word)
        if missed and body.matched(Targets((word,), modules=True)) & themselves:
            return word
    return None


def pruned_of(a: Arguments) -> str | None:
    """`N:M` counts what is pruned there, and what is kept here: `1:4` becomes `3:4`."""
    word = a.text("mask_structure", "0:0")
    for old, new in (("prunen", 0), ("prunem", 1)):
        number = a.amount(old, "number")
        if number is not None and number.value:
            word = ":".join(fraction(number.value) if i == new else p for i, p in enumerate(word.split(":")))
    if word in ("unstructured", "0:0"):
        return "unstructured"
    pair = n_of_m(word)
    if pair is None:
        columns_too = re.fullmatch(r"\d+:\d+:\d+", word, re.ASCII)
        kind, help = ("V:N:M pattern", COLUMNS_TOO) if columns_too else ("mask", None)
        a.refuse("mask_structure", f"the {kind} `{word}` cannot be migrated", help)
        return None
    pruned, of = pair
    if 2 * pruned != of:
        why = f"there, {pruned} of {of} are pruned; here, a pattern counts the remaining weights"
        a.note("mask_structure", f"`{word}` becomes `{of - pruned}:{of}`", why)
    return f"{of - pruned}:{of}"


def constant(a: Arguments, stage: Stage) -> None:
    targets = _targets(a)
    window = _window(a)
    ends, length = window.end, None if stage.length is None else stage.length.value
    if ends is not None and (length is None or ends.value is None or ends.value < length) and not a.failed:
        help = "if training ends there, remove `end`; otherwise end the stage there"
        a.refuse("end", "zeros are kept until the stage ends; the original let weights regrow after this epoch", help)
    a.idle(("update",), "the zeros were read again and were unchanged")
    a.idle(("index", "group"), "it only names the modifier")
    if targets is not None:
        stage.prunes.append(Prune(*_part(a), "hold", targets, since=window.start))


def magnitude(a: Arguments, stage: Stage) -> None:
    targets = _targets(a)
    shape = a.text("update_scheduler", "cubic")
    first, last = a.amount("init_sparsity", "ratio"), a.amount("final_sparsity", "ratio")
    window = _window(a)
    pattern = pruned_of(a) if a.has("mask_structure") else "unstructured"
    a.idle(("update",), "the loader changed masks at every step, whatever its value")
    a.idle(("index", "group"), "it only names the modifier")
    a.only("apply_globally", False, "the loader had no global pruning, and failed")
    if (more := a.table("scheduler_args")) is not None and more.entries:
        a.refuse("scheduler_args", "arguments of a shape cannot be migrated")
    if not a.flag("leave_enabled", True):
        a.refuse("leave_enabled", "masks stay in force here", "add a stage with `method = release`")
    elif window.end is not None and not a.has("leave_enabled"):
        a.note("end", "masks stay in force after this epoch", "the loader removed them there, if training continued")
    if shape not in ("linear", "cubic"):
        return a.refuse(
            "update_scheduler", f"the shape `{shape}` cannot be migrated", "`linear` and `cubic` can be migrated"
        )
    if first is None or last is None or pattern is None or targets is None or None in (window.start, window.end):
        return None  # told already
    why = (
        "the loader computed masks before a step and never reached the last value: 0.7125 instead of 0.8 in four steps"
    )
    a.note("final_sparsity", "the last value is reached here", why)
    ramp = Sparsity(shape, first, last, window, None)
    stage.prunes.append(Prune(*_part(a), "magnitude(scope = uniform)", targets, pattern, ramp))


def _window(a: Arguments) -> Window:
    """From `start` to `end`; none, and told, where one lies before 0: -1 was no word for `open` in these loaders."""
    start, end = a.amount("start", "epochs"), a.amount("end", "epochs")
    if start is not None and start.value is not None and start.value < 0:
        message = f"a start at epoch {fraction(start.value)} cannot be migrated"
        a.refuse("start", message, "write `start: 0` if it should act from the first step")
        start = None
    if end is not None and end.value is not None and end.value < 0:
        message = f"an end at epoch {fraction(end.value)} cannot be migrated"
        a.refuse("end", message, "write the last epoch; its loader never started a modifier that ends before 0")
        end = None
    return Window(start, end)


def _part(a: Arguments) -> tuple[str, Span, str]:
    return a.modifier.name, a.modifier.span, a.modifier.comment


def _targets(a: Arguments) -> Targets | None:
    """Without `targets` a loader took the linear layers of every block; none, and told, where they are not read."""
    named = a.named("targets") if a.has("targets") else ("__BLOCKS__",)
    a.read.add("targets")
    ignored = a.named("ignore", few=0) if a.has("ignore") else ()
    a.read.add("ignore")
    if named is None or ignored is None:
        return None
    if foreign := [n for n in named if names.is_class(n) and not names.known_class(n)]:
        a.refuse("targets", f"`{foreign[0][:60]}` is not a class of a supported family")
        return None
    try:
        names.takes_head((*named, *ignored))
    except names.NotUnderstood as why:
        a.refuse("targets", f"the targets cannot be read: {why}")
        return None
    return Targets(named, ignored, modules=True)


#: without which the loaders stopped: no value is made up for them
REQUIRED: dict[str, tuple[str, ...]] = {
    "ConstantPruningModifier": ("targets",),
    "MagnitudePruningModifier": ("targets", "init_sparsity", "final_sparsity", "end"),
}
#: without which they never began: such a modifier did nothing, without a word
BEGUN_BY: dict[str, str] = {"ConstantPruningModifier": "start", "MagnitudePruningModifier": "start"}
READERS: dict[str, Callable[[Arguments, Stage], None]] = {
    "SparseGPTModifier": sparsegpt,
    "WandaPruningModifier": wanda,
    "ConstantPruningModifier": constant,
    "MagnitudePruningModifier": magnitude,
}
#: what other releases called them, with the same arguments
RENAMED = {"SparseOPTModifier": "SparseGPTModifier", "SparseLlamaModifier": "SparseGPTModifier"}
#: the same in the `!Tag` lists of SparseML's first one shot
TAGGED: dict[str, Callable[[Arguments, Stage], None]] = dict.fromkeys(
    ("SparseGPTModifier", "SparseOPTModifier", "SparseLlamaModifier", "SparseMPTModifier"), tagged
)

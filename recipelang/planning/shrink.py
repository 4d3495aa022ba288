"""What `shrink` makes of a model: the smaller config, every new shape, and what of each parameter goes.

The shapes are those that transformers makes of the smaller config, so what comes out loads like any other model; which
places of a parameter go is told by its roles. Where the two do not agree the model cannot be shrunk so, and is refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

from recipelang.kinds.sizes import RANKINGS
from recipelang.planning.budget_plan import BudgetPlan
from recipelang.planning.config_fields import check_fields
from recipelang.planning.depth import PAIR, first_stays, is_pair, layer_stacks, layers_alike
from recipelang.planning.dimensions import (
    GROUPS,
    Heads,
    Units,
    counts_experts,
    heads_of,
    is_matrix,
    units_of,
)
from recipelang.planning.facts import ModelFacts, with_standard
from recipelang.planning.families import FAMILIES, TensorFact, tensors_of
from recipelang.planning.layers import NUMBER_OF_LAYERS, config_with_layers, lists_differ, stack_layers
from recipelang.planning.match import match
from recipelang.planning.routing import KEYS, MADE, Routing, check_experts, routing_of
from recipelang.planning.shrink_plan import CutPlan, ReshapePlan, ShrinkPlan, SizePlan
from recipelang.planning.structure import structure
from recipelang.source import RecipeError, fail
from recipelang.source.words import an, plural
from recipelang.spec.controls import ShrinkSpec
from recipelang.values.composite import Size

#: what configs with two stacks call the heads of each
_OF_STACKS = ("encoder_attention_heads", "decoder_attention_heads")
#: what configs call a size
_KEYS = {
    "ffn": (
        "intermediate_size",
        "hidden_dim",
        "ffn_dim",
        "d_ff",
        "n_inner",
        "ffn_hidden_size",
        "d_inner",
        "encoder_ffn_dim",
        "decoder_ffn_dim",
    ),
    "heads": ("num_attention_heads", "n_heads", "n_head", "num_heads", "attention_heads", *_OF_STACKS),
    "hidden": ("hidden_size", "dim", "d_model", "n_embd", "word_embed_proj_dim"),
    "experts": KEYS,
}
#: what most types call it, and a walk reports
_STANDARD = {"ffn": "intermediate_size", "heads": "num_attention_heads", "hidden": "hidden_size"}
#: types whose heads look back as far as their number says (ALiBi), whatever the config says of it
_SLOPES = ("bloom", "mpt")
#: types that mix units, or layers, in ways of which shapes tell nothing: halves of heads, states from elsewhere
_MIXED = {
    "diffllama": ("heads",),
    "kimi_linear": ("heads", "hidden", "layers"),
    "rwkv": ("hidden",),
    "zamba": ("heads", "ffn"),
    "zamba2": ("heads", "ffn"),
}
_WIDTH = "head_dim"
#: every key of a config that a smaller size may change
SIZE_KEYS = {key for keys in _KEYS.values() for key in keys} | {*NUMBER_OF_LAYERS, *GROUPS, _WIDTH}
#: that shares are rounded to, where the model's own size is a multiple of it
_USUAL = 16


def plan_shrink(
    spec: ShrinkSpec, facts: ModelFacts, keep: tuple[int, ...], budget: BudgetPlan | None = None
) -> tuple[ShrinkPlan, ModelFacts]:
    """The plan of a block that protects the layers `keep`, and the facts of the model that it leaves.

    Every axis has its size; those that a `budget` came to are in `spec` (`planning.budgets.sized`).

    E152 for an axis that cannot become smaller in a model of this type, E153 for a size that it cannot have.
    """
    here = Here(facts)
    sizes = [size_of(size, here, spec.multiple_of) for size in spec.axes]
    wanted: dict[str, int] = {s.axis: s.after for s in sizes}
    config = here.config(wanted)
    left = _left(facts, config)
    try:
        reshapes = tuple(here.reshapes(wanted, left))
    except _Unlike as odd:
        width = None if here.heads is None else here.heads.width
        again = {**config, _WIDTH: width}  # a head keeps its width where the config can say so
        if not {"heads", "hidden"} & wanted.keys() or facts.config.get(_WIDTH) or width is None:
            raise here.refused(odd, wanted) from None
        try:
            left = _left(facts, again)
            reshapes = tuple(here.reshapes(wanted, left))
        except (_Unlike, RecipeError):
            raise here.refused(odd, wanted) from None
        config = again
    if "hidden" in wanted and RANKINGS[spec.by].looks_at == "states" and not any(_is_norm(r, facts) for r in reshapes):
        message = f"the norms of {an(f'`{facts.family}`')} have no weights to rank hidden units by"
        raise fail("E152", message, help="write `by = magnitude`")
    stacks = layer_stacks(facts) if "layers" in wanted else {}
    changed = {k: v for k, v in config.items() if facts.config.get(k) != v or k not in facts.config}
    plan = ShrinkPlan(
        name=spec.name,
        by=spec.by,
        sizes=tuple(sizes),
        groups=here.heads.groups if "heads" in wanted and here.heads and not here.heads.alone else 1,
        routing=here.routing.groups if "experts" in wanted else 1,
        keep=keep,
        reshapes=reshapes,
        config={k: _setting(v) for k, v in changed.items()},
        config_before={k: _setting(facts.config.get(k)) for k in changed},
        parameters=(facts.parameters, left.parameters),
        stack=stacks.get("stack", ""),
        decoder=stacks.get("decoder", ""),
        budget=budget,
    )
    return plan, left


def before(plan: ShrinkPlan, facts: ModelFacts) -> ModelFacts:
    """The facts of the model that was shrunk, from those of what it left."""
    config = {**facts.config, **plan.settings(plan.config_before)}
    return _made(facts, {k: v for k, v in config.items() if v is not None or k not in plan.config})


class _Unlike(Exception):
    """A parameter that does not become what its roles say: its name, and the shape that it would have."""


class Here:
    """The axes of a model as it is."""

    def __init__(self, facts: ModelFacts) -> None:
        self.facts = facts
        self.counts: dict[str, int] = {}
        self.hidden = _number(facts, "hidden")
        heads = _number(facts, "heads")
        self.heads: Heads | None = heads_of(facts.family, facts.config, facts.tensors, heads) if heads else None

    @property
    def routing(self) -> Routing:
        """E152 where the model has no experts that can go."""
        return routing_of(self.facts.family, self.facts.config, self.facts.tensors)

    def count(self, axis: str) -> int:
        """What the model has of it. E152 where it has none, or not the same everywhere."""
        if axis not in self.counts:  # every dimension of every tensor asks
            self.counts[axis] = self._counted(axis)
        return self.counts[axis]

    def _counted(self, axis: str) -> int:
        facts, kind = self.facts, an(f"`{self.facts.family}`")
        if axis in _MIXED.get(facts.family, ()):
            raise fail("E152", f"this release cannot shrink `{axis}` of {kind}", help="shrink another axis")
        if axis != "ffn" and len(facts.stacks) > 1 and not is_pair(facts):
            notes = ["it has several stacks of layers, of which only `ffn` can shrink"]
            raise fail("E152", f"this release does not shrink `{axis}` of {kind}", notes=notes, help=MADE)
        if axis == "layers":
            if facts.layers < 2 or not facts.chained:
                raise fail("E152", f"this release cannot remove layers of {kind}", help=MADE)
            if is_pair(facts) and len({stack_layers(facts, word) for word in PAIR}) > 1:
                help = "name the layers to keep: `drop encoder_layers { keep = [...] }`, `drop decoder_layers`"
                raise fail("E152", f"encoder and decoder of {kind} have different numbers of layers", help=help)
            if not layers_alike(facts) or lists_differ(facts.config, facts.layers):
                help = "name the layers to keep: `drop layers { keep = [...] }`"
                raise fail("E152", f"the layers of {kind} are not alike, so which ones go must be chosen", help=help)
            return facts.layers
        if axis == "ffn":
            if any("experts" in t.roles for t in facts.tensors):
                message = f"this release does not shrink the neurons of the experts of {kind}"
                raise fail("E152", message, help="write `experts -> 50%`, or shrink another axis")
            widths = {t.shape[-1] for t in facts.tensors if is_matrix(t, "down")}
            if len(widths) != 1 or not any(k in facts.config for k in _KEYS[axis]):
                why = "differ in width" if len(widths) > 1 else "are not known to this release"
                raise fail("E152", f"the feed-forward blocks of {kind} {why}", help="shrink another axis")
            return widths.pop()
        if axis == "experts":
            return self.routing.experts
        found = self.hidden
        if axis == "heads":
            if len({facts.config[k] for k in _OF_STACKS if facts.config.get(k)}) > 1:
                message = f"encoder and decoder of {kind} have different numbers of heads"
                raise fail("E152", message, help="shrink another axis")
            found = None if self.heads is None else self.heads.count
        if found is None:
            fused = any(is_matrix(t, "query") and "key" in t.roles for t in facts.tensors)
            notes = ["how queries, keys and values lie in its one matrix is not known here"] if fused else []
            if facts.config.get("alibi") or facts.family in _SLOPES:
                notes = ["how far back a head looks follows from its number (ALiBi)"]
            raise fail(
                "E152", f"this release cannot shrink `{axis}` of {kind}", help="shrink another axis", notes=notes
            )
        return found

    def config(self, wanted: Mapping[str, int]) -> dict[str, Any]:
        """The config of the smaller model."""
        config = dict(self.facts.config)
        for axis, to in wanted.items():
            if axis == "layers":
                words = PAIR if is_pair(self.facts) else ("",)
                config = config_with_layers(config, dict.fromkeys(words, tuple(range(to))))
                continue
            for key in _KEYS[axis]:
                if key in config and config[key] in (self.count(axis), None):
                    config[key] = to
            for key in GROUPS if axis == "heads" else ():
                if config.get(key) == self.count(axis):  # no two heads share keys and values, or it is not read
                    config[key] = to
        if "hidden" in wanted and "ffn" not in wanted:  # some are four times as wide where the config says nothing
            config |= {key: self.count("ffn") for key in _KEYS["ffn"] if key in config and config[key] is None}
        return config

    def reshapes(self, wanted: Mapping[str, int], left: ModelFacts) -> Iterator[ReshapePlan]:
        """Every parameter whose shape is another one. `_Unlike` where it is not the one that its roles say."""
        there = {t.name: t for t in left.tensors}
        said = {axis: left.config.get(_STANDARD[axis], to) for axis, to in wanted.items() if axis in _STANDARD}
        other = {t.name for t in left.tensors} - {t.name for t in self.facts.tensors}
        if left.layers != wanted.get("layers", self.facts.layers) or other or any(said[a] != wanted[a] for a in said):
            raise _Unlike(min(other, default=self.facts.tensors[0].name), ())
        for tensor in self.facts.tensors:
            if tensor.layer is not None and tensor.layer >= wanted.get("layers", self.facts.layers):
                twin = tensor.name.replace(f".{tensor.layer}.", ".0.", 1)  # layers are alike
            else:
                twin = tensor.name
            if twin not in there:
                raise _Unlike(tensor.name, ())
            cuts = tuple(self._cuts(tensor, there[twin].shape, wanted))
            if cuts:
                yield ReshapePlan(name=tensor.name, shape=tensor.stored_shape, cuts=cuts)

    def _cuts(self, tensor: TensorFact, after: Sequence[int], wanted: Mapping[str, int]) -> Iterator[CutPlan]:
        for dim, (was, now) in enumerate(zip(tensor.shape, after, strict=True)):
            units = units_of(tensor, dim, self.heads) or Units("hidden")
            if self._of_experts(tensor, dim, was, now, wanted):
                units = Units("experts")
            axis = units.axis
            has = self.hidden if axis == "hidden" else self.count(axis) if axis in wanted else None
            expected = was
            if axis == "norm" and "heads" in wanted:
                raise _Unlike(tensor.name, tuple(after))
            if axis == "hidden":  # whatever becomes as narrow as the states
                expected = wanted.get(axis, was) if now != was == has else was
            elif axis in wanted:
                expected = units.places(wanted[axis])
                if units.places(has) != was:  # type: ignore[arg-type]
                    raise _Unlike(tensor.name, tuple(after))
            if expected != now:
                raise _Unlike(tensor.name, tuple(after))
            if now != was:
                last = len(tensor.shape) - 1
                stored = 2 * last - 1 - dim if tensor.turned and dim >= last - 1 else dim
                if tensor.below:
                    raise _Unlike(tensor.name, tuple(after))
                how = {"parts": units.parts, "unit": units.unit, "rest": units.rest, "blocks": units.blocks}
                yield CutPlan(dim=stored, axis=axis, **how)  # type: ignore[arg-type]

    def _of_experts(self, tensor: TensorFact, dim: int, was: int, now: int, wanted: Mapping[str, int]) -> bool:
        """Of stacks of experts the first dimension; elsewhere, in the router, the one that shrinks as they do."""
        if "experts" not in wanted or not counts_experts(tensor):
            return False
        shrinks = (was, now) == (self.count("experts"), wanted["experts"])
        return dim == 0 if "experts" in tensor.roles else shrinks

    def refused(self, odd: _Unlike, wanted: Mapping[str, int]) -> RecipeError:
        """E152: the config cannot say what is wanted."""
        kind = an(f"`{self.facts.family}`")
        hidden = wanted.get("hidden", self.hidden) or 0
        heads, width = (wanted.get("heads", self.heads.count), self.heads.width) if self.heads else (0, 0)
        tied = self.heads is not None and self.hidden == self.heads.count * width
        if tied and {"heads", "hidden"} & wanted.keys() and hidden != heads * width:
            message = f"`heads` and `hidden` of {kind} shrink together"
            notes = [
                f"heads × {width} must be hidden, and {heads} × {width} is not {hidden:,}",
                "its config has no size of a head, so a model of other sizes would not load",
            ]
            fit = max(1, hidden // width)
            pair = f"`heads -> {heads}` and `hidden -> {heads * width}`"
            if "hidden" in wanted:
                pair = f"`heads -> {fit}` and `hidden -> {fit * width}`"
            return fail("E152", message, help=f"write {pair}, or shrink `ffn` and `layers`", notes=notes)
        name, found = odd.args[0], odd.args[1]
        notes = [f"`{name}` would have the shape {found}" if found else "its config makes a model of other parameters"]
        axes = " and ".join(f"`{a}`" for a in wanted)
        return fail("E152", f"this release cannot shrink {axes} of {kind}", help="shrink another axis", notes=notes)


def _is_norm(reshape: ReshapePlan, facts: ModelFacts) -> bool:
    """Whether it is the weight of a norm over the hidden units."""
    roles = next(t.roles for t in facts.tensors if t.name == reshape.name)
    return "norm" in roles and reshape.name.endswith(".weight") and reshape.cuts[0].axis == "hidden"


def _number(facts: ModelFacts, axis: str) -> int | None:
    return next((int(facts.config[k]) for k in _KEYS[axis] if facts.config.get(k)), None)


def size_of(size: Size, here: Here, multiple: int | None) -> SizePlan:
    """E153 for what is no smaller size of this model."""
    has = here.count(size.axis)
    assert size.to is not None
    if isinstance(size.to, Fraction):
        to = rounded(size.to * has, step_of(size.axis, has, here, multiple), has)
        if to >= has:
            message = f"{float(size.to):.1%} of {has:,} is too near to all of `{size.axis}`"
            raise fail("E153", message, help=f"write a smaller share, or a count below {has:,}")
    else:
        to = size.to
        if to >= has:
            message = f"`{size.axis} -> {to}` is not smaller: the model has {has:,}"
            raise fail("E153", message, help=f"write a share, or a count below {has}")
    groups = step_of("heads", has, here, None) if size.axis == "heads" else 1
    if to % groups:
        near = max(groups, to - to % groups)
        message = f"{plural(to, 'head')} cannot be shared out to {groups} groups of keys and values"
        raise fail("E153", message, help=f"write `heads -> {near}`: a multiple of {groups}")
    if size.axis == "experts":
        check_experts(here.routing, to)
    return SizePlan(axis=size.axis, before=has, after=to)  # type: ignore[arg-type]


def step_of(axis: str, has: int, here: Here, multiple: int | None) -> int:
    if axis == "heads":
        return 1 if here.heads is None or here.heads.alone else here.heads.groups
    if axis == "experts":
        return here.routing.groups
    if axis == "layers":
        return 1
    return multiple or (_USUAL if has % _USUAL == 0 and has > _USUAL else 1)


def least_of(axis: str, here: Here) -> int:
    """The smallest size that an axis can have at all."""
    return here.routing.least if axis == "experts" else 1


def rounded(share: Fraction, step: int, most: int) -> int:
    """To the nearest multiple, of two as near the larger; never nothing."""
    return min(most, max(step, math.floor(share / step + Fraction(1, 2)) * step))


def kept_layers(spec: ShrinkSpec, facts: ModelFacts) -> tuple[int, ...]:
    """The layers that a block protects. E153 where it protects none, or more than are left."""
    layers = next((s for s in spec.axes if s.axis == "layers"), None)
    if layers is None:
        return ()
    first = (0,) if first_stays(facts) else ()
    if spec.keep is None:
        return first
    names = set(match(spec.keep, facts))
    chosen = {t.layer for t in facts.tensors if t.name in names and t.layer is not None}
    keep = tuple(sorted({*chosen, *(first if chosen else ())}))
    here = Here(facts)
    to = size_of(layers, here, None).after if layers.to is not None else here.count("layers") - 1
    if not keep:
        raise fail("E153", "`keep` selects no layer", help="write `keep = layers(0) | layers(-1)`, or remove it")
    if len(keep) > to:
        if layers.to is None:
            raise fail("E153", "`keep` protects every layer", help="protect fewer, or remove `layers` from `axes`")
        message = f"`keep` protects {plural(len(keep), 'layer')}, more than the {to} that stay"
        raise fail("E153", message, help=f"write `layers -> {len(keep)}`, or protect fewer")
    return keep


def _left(facts: ModelFacts, config: Mapping[str, Any]) -> ModelFacts:
    try:
        return _made(facts, dict(config))
    except RecipeError as error:
        why = [n for d in error.diagnostics for n in (d.message, *d.notes)]
        kind = an(f"`{facts.family}`")
        message = f"transformers makes no {kind.partition(' ')[2]} of these sizes"
        raise fail("E152", message, help="write other sizes", notes=why[:2]) from None


def _made(facts: ModelFacts, config: dict[str, Any]) -> ModelFacts:
    if facts.family in FAMILIES:
        check_fields(facts.path / "config.json", facts.family, config)
        return replace(facts, config=config, tensors=tuple(tensors_of(facts.family, config, facts.task)))
    made = structure(facts.path, config, facts.task, None)
    known = {t.name for t in facts.tensors}
    tensors = tuple(t for t in made.facts if t.name in known or t.layer is not None)
    return replace(facts, config=with_standard(config, made), tensors=tensors)


def _setting(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value

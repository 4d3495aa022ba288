"""A model with some of its layers: what `drop layers` leaves, numbered anew."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from recipelang.planning.facts import ModelFacts, with_standard
from recipelang.planning.families import FAMILIES, Config, tensors_of
from recipelang.planning.structure import structure
from recipelang.source import RecipeError, fail
from recipelang.source.words import an

#: of each stack, the layers to keep: `encoder` and `decoder`, or no word where there is one stack
Keep = Mapping[str, tuple[int, ...]]
#: what the families call their number of layers
NUMBER_OF_LAYERS = ("num_hidden_layers", "n_layers", "n_layer", "num_layers")
#: what configs call those of an encoder and of its decoder
_NUMBERS = (
    ("encoder_layers", "decoder_layers"),
    ("num_encoder_layers", "num_decoder_layers"),
    ("num_layers", "num_decoder_layers"),
)
#: lists that say what each layer is
_EACH = re.compile(r"(\w+_)?layers?(_\w+)?")
_MADE = "make the smaller model with transformers, and name its folder as `base`"


def with_layers(facts: ModelFacts, keep: Keep) -> ModelFacts:
    """The facts of the model that is trained; of two stacks, one that `keep` does not name stays whole.

    E073 for a layer that it does not have, E200 for a stack that it does not have or does not name, and for layers that
    are none of the smaller model, E055 for stacks of any other kind.
    """
    keep = whole(facts, keep)
    if facts.family in FAMILIES:
        config = config_with_layers(facts.config, keep)
        return replace(facts, config=config, tensors=tuple(tensors_of(facts.family, config, facts.task)))
    config = config_with_layers(facts.config, keep)
    try:
        made = structure(facts.path, config, facts.task, None)
    except RecipeError as error:
        raise other_layers(facts.family, next(n for d in error.diagnostics for n in (*d.notes, d.message))) from None
    small = replace(facts, config=with_standard(config, made), tensors=made.facts)
    _same_layers(facts, small, keep)
    return small


def whole(facts: ModelFacts, keep: Keep) -> dict[str, tuple[int, ...]]:
    """The layers to keep, of every stack."""
    two = facts.two_stacks and len(facts.stacks) == 2
    if len(facts.stacks) > 1 and not two:
        message = f"this release does not drop layers of {an(f'`{facts.family}`')}, which has several stacks of them"
        raise fail("E055", message, help=_MADE)
    if two and "" in keep:
        help = "write `drop encoder_layers { keep = [...] }` or `drop decoder_layers { keep = [...] }`, or both"
        raise fail("E200", f"`drop layers` does not say which stack of {an(f'`{facts.family}`')}", help=help)
    if not two and (named := next(filter(None, keep), None)):
        help = "write `drop layers { keep = [...] }`"
        raise fail("E200", f"{an(f'`{facts.family}`')} has one stack of layers, not {an(named)} and another", help=help)
    found = {}
    for word in ("encoder", "decoder") if two else ("",):
        layers = stack_layers(facts, word)
        found[word] = keep.get(word, tuple(range(layers)))
        if found[word][-1] >= layers:
            help = f"{'the ' + word if word else 'it'} has layers 0..{layers - 1}"
            raise fail("E073", f"there is no layer {found[word][-1]} to keep", help=help)
    return found


def stack_layers(facts: ModelFacts, word: str) -> int:
    """Layers of the encoder, of the decoder, or of the only stack."""
    if not word:
        return facts.layers
    stack = next(s for s in facts.stacks if word in s.split("."))
    return 1 + max(t.layer for t in facts.tensors if t.layer is not None and t.name.startswith(f"{stack}."))


def config_with_layers(config: Config, keep: Keep) -> Config:
    """A model's config with as many layers; some list what each layer is. E055 where it counts them in no known way."""
    if "" not in keep:
        encoder, decoder = len(keep["encoder"]), len(keep["decoder"])
        names = next((pair for pair in _NUMBERS if pair[0] in config), None)
        if names is None:
            kind = an(f"`{config.get('model_type')}`")
            raise fail("E055", f"this release does not know where {kind} counts its layers", help=_MADE)
        own = {"num_hidden_layers": encoder} if "num_hidden_layers" in config else {}
        return {**config, **own, names[0]: encoder, names[1]: decoder}
    changed: dict[str, object] = {key: len(keep[""]) for key in NUMBER_OF_LAYERS if key in config}
    before = next((config[key] for key in changed), None)
    for key, value in config.items():
        if isinstance(value, list) and (len(value) == before or key == "layer_types") and _EACH.fullmatch(key):
            changed[key] = [value[i] for i in keep[""] if i < len(value)]
    return {**config, **changed}


def lists_differ(config: Config, layers: int) -> bool:
    """Whether a config lists what each layer is, and they are not all the same."""
    lists = (v for k, v in config.items() if isinstance(v, list) and _EACH.fullmatch(k) and len(v) >= layers)
    return any(item != each[0] for each in lists for item in each[:layers])


def renumbered(name: str, stacks: Sequence[str], keep: Keep) -> str | None:
    """A parameter's name in the smaller model, none where its layer is gone.

    >>> stacks = ["bert.encoder.layer"]
    >>> renumbered("bert.encoder.layer.5.output.dense.weight", stacks, {"": (1, 3, 5)})
    'bert.encoder.layer.2.output.dense.weight'
    >>> renumbered("bert.encoder.layer.2.output.dense.weight", stacks, {"": (1, 3)})
    >>> renumbered("decoder.block.4.a", ["encoder.block", "decoder.block"], {"encoder": (0, 1), "decoder": (0, 4)})
    'decoder.block.1.a'
    >>> renumbered("pooler.0.bias", stacks, {"": (1, 3)})
    'pooler.0.bias'
    """
    stack = next((s for s in stacks if name.startswith(f"{s}.")), None)
    if stack is None:
        return name
    kept = keep_of(stack, keep)
    number, _, inside = name[len(stack) + 1 :].partition(".")
    return f"{stack}.{kept.index(int(number))}.{inside}" if int(number) in kept else None


def keep_of(stack: str, keep: Keep) -> tuple[int, ...]:
    """The layers to keep of the stack at this path."""
    return next(kept for word, kept in keep.items() if not word or word in stack.split("."))


def _same_layers(facts: ModelFacts, small: ModelFacts, keep: Keep) -> None:
    """E200 unless the layers that are kept have the parameters of those that the smaller model has in their places."""
    kept = {}
    for tensor in facts.tensors:
        if new := renumbered(tensor.name, facts.stacks, keep):
            kept[new] = tensor.shape
    wanted = {t.name: t.shape for t in small.tensors}
    for name in sorted({*kept, *wanted}):
        if name not in kept:
            raise other_layers(facts.family, f"the smaller model has `{name}`, which no layer that is kept has")
        if name not in wanted:
            raise other_layers(facts.family, f"`{name}`, as it would be called, has no place in the smaller model")
        if kept[name] != wanted[name]:
            raise other_layers(facts.family, f"`{name}` would have another shape")


def other_layers(family: str, why: str) -> RecipeError:
    """Of layers that cannot take their new places."""
    notes = ["a layer that is kept differs from the one that its new place is for", why]
    help = "keep layers that suit their new places, layer 0 first, or name a smaller model as `base`"
    return fail("E200", f"these layers do not make a smaller `{family}`", notes=notes, help=help)

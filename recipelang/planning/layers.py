"""A model with some of its layers: what `drop layers` leaves, numbered anew."""

from __future__ import annotations

from dataclasses import replace

from recipelang.planning.facts import ModelFacts, with_standard
from recipelang.planning.families import FAMILIES, Config, tensors_of
from recipelang.planning.structure import structure
from recipelang.source import fail
from recipelang.source.words import an

#: what the families call their number of layers
_NUMBER = ("num_hidden_layers", "n_layers", "n_layer", "num_layers")


def with_layers(facts: ModelFacts, keep: tuple[int, ...]) -> ModelFacts:
    """The facts of the model that is trained. E073 for a layer that it does not have."""
    if keep[-1] >= facts.layers:
        help = f"it has layers 0..{facts.layers - 1}"
        raise fail("E073", f"there is no layer {keep[-1]} to keep", help=help)
    if len(facts.stacks) > 1:
        message = f"this release does not drop layers of {an(f'`{facts.family}`')}, which has several stacks of them"
        raise fail("E055", message, help="remove the block `drop`")
    config = config_with_layers(facts.config, keep)
    if facts.family in FAMILIES:
        tensors = tuple(tensors_of(facts.family, config, facts.task))
    else:
        made = structure(facts.path, config, facts.task, None)
        tensors, config = made.facts, with_standard(config, made)
    return replace(facts, config=config, tensors=tensors)


def config_with_layers(config: Config, keep: tuple[int, ...]) -> Config:
    """A model's config with as many layers; some list what each layer is."""
    changed = {key: len(keep) for key in _NUMBER if key in config}
    kinds = config.get("layer_types")
    return {**config, **changed, **({"layer_types": [kinds[i] for i in keep]} if isinstance(kinds, list) else {})}

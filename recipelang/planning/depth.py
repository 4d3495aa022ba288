"""The layers of a model that `shrink` may remove: of one stack, or as many of an encoder and of its decoder."""

from __future__ import annotations

from recipelang.planning.dimensions import is_bias_of_heads
from recipelang.planning.facts import ModelFacts
from recipelang.planning.families import TensorFact

#: two stacks, of which the one reads the other
PAIR = ("encoder", "decoder")


def is_pair(facts: ModelFacts) -> bool:
    """Whether its stacks are an encoder and a decoder that reads it."""
    return facts.two_stacks and len(facts.stacks) == 2


def layer_stacks(facts: ModelFacts) -> dict[str, str]:
    """The paths of the layers: of the only stack, or of an encoder and its decoder."""
    if is_pair(facts):
        encoder, decoder = (next(s for s in facts.stacks if word in s.split(".")) for word in PAIR)
        return {"stack": encoder, "decoder": decoder}
    return {"stack": next(t.stack for t in facts.tensors if t.layer is not None)}


def layers_alike(facts: ModelFacts) -> bool:
    """Whether all layers of a stack have the same parameters, but for what only the first has (`first_stays`)."""
    stacks = layer_stacks(facts).values()
    each = [
        [{(_inside(t), t.shape) for t in facts.tensors if t.layer == i and t.name.startswith(f"{s}.")} for s in stacks]
        for i in range(facts.layers)
    ]
    return all(one == each[1] for one in each[2:]) and all(
        {part for part in first if not is_bias_of_heads(part[0])} == {p for p in second if not is_bias_of_heads(p[0])}
        and first >= second
        for first, second in zip(each[0], each[1], strict=True)
    )


def first_stays(facts: ModelFacts) -> bool:
    """Whether the first layer holds what all of its stack add to their attention, as T5's does."""
    of = {t.layer for t in facts.tensors if t.layer is not None and is_bias_of_heads(t.name)}
    return of == {0}


def _inside(tensor: TensorFact) -> str:
    return tensor.name.partition(f".{tensor.layer}.")[2]

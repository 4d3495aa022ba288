"""How many multiplications a forward pass takes, counted from the shapes of what it multiplies.

Run as a process of its own it makes the model of a config without weights: JSON in and JSON out, as `engine.walk`.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Mapping
from typing import Any

from recipelang.engine.answering import floats, serve


def counted(run: Callable[[], object]) -> int:
    """Multiplications, each with its addition, of matrices, convolutions and attention."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with sdpa_kernel(SDPBackend.MATH), counter:  # of the fused kernels it knows only some
        run()
    return int(counter.get_total_flops()) // 2


def inputs(model: Any, tokens: Any) -> dict[str, Any]:
    """A batch of texts as a model reads it: for multiple choice each is a question of one choice."""
    import torch

    if type(model).__name__.endswith("ForMultipleChoice"):
        tokens = tokens[:, None]
    return {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}


def of_empty(model: Any, batch: int, length: int) -> int:
    """Of a model that has no weights: all of it is on the meta device."""
    import torch

    tokens = torch.zeros((batch, length), dtype=torch.long, device="meta")
    given = inputs(model, tokens)
    with torch.inference_mode():
        try:
            return counted(lambda: model(**given))
        except RuntimeError:  # it looks at values, which are nobody's here: most look at those of one input
            return counted(lambda: model(**given | {"attention_mask": None}))


def of_config(config: Any, auto: str, embeds: bool, batch: int, length: int) -> int:
    """Of the model that an auto class of transformers makes of a config; one that `embeds` texts has no pooler."""
    import torch
    import transformers

    with torch.device("meta"):
        model = getattr(transformers, auto).from_config(config, attn_implementation="eager").eval()
    if embeds and getattr(model, "pooler", None) is not None:
        model.pooler = None
    if getattr(model.config, "use_cache", None):
        model.config.use_cache = False  # keys and values are kept for writing texts
    return of_empty(model, batch, length)


def answer(request: Mapping[str, Any]) -> dict[str, Any]:
    """`macs` of the model of a config, or why it `failed`. `request` is what `planning.macs.asked` gives."""
    import transformers

    config = floats(request["config"])
    try:
        made = transformers.CONFIG_MAPPING[config.pop("model_type")].from_dict(config)
        named = {n: request[n] for n in ("auto", "embeds", "batch", "length")}
        return {"macs": of_config(made, **named)}
    except Exception as error:  # a config may be wrong in any way, and models fail without numbers in many
        return {"failed": textwrap.shorten(str(error), 200, placeholder=" …") or type(error).__name__}


if __name__ == "__main__":
    sys.exit(serve(answer))

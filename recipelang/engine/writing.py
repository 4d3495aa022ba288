"""Texts that a model writes: for each row the most probable token again and again, until the end token or the limit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from recipelang.engine.models import quiet
from recipelang.pruning.shards import is_shard

#: stands behind the end of a text
ENDED = -1


@torch.no_grad()
def write(model: Any, batch: Mapping[str, Tensor], most: int, opening: Sequence[int] = ()) -> Tensor:
    """Tokens [items, up to `most`] that an encoder-decoder of transformers writes for the sources of a batch.

    A text begins as the decoder's input in training does, with the tokens of `opening` behind it, which are given and
    not written: they name the language. The end token and all behind it are `ENDED`. Nothing else of the folder's
    `generation_config.json` counts: no beams, no penalties, no forced tokens. A model in shards writes as many tokens
    in every process, which must all be called as often.
    """
    ends = _ends(model)
    starts = _starts(model, batch["labels"])
    stops = [] if is_shard(next(model.parameters())) else ends
    given = {}
    if opening:
        given["decoder_input_ids"] = torch.cat([starts, starts.new_tensor(opening).expand(len(starts), -1)], 1)
    with quiet(), _plainly(model, starts[:, 0].tolist(), max(1, most - len(opening)), stops) as how:
        tokens = model.generate(
            batch["input_ids"], attention_mask=batch["attention_mask"], generation_config=how, **given
        )[:, 1 + len(opening) :]
    ended = torch.isin(tokens, torch.tensor(ends, device=tokens.device)).cumsum(1) > 0
    return tokens.masked_fill(ended, ENDED)  # type: ignore[no-any-return]


def _starts(model: Any, labels: Tensor) -> Tensor:
    """The first token that the decoder reads of each row, [items, 1]; a model without a method for it has one for all."""
    if (prepare := getattr(model, "prepare_decoder_input_ids_from_labels", None)) is not None:
        return prepare(labels=labels)[:, :1]  # type: ignore[no-any-return]
    return labels.new_full((len(labels), 1), model.config.decoder_start_token_id)


def _ends(model: Any) -> list[int]:
    end = model.config.eos_token_id
    return [e for e in (end if isinstance(end, list) else [end]) if isinstance(e, int)]


@contextmanager
def _plainly(model: Any, starts: list[int], most: int, ends: list[int]) -> Iterator[Any]:
    """The settings of one call; the library fills what they leave open from the model's own, which are laid aside."""
    from transformers import GenerationConfig

    own = model.generation_config
    plain = GenerationConfig(
        do_sample=False,
        num_beams=1,
        max_new_tokens=most,
        use_cache=True,
        decoder_start_token_id=starts,
        pad_token_id=model.config.pad_token_id,
        eos_token_id=ends or None,
    )
    model.generation_config = plain
    try:
        yield plain
    finally:
        model.generation_config = own

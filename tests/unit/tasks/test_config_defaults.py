"""What a config leaves out is what transformers' own class of that type says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers
from torch import nn

from recipelang.engine.models import leave_out_unread
from recipelang.tasks.config_defaults import PADDING, TOKEN_TYPES, padding, token_types
from tests.model_heads import differing


def test_the_tables_are_those_of_transformers():
    """Of the types in them, as far as this release has them; `make models` compares every type with a head."""
    assert differing({*TOKEN_TYPES, *PADDING} & {*transformers.CONFIG_MAPPING}) == {}


def test_a_difference_is_seen(monkeypatch):
    monkeypatch.setitem(PADDING, "bert", 5)
    monkeypatch.setitem(TOKEN_TYPES, "llama", 2)
    assert differing({"bert", "llama"}) == {"bert": (0, 5), "llama": (0, 2)}


@pytest.mark.parametrize(
    ("config", "types", "pad"),
    [
        ({"model_type": "electra"}, 2, 0),
        ({"model_type": "electra", "type_vocab_size": 1, "pad_token_id": 3}, 1, 3),
        ({"model_type": "camembert", "pad_token_id": None}, 2, None),
        ({"model_type": "xlm-roberta-xl", "vocab_size": 100}, 1, 1),
        ({"model_type": "smollm3", "vocab_size": 100}, 0, None),  # a token that the model does not have
        ({"model_type": "smollm3", "vocab_size": 128256}, 0, 128004),
        ({"model_type": "gpt2"}, 0, None),
    ],
)
def test_the_config_first_then_its_type(config, types, pad):
    assert (token_types(config), padding(config)) == (types, pad)


class Takes(nn.Module):
    def __init__(self, rows: int | None) -> None:
        super().__init__()
        self.config = transformers.PretrainedConfig(**({} if rows is None else {"type_vocab_size": rows}))

    def forward(self, input_ids, token_type_ids=None):
        return token_type_ids


@pytest.mark.parametrize(("rows", "given"), [(None, False), (0, False), (1, True), (2, True)])
def test_types_are_given_to_a_model_with_a_table_of_them(rows, given):
    """GPT-2 names them and has none: it would add the embeddings of the first two words."""
    model = Takes(rows)
    leave_out_unread(model)
    ids = torch.from_numpy(np.zeros((1, 3), np.int64))
    assert (model(input_ids=ids, token_type_ids=ids, attention_mask=ids) is not None) == given

"""Models as a run loads them: without what is for writing text, whatever head they have and however many layers stay."""

from __future__ import annotations

import os

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForQuestionAnswering,
    AutoModelForTokenClassification,
)

from recipelang.engine.models import leave_out_cache, load_model
from recipelang.planning.types import ModelPlan
from recipelang.tasks import multiple_choice
from tests.conftest import make_model

IDS = torch.tensor([[3, 4, 5, 6, 7]])


@pytest.mark.parametrize("auto", [AutoModelForCausalLM, AutoModelForTokenClassification, AutoModelForQuestionAnswering])
@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_no_keys_and_values_are_kept(auto, kind):
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2}
    config = AutoConfig.for_model(kind, vocab_size=40, pad_token_id=0, intermediate_size=24, **sizes)
    torch.manual_seed(0)
    model = auto.from_config(config).eval()
    kept = []
    inner = model.base_model
    inner.register_forward_hook(lambda module, args, out: kept.append(out.past_key_values))
    before = model(input_ids=IDS)
    leave_out_cache(model)
    after = model(input_ids=IDS)
    assert kept[0] is not None and kept[1] is None
    assert all(torch.equal(before[k], after[k]) for k in after if isinstance(after[k], torch.Tensor))
    if auto is AutoModelForCausalLM:
        assert model(input_ids=IDS, use_cache=True).past_key_values is not None
    assert model.config.use_cache


def test_a_question_with_fewer_choices_counts_alone_when_layers_are_dropped(tmp_path):
    """The rows of choices that it lacks are left out by the model, of as many layers as remain."""
    folder = make_model(tmp_path / "m")
    plan = ModelPlan(ref="m", path=str(folder), task="multiple_choice")
    model = load_model(folder, plan, seed=0, keep={"": (0,)}).eval()
    asked = [
        multiple_choice.Example("gold of", ("peru", "the", "of"), 2),
        multiple_choice.Example("gold", ("of", "peru the gold"), 1),
    ]
    reader = multiple_choice.TASK.load_tokenizer(folder)
    features = multiple_choice.featurize(asked, reader, 16, 0)
    batch = {k: torch.from_numpy(v) for k, v in features.batch([0, 1]).items() if k != "labels"}
    alone = {k: torch.from_numpy(v) for k, v in features.batch([1]).items() if k != "labels"}
    with torch.no_grad():
        both, one = model(**batch).logits, model(**alone).logits
    assert both[1, 2] == -torch.inf
    assert torch.allclose(both[1, :2], one[0, :2], atol=1e-6)


def test_every_process_has_every_weight_whatever_a_launcher_asks_of_its_own_wrapper(tmp_path, monkeypatch):
    """As the second process that `accelerate launch --use_fsdp` starts: a new head would have no memory there."""
    folder = make_model(tmp_path / "m")
    plan = ModelPlan(ref="m", path=str(folder), task="multiple_choice")
    alone = load_model(folder, plan, seed=0).state_dict()
    monkeypatch.setattr("transformers.distributed.fsdp._is_torch_distributed_initialized", lambda: True)
    monkeypatch.setattr("transformers.modeling_utils.is_local_dist_rank_0", lambda: False)
    for name in ("ACCELERATE_USE_FSDP", "FSDP_CPU_RAM_EFFICIENT_LOADING"):
        monkeypatch.setenv(name, "true")
    second = load_model(folder, plan, seed=0).state_dict()
    assert all(torch.equal(weight, second[name]) for name, weight in alone.items())
    assert os.environ["FSDP_CPU_RAM_EFFICIENT_LOADING"] == "true"

"""All that belongs to a model reaches the output; weights, code and pickles beside it do not."""

import json

import pytest
import torch
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM

from recipelang.engine.export import move_up, save_model
from recipelang.engine.models import load_model
from recipelang.planning.belongings import belongings
from recipelang.planning.types import ModelPlan
from tests.model_folders import make_folder

KEPT = [
    "tokenizer.json", "tokenizer_config.json", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model",
    "special_tokens_map.json", "added_tokens.json", "vocab.txt", "vocab.json", "merges.txt", "chat_template.jinja",
    "chat_template.json", "qwen.tiktoken", "preprocessor_config.json", "processor_config.json", "LICENSE",
    "LICENSE.txt", "NOTICE", "USE_POLICY.md", "additional_chat_templates/tool_use.jinja",
]  # fmt: skip
LEFT = [
    "tokenizer.pkl", "tokenizer.py", "vocab.bin", "pytorch_model.bin", "training_args.bin", "modeling_x.py",
    "model.safetensors.index.json", "run.json", "README.md", "trainer_state.json", "optimizer.pt",
]  # fmt: skip


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    size = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=9, **size))


@pytest.fixture
def source(tmp_path):
    for name in (*KEPT, *LEFT):
        (tmp_path / "m" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "m" / name).write_text(f"this is {name}")
    return tmp_path / "m"


def test_files_are_copied_as_they_are(tmp_path, source, model):
    assert belongings(source, "causal_lm") == sorted(KEPT)
    save_model(model, tmp_path / "out", source, 10**9, {"format": "pt"}, "causal_lm")
    for name in KEPT:
        assert (tmp_path / "out" / name).read_text() == f"this is {name}"
    assert not [name for name in LEFT if (tmp_path / "out" / name).exists()]
    assert torch.equal(load_file(tmp_path / "out" / "model.safetensors")["lm_head.weight"], model.lm_head.weight)


def test_files_of_sentence_transformers_belong_to_models_of_embeddings(source):
    own = ["1_Pooling/config.json", "config_sentence_transformers.json", "modules.json", "sentence_bert_config.json"]
    for name in (*own, "1_Pooling/model.py", "1_Pooling/weights.bin", "2_Dense/config.json"):
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_text("{}")
    assert belongings(source, "causal_lm") == sorted(KEPT)
    assert belongings(source, "sentence_similarity") == sorted([*KEPT, *own])


def test_settings_of_generation_are_kept_even_where_the_library_would_not_write_them(tmp_path, source, model):
    text = json.dumps({"do_sample": False, "temperature": 0.6, "top_p": 0.9})
    (source / "generation_config.json").write_text(text)
    before = model.generation_config
    model.generation_config.do_sample, model.generation_config.temperature = False, 0.6
    save_model(model, tmp_path / "out", source, 10**9, {"format": "pt"}, "causal_lm")
    assert (tmp_path / "out" / "generation_config.json").read_text() == text
    assert model.generation_config is before


def test_what_is_no_file_is_passed_over(source):
    import os

    os.mkfifo(source / "license.md")
    assert "license.md" not in belongings(source, "causal_lm")


def test_folder_of_templates_replaces_one_of_an_attempt_before(tmp_path, source, model):
    (tmp_path / "out" / "additional_chat_templates").mkdir(parents=True)
    (tmp_path / "out" / "additional_chat_templates" / "old.jinja").write_text("old")
    save_model(model, tmp_path / "out" / "export", source, 10**9, {"format": "pt"}, "causal_lm")
    move_up(tmp_path / "out" / "export", tmp_path / "out")
    assert [p.name for p in (tmp_path / "out" / "additional_chat_templates").iterdir()] == ["tool_use.jinja"]


def test_what_a_model_shows_beside_its_outputs_is_no_part_of_it(tmp_path):
    """A config may ask for attention maps; transformers refuses to write it for the fast attention, which keeps none."""
    asked = {"output_attentions": True, "output_hidden_states": True, "return_dict": False}
    folder = make_folder(tmp_path / "m", "llama", "causal_lm", **asked)
    model = load_model(folder, ModelPlan(ref="m", path=str(folder), task="causal_lm"), 0)
    save_model(model, tmp_path / "out", folder, 10**9, {"format": "pt"}, "causal_lm")
    assert not json.loads((tmp_path / "out" / "config.json").read_text()).get("output_attentions")

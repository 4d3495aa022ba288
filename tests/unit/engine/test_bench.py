"""Models of folders side by side: what is counted, what is loaded, what is refused."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

import recipelang
from recipelang.engine.models import load_whole
from tests.conftest import make_model
from tests.decoders import make_decoder


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("bench")
    make_model(root / "dense", hidden=32, intermediate=256)
    make_model(root / "half", hidden=32, intermediate=128)
    weights = load_file(root / "half" / "model.safetensors")
    weights["bert.encoder.layer.0.intermediate.dense.weight"].zero_()
    save_file(weights, root / "half" / "model.safetensors", {"format": "pt"})
    return root


def codes(*folders, **more):
    with pytest.raises(recipelang.RecipeError) as refused:
        recipelang.bench(*folders, **more)
    return [d.code for d in refused.value.diagnostics]


def test_sizes_and_multiplications_are_those_of_the_shapes(folders):
    threads = torch.get_num_threads()
    found = recipelang.bench(folders / "dense", folders / "half", batch=2, length=16, rounds=6)
    dense, half = found.models
    assert dense.parameters - half.parameters == 2 * (2 * 32 * 128 + 128)  # two layers, in and out, and the bias
    assert half.nonzero <= half.parameters - 32 * 128
    tokens, layers = 2 * 16, 2
    attention = tokens * (4 * 32 * 32 + 2 * 16 * 32)
    assert dense.macs == layers * (attention + tokens * 2 * 32 * 256) + tokens * 32 * 2
    assert dense.macs - half.macs == layers * tokens * 2 * 32 * 128
    assert dense.bytes == (folders / "dense" / "model.safetensors").stat().st_size
    assert dense.speedup.median == 1.0 and len(half.seconds) == 6
    assert torch.get_num_threads() == threads and torch.is_grad_enabled()
    assert json.loads(json.dumps(found.as_json()))["models"][1]["speedup"]["median"] == half.speedup.median
    assert "95 % interval" in str(found) and "<table>" in found._repr_html_()
    assert "1.00x" in repr(found)


def test_the_table_fits_a_narrow_screen(folders, tmp_path):
    from recipelang.report.cleaned import plain
    from recipelang.report.speed import shown

    found = recipelang.bench(folders / "dense", make_decoder(tmp_path / "decoder"), length=16, rounds=6)
    text = plain(shown(found), 80)
    assert max(map(len, text.splitlines())) <= 80
    assert "different classes: BertForQuestionAnswering, LlamaForCausalLM." in text.replace("\n", " ")


def test_grouped_heads_are_counted_as_they_are_computed(tmp_path):
    (model,) = recipelang.bench(make_decoder(tmp_path), length=8, rounds=6).models
    rows = json.loads((tmp_path / "config.json").read_text("utf-8"))["vocab_size"]
    layer = 8 * (2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 48) + 2 * 8 * 8 * 32
    assert model.macs == 3 * layer + 8 * 32 * rows


def test_random_states_are_left_alone(folders):
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    recipelang.bench(folders / "dense", length=4, rounds=6)
    assert torch.equal(before, torch.random.get_rng_state())


def test_tokens_are_of_the_smallest_vocabulary(folders, tmp_path):
    more = make_model(tmp_path / "more", words=40)
    assert recipelang.bench(more, folders / "half", length=4, rounds=6).vocabulary == 24


def test_embeddings_are_loaded_without_the_pooler_that_their_weights_lack(folders, tmp_path):
    from transformers import BertModel

    model = BertModel.from_pretrained(folders / "dense", add_pooling_layer=False)
    model.save_pretrained(tmp_path)
    loaded, missing = load_whole(tmp_path)
    assert missing == [] and loaded.pooler is None


def test_no_code_of_a_folder_is_run(folders, tmp_path):
    folder = make_model(tmp_path / "own")
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config |= {"auto_map": {"AutoModel": "own.Model", "AutoConfig": "own.Config"}, "architectures": ["BertModel"]}
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    (folder / "own.py").write_text("raise SystemExit('run')", "utf-8")
    assert type(load_whole(folder)[0]).__name__ == "BertModel"


def test_what_cannot_be_measured_is_refused(folders, tmp_path):
    assert codes(tmp_path / "nothing") == ["E076"]
    assert codes(tmp_path) == ["E076"]
    assert codes() == ["E076"]
    assert codes(folders / "dense", length=65) == ["E188"]
    for wrong in ({"rounds": 5}, {"batch": 0}, {"length": 1.5}, {"threads": True}, {"runtime": "x"}):
        assert codes(folders / "dense", **wrong) == ["E038"]


def test_a_model_that_fails_on_random_tokens_is_refused_with_its_reason(folders, monkeypatch):
    def fails(self, **named):
        raise ValueError("no")

    monkeypatch.setattr("transformers.BertForQuestionAnswering.forward", fails)
    assert codes(folders / "dense") == ["E247"]

"""A model in other formats: written, compared, evaluated, recorded and verified."""

import gc
import json
import os
import shutil
import signal

import pytest
import torch
from safetensors.torch import load_file

import recipelang
from recipelang.engine import exporting
from recipelang.engine.exporting import TOLERANCE, check_exports, write_exports
from recipelang.engine.leavings import files_of_a_run
from recipelang.engine.models import load_whole
from recipelang.engine.records import read_plan
from recipelang.engine.runtimes import largest_difference, open_exported
from recipelang.kinds.formats import FORMATS
from recipelang.planning.types import ExportPlan
from tests.cli.command import command
from tests.conftest import make_data, make_model
from tests.decoders import make_decoder
from tests.pretended_export import pretend_export

TEXT = """recipe 1 "tiny"
model { base = "model", task = question_answering }
data { train = "train.json", validation = "dev.json", max_length = 32 tokens, stride = 8 tokens }
stage sparse {
  mode = one_shot
  prune weights { targets = @linear & @encoder, never = @embeddings | @head, method = magnitude, sparsity = 50% }
}
evaluate dev { metrics = [f1, exact_match] }
export { formats = [safetensors, onnx, openvino], quantize = int8 }
expect dev.onnx.f1 >= dev.f1 - 0.1%
expect dev.openvino.f1 >= dev.f1 - 0.1%
prefer dev.onnx_int8.f1 >= 0.9 * dev.f1
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The folder of a run whose export is real."""
    root = tmp_path_factory.mktemp("formats")
    make_model(root / "model", labels=2)
    make_data(root / "train.json", 8)
    make_data(root / "dev.json", 12, seed=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        assert recipelang.run(TEXT, "out").failed is False
    return root


def folder_of(ran, tmp_path):
    return shutil.copytree(ran / "out", tmp_path / "out")


def test_a_run_writes_evaluates_and_records_another_format(ran):
    record = json.loads((ran / "out" / "run.json").read_text("utf-8"))
    metrics = record["metrics"]
    assert list(record["exports"]) == ["onnx", "onnx_int8", "openvino"]
    for name, told in record["exports"].items():
        assert f"dev.{name}.exact_match" in metrics
        assert told["bytes"] == sum((ran / "out" / n).stat().st_size for n in FORMATS[name].files)
        assert 0 <= told["largest_difference"] < (1e-4 if name != "onnx_int8" else 0.1)
        assert f"{FORMATS[name].runtime}'s outputs" in (ran / "out" / "README.md").read_text("utf-8")
    assert [metrics[f"dev.{n}.f1"] for n in ("onnx", "openvino")] == [pytest.approx(metrics["dev.f1"])] * 2
    assert [c["met"] for c in record["claims"][:2]] == [True, True]


def test_a_zero_of_the_weights_is_a_zero_of_the_export(ran):
    import onnx
    from onnx import numpy_helper

    name = "bert.encoder.layer.0.output.dense.weight"
    weight = load_whole(ran / "out")[0].get_parameter(name).detach()
    made = onnx.load(str(ran / "out" / "onnx" / "model.onnx"))
    alike = [numpy_helper.to_array(t) for t in made.graph.initializer if sorted(t.dims) == sorted(weight.shape)]
    zeros = int((weight == 0).sum())
    assert zeros == weight.numel() // 2
    assert any(int((a == 0).sum()) == zeros and abs(a).sum() == pytest.approx(float(weight.abs().sum())) for a in alike)
    made = onnx.load(str(ran / "out" / FORMATS["onnx_int8"].file))
    whole = [numpy_helper.to_array(t) for t in made.graph.initializer if t.data_type == onnx.TensorProto.INT8]
    assert sum(int((a == 0).sum()) == zeros and sorted(a.shape) == sorted(weight.shape) for a in whole) == 4
    assert not any(a.any() for a in whole if a.ndim < 2)  # of weights the zero points: zero stays zero


@pytest.mark.parametrize("name", ["onnx", "openvino"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (3, 17)])
def test_any_number_of_texts_of_any_length_gives_what_pytorch_gives(ran, shape, name):
    tokens = torch.arange(shape[0] * shape[1]).reshape(shape) % 24
    mask = torch.ones_like(tokens)
    mask[-1, shape[1] // 2 + 1 :] = 0
    batch = {"input_ids": tokens, "attention_mask": mask, "token_type_ids": tokens % 2}
    with torch.no_grad():
        wanted = load_whole(ran / "out")[0](**batch)
    assert largest_difference(wanted, open_exported(ran / "out", name, 1)(**batch))[1] < TOLERANCE


@pytest.mark.parametrize("name", [n for n, f in FORMATS.items() if f.timed])
def test_files_of_a_run_are_measured_in_their_runtime(ran, name):
    found = recipelang.bench(ran / "out", ran / "out", length=16, rounds=6, runtime=name)
    assert [m.bytes for m in found.models] == [sum((ran / "out" / n).stat().st_size for n in FORMATS[name].files)] * 2
    assert found.versions.keys() == {"torch", "transformers", FORMATS[name].packages[-1]}
    assert FORMATS[name].runtime in str(found)


def test_a_model_without_such_a_file_is_exported_for_the_measurement(ran, monkeypatch):
    pretend_export(monkeypatch)
    (model,) = recipelang.bench(ran / "model", length=16, rounds=6, runtime="onnx").models
    assert 0 < model.bytes < 2_000
    assert not (ran / "model" / "onnx").exists()


def test_a_run_with_another_format_is_verified_and_evaluated_again(ran, monkeypatch):
    monkeypatch.chdir(ran)
    ended = command("verify", "out", "--evaluate")
    assert (ended.code, ended.codes) == (0, [])
    assert "dev.onnx.f1" in ended.out.replace("\n", " ")


@pytest.mark.parametrize(
    ("exports", "gone", "message"),
    [
        (None, (), "differ in exported formats"),
        ({"onnx": {"error": "it failed"}}, (), "lists files of the format `onnx`"),
        ({"openvino": {"bytes": 1}}, (), "do not have the recorded size"),
        ({}, ("onnx/model.onnx",), "lists no files of the format `onnx`"),
    ],
)
def test_a_record_that_tells_of_other_exports_is_refused(ran, exports, gone, message):
    from recipelang.provenance.exported import written

    plan, told = read_plan(ran / "out"), json.loads((ran / "out" / "run.json").read_text("utf-8"))["exports"]
    said = json.loads((ran / "out" / "recipe" / "statement.json").read_text("utf-8"))["predicate"]["files"]
    files = {n: d for n, d in said.items() if not n.startswith(gone or "-")}
    with pytest.raises(recipelang.RecipeError, match=message):
        written(ran / "out", {"exports": {} if exports is None else {**told, **exports}}, files, plan)


def test_an_export_that_fails_at_the_end_leaves_no_files_and_fails_nothing(ran, tmp_path, monkeypatch):
    def refuse(model, name, weights=True):
        raise NotImplementedError("no such operator")

    out = folder_of(ran, tmp_path)
    monkeypatch.setattr(exporting, "_exported", refuse)
    done, found = write_exports(read_plan(out), out, None)
    assert [w.told() for w in done.values()] == [{"error": "no such operator"}] * 3
    assert [d.code for d in found] == ["W207"] * 2 and not (out / "onnx").exists()
    with pytest.raises(recipelang.RecipeError) as refused:
        monkeypatch.chdir(ran)
        check_exports(read_plan(out))
    assert [d.code for d in refused.value.diagnostics] == ["E249"]


def test_an_export_that_computes_something_else_is_told(ran, tmp_path, monkeypatch):
    out = folder_of(ran, tmp_path)
    pretend_export(monkeypatch)
    plan = read_plan(out)
    plan = plan.model_copy(update={"export": ExportPlan(formats=("safetensors", "onnx"))})
    done, found = write_exports(plan, out, None)
    assert [d.code for d in found] == ["W206"] and done["onnx"].largest_difference > 0.5


@pytest.mark.parametrize("name", ["onnx", "openvino"])
@pytest.mark.parametrize("content", [b"", b"\0" * 64, b"not a model"])
def test_a_file_that_the_runtime_does_not_take_is_one_coded_error(tmp_path, content, name):
    (tmp_path / name).mkdir()
    (tmp_path / FORMATS[name].file).write_bytes(content)
    with pytest.raises(recipelang.RecipeError) as refused:
        open_exported(tmp_path, name, 1)
    assert [d.code for d in refused.value.diagnostics] == ["E076"]


def test_a_decoder_is_exported_without_its_cache(tmp_path):
    folder = make_decoder(tmp_path / "model", layers=1)
    model, _ = load_whole(folder, torch.float32)
    (tmp_path / "onnx").mkdir()
    exporting._exported(model, "onnx", weights=False).save_pretrained(tmp_path / "onnx")
    tokens = torch.arange(15).reshape(3, 5)
    batch = {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}
    with torch.no_grad():
        wanted = {"logits": model(**batch).logits}
    exported = open_exported(tmp_path, "onnx", 1)
    assert sorted(exported.reads) == ["attention_mask", "input_ids"]
    assert largest_difference(wanted, exported(**batch))[1] < TOLERANCE


def test_choices_are_exported(tmp_path):
    from transformers import BertConfig, BertForMultipleChoice

    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    model = BertForMultipleChoice(BertConfig(vocab_size=24, **small)).eval()
    (tmp_path / "onnx").mkdir()
    exporting._exported(model, "onnx", weights=False).save_pretrained(tmp_path / "onnx")
    tokens = torch.arange(3 * 4 * 5).reshape(3, 4, 5) % 24
    batch = {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}
    with torch.no_grad():
        wanted = model(**batch)
    assert largest_difference(wanted, open_exported(tmp_path, "onnx", 1)(**batch))[1] < TOLERANCE


COMPRESSED = """recipe 1 "tiny"
model { base = "model", task = causal_lm }
data { train = "train.txt", validation = "dev.txt", max_length = 16 tokens }
stage sparse {
  mode = one_shot
  prune weights { targets = @linear & @decoder, never = @embeddings | @head, method = magnitude, sparsity = 50% }
}
evaluate dev { metrics = [perplexity] }
export { formats = [safetensors, compressed_tensors], quantize = int8 }
expect dev.compressed_tensors.perplexity <= 1.1 * dev.perplexity
"""


@pytest.fixture(scope="module")
def compressed(tmp_path_factory):
    """The folder of a run whose decoder was compressed too."""
    root = tmp_path_factory.mktemp("compressed")
    make_decoder(root / "model", layers=1)
    (root / "model" / "LICENSE").write_text("of the model\n", "utf-8")
    for name in ("train.txt", "dev.txt"):
        (root / name).write_text("the capital of france is paris . " * 40, "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        assert recipelang.run(COMPRESSED, "out").failed is False
    return root


def test_a_decoder_is_compressed_as_vllm_reads_it(compressed, capfd):
    from transformers import AutoModelForCausalLM

    out = compressed / "out"
    ours, _ = load_whole(out)
    theirs = AutoModelForCausalLM.from_pretrained(out / "compressed_tensors", local_files_only=True).eval()
    tokens = torch.arange(15).reshape(3, 5)
    with torch.no_grad():
        wanted, found = ours(input_ids=tokens).logits, theirs(input_ids=tokens).logits
        again = open_exported(out, "compressed_tensors", 1)(input_ids=tokens).logits
    assert torch.equal(again, found) and 0 < (wanted - found).abs().max() < 0.05 * wanted.abs().max()
    written = load_file(out / "compressed_tensors" / "model.safetensors")
    name = "model.layers.0.mlp.down_proj.weight"
    assert written[name].dtype == torch.int8 and written["lm_head.weight"].dtype == torch.float32
    assert not written[name][ours.get_parameter(name) == 0].any()
    told = json.loads((out / "run.json").read_text("utf-8"))["exports"]["compressed_tensors"]
    assert told["largest_difference"] > 0 and told["bytes"] > 0
    assert (out / "compressed_tensors" / "tokenizer.json").read_bytes() == (out / "tokenizer.json").read_bytes()


def test_a_run_with_a_compressed_model_is_verified_and_may_be_replaced(compressed, monkeypatch):
    monkeypatch.chdir(compressed)
    ended = command("verify", "out", "--evaluate")
    assert (ended.code, ended.codes) == (0, [])
    assert "compressed_tensors/LICENSE" in files_of_a_run(compressed / "out")[0]
    assert files_of_a_run(compressed / "out")[1] == []


@pytest.mark.parametrize(
    "change",
    [
        {"quant_method": "gptq"},
        {"ignore": ["re:(a+)+$"]},
        {"config_groups": {}},
        {"config_groups": {"group_0": {"targets": ["re:.*"]}}},
        None,
    ],
)
def test_a_compressed_folder_with_other_settings_is_not_read(compressed, tmp_path, change):
    out = shutil.copytree(compressed / "out", tmp_path / "out")
    path = out / "compressed_tensors" / "config.json"
    config = json.loads(path.read_text("utf-8"))
    settings = config.pop("quantization_config")
    path.write_text(json.dumps(config | ({} if change is None else {"quantization_config": settings | change})))
    with pytest.raises(recipelang.RecipeError) as refused:
        open_exported(out, "compressed_tensors", 1)
    assert [d.code for d in refused.value.diagnostics] == ["E076"]


@pytest.mark.skipif(os.name != "posix", reason="signals have no stack of their own here")
def test_a_signal_is_heard_while_and_after_models_of_openvino_are_there(ran):
    """Two of them, the first gone first."""
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        models = [open_exported(ran / "out", "openvino", 1) for _ in range(2)]
        os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(2):
            models.pop(0)
            gc.collect()
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [signal.SIGTERM] * 3

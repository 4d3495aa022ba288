"""Configs and folders that lie, of a type that is in no table: bounded time, no code, a coded error that says what to do."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file

from recipelang.engine.models import check_models
from recipelang.engine.walk import _parts_at_most
from recipelang.planning import structure as structures
from recipelang.planning.facts import read_model_facts
from recipelang.planning.remembered import _checksum, cache_folder
from recipelang.source import RecipeError
from tests.model_configs import walk_here
from tests.unit.planning.test_structure import ask, copied, make, refused

BILLION = 10**9


@pytest.fixture(autouse=True)
def here(monkeypatch):
    walk_here(monkeypatch)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    made: dict[str, Path] = {}

    def folder(kind: str) -> Path:
        if kind not in made:
            made[kind] = make(tmp_path_factory.mktemp(kind) / "model", kind)
        return made[kind]

    return folder


@pytest.mark.parametrize(
    ("kind", "fields", "said"),
    [
        ("gpt2", {"n_layer": BILLION}, "E179 `n_layer` in config.json must be at most 10,000"),
        ("gpt2", {"n_layer": 10_000}, "the config asks for more layers or experts than the files of weights can fill"),
        ("gpt2", {"n_layer": -1}, "E184"),
        ("gpt2", {"num_labels": BILLION}, "E179 `num_labels` in config.json must be a whole number from 1 to 1,000,000"),
        ("gpt2", {"vocab_size": 10**18}, "E179 `vocab_size`"),
        ("qwen3", {"num_hidden_layers": BILLION, "layer_types": None}, "E179 `num_hidden_layers`"),
        ("qwen3", {"text_config": {"num_hidden_layers": BILLION}}, "E179 `num_hidden_layers`"),
        ("mixtral", {"num_local_experts": BILLION}, "E179 `num_local_experts`"),
        ("mixtral", {"experts_implementation": "deepgemm"}, "E179 `experts_implementation` in config.json must be `eager`"),
        ("mixtral", {"_attn_implementation": "kernels-community/flash-attn"}, "E179 `_attn_implementation`"),
        ("qwen3", {"rope_scaling": {"rope_type": "nonsense", "factor": 2}}, "transformers knows no 'nonsense'"),
        ("qwen3", {"rope_scaling": "nonsense"}, "E076 transformers cannot make a `qwen3` of this config"),
        ("qwen3", {"hidden_act": "os.system"}, "transformers knows no 'os.system'"),
        ("qwen3", {"text_config": {"auto_map": {"AutoConfig": "evil.Evil"}}}, "E076 transformers cannot make a `qwen3`"),
        ("gpt2", {"model_type": "vit"}, "E073 `vit` has no head for causal_lm\nit has no head for any task here"),
        ("gpt2", {"model_type": "llava", "text_config": {"num_layers": BILLION}}, "E179 `num_layers`"),
    ],
)  # fmt: skip
def test_a_config_that_lies_is_refused_in_little_time(kind, fields, said, folders, tmp_path):
    (tmp_path / "evil.py").write_text("raise SystemExit('was run')")
    assert said in refused(copied(folders(kind), tmp_path / "model", **fields))


def test_a_model_of_pictures_has_no_head_for_texts(folders, tmp_path):
    said = refused(copied(folders("gpt2"), tmp_path / "model", model_type="vit"), "sentence_similarity")
    assert "E073 `vit` has no head for sentence_similarity" in said


def test_modules_are_counted_only_while_a_model_is_made():
    with pytest.raises(ValueError, match="more layers or experts"), _parts_at_most(3):
        torch.nn.Sequential(*(torch.nn.ReLU() for _ in range(4)))
    torch.nn.Sequential(*(torch.nn.ReLU() for _ in range(4)))


def test_a_process_that_used_up_its_time_is_said_to(folders, tmp_path, monkeypatch):
    signal = pytest.importorskip("signal", reason="systems without limits of time")
    monkeypatch.setattr(structures, "_ask", ask)
    done = subprocess.CompletedProcess([], -signal.SIGXCPU, stdout="", stderr="")
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: done)
    said = refused(copied(folders("gpt2"), tmp_path / "model", n_head=1))
    assert "making the model took more time than any model needs" in said


def test_a_remembered_structure_is_believed_with_its_checksum_only_and_a_run_refuses_a_wrong_one(folders, tmp_path):
    name = "transformer.h.1.mlp.c_fc.weight"
    folder = copied(folders("gpt2"), tmp_path / "model", layer_norm_epsilon=1e-4)  # of which nobody has asked
    before = set(cache_folder().glob("structures/*"))
    facts = read_model_facts(folder, "causal_lm")
    (note,) = set(cache_folder().glob("structures/*")) - before
    held = json.loads(note.read_text("utf-8"))

    def changed(value: object, checked: bool):
        sha = _checksum(held["key"], value) if checked else held["sha256"]
        note.write_text(json.dumps(held | {"value": value, "sha256": sha}), "utf-8")
        return read_model_facts(folder, "causal_lm")

    narrow = json.loads(json.dumps(held["value"]))
    next(t for t in narrow["tensors"] if t["name"] == name)["shape"] = [32, 47]
    assert changed(narrow, False) == facts  # looked at anew
    elsewhere = json.loads(json.dumps(held["value"]).replace(name, "transformer.h.1.mlp.other.weight"))
    assert changed(elsewhere, True) == facts  # of tensors that the files do not hold
    assert {t.name: t.stored_shape for t in changed(narrow, True).tensors}[name] == (32, 47)
    given = {"attention": None, "labels": (), "fresh_head": False, "dropout": None, "attention_dropout": None}
    plan = SimpleNamespace(model=SimpleNamespace(path=str(folder), task="causal_lm", **given), stages=())
    with pytest.raises(RecipeError, match="E191") as error:
        check_models(plan)  # type: ignore[arg-type]
    assert any(name in note for note in error.value.diagnostics[0].notes)


def test_folders_without_safetensors_say_what_to_save(folders, tmp_path):
    for name in ("pytorch_model.bin", "model.onnx", "model.gguf", "model-q4.gguf"):
        folder = tmp_path / name
        folder.mkdir()
        shutil.copy(folders("gpt2") / "config.json", folder)
        (folder / name).write_bytes(b"\x80\x04not to be read")
        said = refused(folder)
        assert said.startswith("E076") and "safetensors" in said and name in said, said


def test_an_adapter_and_shards_of_a_walked_type(folders, tmp_path):
    adapter = copied(folders("gpt2"), tmp_path / "adapter")
    (adapter / "adapter_config.json").write_text("{}")
    assert "E190" in refused(adapter) and "merge_and_unload" in refused(adapter)
    sharded = copied(folders("gpt2"), tmp_path / "shards")
    held = load_file(sharded / "model.safetensors")
    (sharded / "model.safetensors").unlink()
    half = len(held) // 2
    files = {f"model-0000{i + 1}-of-00002.safetensors": dict(part) for i, part in
             enumerate((list(held.items())[:half], list(held.items())[half:]))}  # fmt: skip
    for file, part in files.items():
        save_file(part, sharded / file, {"format": "pt"})
    index = {"metadata": {}, "weight_map": {n: file for file, part in files.items() for n in part}}
    (sharded / "model.safetensors.index.json").write_text(json.dumps(index))
    whole, parts = (read_model_facts(f, "causal_lm") for f in (folders("gpt2"), sharded))
    assert parts.tensors == whole.tensors and parts.stored == whole.stored

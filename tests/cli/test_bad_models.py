"""Model folders that cannot be used: said by `plan`, before anything runs, at the line that names the model."""

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from ..model_configs import walk_here
from .command import command, files

SAFETENSORS = "model.safetensors"


def refused(code: str, *said: str, name: str = "plan", at: str = "tiny.recipe:8:") -> None:
    """The model is refused with this code, by `plan` and before a `run` has made its folder."""
    for arguments in ([name, "tiny.recipe"], ["run", "tiny.recipe", "-o", "out"]):
        ended = command(*arguments)
        assert (ended.code, ended.codes) == (1, [code])
        assert at in ended.err
        for text in said:
            assert text in ended.err
    assert not Path("out").exists()


@pytest.fixture
def model(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    walk_here(monkeypatch)
    return project / "model"


def config(model: Path, **changes: object) -> None:
    values = json.loads((model / "config.json").read_text("utf-8")) | changes
    (model / "config.json").write_text(json.dumps({k: v for k, v in values.items() if v is not None}), "utf-8")


def header(model: Path, change: Callable[[dict, list[str]], object]) -> None:  # type: ignore[type-arg]
    """Write the weights again with a changed header; `change` gets it and the names in it."""
    data = (model / SAFETENSORS).read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    entries = json.loads(data[8 : 8 + length])
    change(entries, [n for n in entries if n != "__metadata__"])
    text = json.dumps(entries).encode()
    (model / SAFETENSORS).write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])


def test_sound_model_is_planned(model):
    assert command("plan", "tiny.recipe").code == 0


def test_missing_folder(model):
    shutil.rmtree(model)
    refused("E076", "there is no model folder")
    model.write_text("not a folder", "utf-8")
    refused("E076", "there is no model folder")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{nope", "is not JSON"),
        (b"\xff\xfe", "is not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[1]", "is not a JSON object"),
        (b"{}", "has no `model_type`"),
    ],
)
def test_config_that_is_no_config(model, content, said):
    (model / "config.json").write_bytes(content)
    refused("E076", said)


def test_config_that_is_missing_or_a_folder(model):
    (model / "config.json").unlink()
    refused("E076", "holds no config.json", "it holds model.safetensors, tokenizer.json")
    (model / "config.json").mkdir()
    refused("E076", "is a folder")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model_type": "mamber"}, "the installed transformers has no models of type `mamber`"),
        ({"model_type": ["bert"]}, "is not a string"),
        ({"hidden_size": None}, "lacks `hidden_size`"),
        ({"hidden_size": 48}, "has shape (24, 32), the config says (24, 48)"),
        ({"num_hidden_layers": 3}, "the weights lack `bert.encoder.layer.2."),
        ({"num_hidden_layers": 1}, "more layers than the 1 of config.json"),
    ],
)
def test_config_that_does_not_fit_the_weights(model, changes, said):
    config(model, **changes)
    refused("E076", said)


def test_config_that_names_an_attention_of_its_own_is_refused_before_anything_is_written(model):
    config(model, attn_implementation="nope")
    ended = command("run", "tiny.recipe", "-o", "out")
    assert (ended.code, ended.codes) == (1, ["E179"])
    assert not Path("out").exists()


def test_no_weights_and_pickles_only(model):
    (model / SAFETENSORS).unlink()
    refused("E076", "holds no safetensors weights", "it holds config.json")
    (model / "pytorch_model.bin").write_bytes(b"\x80\x04")
    refused("E076", "holds only pickled weights", "save_pretrained")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda d: d[:-100], "does not describe what the file holds"),
        (lambda d: d[:4], "the file has 4"),
        (lambda d: b"", "the file has 0"),
        (lambda d: struct.pack("<Q", 2**63) + d[8:], "the header should have 9,223,372,036,854,775,808 bytes"),
        (lambda d: struct.pack("<Q", 100) + d[8:], "the header: it is not"),
        (lambda d: d[:8] + b"x" * (len(d) - 8), "the header: it is not"),
        (lambda d: d + b"more", "does not describe what the file holds"),
    ],
)
def test_damaged_weights(model, damage, said):
    data = (model / SAFETENSORS).read_bytes()
    (model / SAFETENSORS).write_bytes(damage(data))
    refused("E076", "`model.safetensors` is damaged", said, "copy or download it again")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda h, n: h[n[0]].update(data_offsets=h[n[3]]["data_offsets"], shape=h[n[3]]["shape"]),
            "does not describe what the file holds",
        ),
        (lambda h, n: h.pop(n[1]), "does not describe what the file holds"),
        (lambda h, n: h[n[0]].update(shape=[9]), "does not describe what the file holds"),
        (lambda h, n: h[n[0]].update(data_offsets=["a", "b"]), "does not describe what the file holds"),
        (lambda h, n: h[n[0]].update(data_offsets=[0, 10**12]), "does not describe what the file holds"),
        (lambda h, n: h[n[0]].update(dtype=["F32"]), "does not describe what the file holds"),
        (lambda h, n: h.update({n[0]: 7}), "does not describe what the file holds"),
        (lambda h, n: h[n[0]].pop("shape"), "does not describe what the file holds"),
    ],
)
def test_header_that_lies(model, change, said):
    header(model, change)
    refused("E076", "`model.safetensors` is damaged", said)


@pytest.mark.parametrize(
    ("index", "said"),
    [
        ("nope", "it is not JSON"),
        ("[]", "input should be an object"),
        ("{}", "`weight_map`: field required"),
        ('{"weight_map": []}', "`weight_map`: input should be an object"),
        ('{"weight_map": {"a": ["x"]}}', "`weight_map.a`: input should be a valid string"),
        ('{"weight_map": {"a": 3}}', "`weight_map.a`: input should be a valid string"),
        ('{"weight_map": {"a": "1.safetensors"}}', "the index names `1.safetensors`, which does not exist"),
        ('{"weight_map": {"a": "../model/config.json"}}', "which does not exist"),
    ],
)
def test_bad_index_of_shards(model, index, said):
    (model / SAFETENSORS).unlink()
    (model / "model.safetensors.index.json").write_text(index, "utf-8")
    refused("E076", "`model.safetensors.index.json` is damaged", said)


def test_index_that_names_another_file(model):
    from safetensors.numpy import load_file, save_file

    tensors = load_file(model / SAFETENSORS)
    (model / SAFETENSORS).unlink()
    first, *others = sorted(tensors)
    save_file({first: tensors[first]}, model / "1.safetensors")
    save_file({n: tensors[n] for n in others}, model / "2.safetensors")
    places = dict.fromkeys(others, "2.safetensors") | {first: "1.safetensors", others[0]: "1.safetensors"}
    (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}), "utf-8")
    refused("E076", "`model.safetensors.index.json` is damaged", "`2.safetensors` holds it")


def test_weights_that_are_a_folder(model):
    (model / SAFETENSORS).unlink()
    (model / SAFETENSORS).mkdir()
    refused("E076", "is a folder")


def test_no_tokenizer_and_a_broken_one(model):
    (model / "tokenizer.json").write_text("{}", "utf-8")
    refused("E076", "tokenizer.json` cannot be read", at="tiny.recipe:9:")
    (model / "tokenizer.json").unlink()
    refused("E076", "holds no tokenizer", "tokenizer.json is needed", at="tiny.recipe:9:")


@pytest.mark.parametrize(
    ("reference", "code", "said"),
    [
        ("hf://owner/name", "E047", "`HF_HUB_OFFLINE` disables the network"),
        ("hf://owner/name", "E047", "run once with network access, or name a local folder"),
        ("hf://a/b/c", "E047", "write `hf://owner/name`"),
        ("hf://a b", "E047", "write `hf://owner/name`"),
        ("hf://", "E047", "write `hf://owner/name`"),
        ("package://no-such-package/model", "E076", "pip install --no-deps no-such-package"),
        ("package://numpy/elsewhere", "E076", "is not a folder in the package `numpy`"),
        ("package://numpy/../..", "E076", "is not a folder in the package `numpy`"),
        ("package://", "E047", "write `package://package/folder`"),
        ("package://numpy", "E047", "write `package://package/folder`"),
        ("s3://bucket/model", "E047", "models cannot be read from `s3://`"),
        ("file:///nowhere/model", "E076", "there is no model folder `/nowhere/model`"),
        ("m" * 300, "E076", "cannot be read"),
        ("~no_such_user/model", "E076", "there is no model folder"),
        ("a\\u{0}b", "E046", "cannot contain the character U+0000"),
    ],
)
def test_reference_that_leads_nowhere(project, edit, reference, code, said):
    edit('base = "model"', f'base = "{reference}"')
    refused(code, said)


def test_teacher_that_is_missing_is_shown_at_the_teacher(project, edit):
    edit("teacher = stage.dense", 'teacher = "professor"')
    refused("E076", "there is no model folder", at="tiny.recipe:31:23")


def test_file_scheme_is_a_path(project, edit):
    plain = json.loads(command("plan", "tiny.recipe", "--json").out)
    edit('base = "model"', f'base = "file://{project}/model"')
    edit('train = "train.json"', f'train = "file://{project}/train.json"')
    named = json.loads(command("plan", "tiny.recipe", "--json").out)
    assert named["model"]["path"] == plain["model"]["path"]
    assert named["data"][0]["splits"] == plain["data"][0]["splits"]


def test_nothing_is_written_beside_a_refused_model(model):
    before = files(model.parent)
    (model / SAFETENSORS).write_bytes(b"")
    refused("E076")
    assert files(model.parent) == before

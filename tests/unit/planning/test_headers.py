"""Headers of safetensors files: read without weights, and never believed beyond the file."""

import json
import struct

import pytest
import torch
from safetensors.torch import save_file

from recipelang.planning.facts import read_model_facts
from recipelang.planning.safetensors_header import read_header
from recipelang.source import RecipeError
from tests.conftest import make_model


def write(path, header, data=b"", length=None):
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(raw) if length is None else length) + raw + data)
    return path


def test_names_and_shapes_are_those_written(tmp_path):
    save_file(
        {"a": torch.zeros(2, 3), "b": torch.zeros(4, dtype=torch.bfloat16)}, tmp_path / "x.safetensors", {"k": "v"}
    )
    found = read_header(tmp_path / "x.safetensors")
    assert {n: (e.dtype, e.shape) for n, e in found.items()} == {"a": ("F32", (2, 3)), "b": ("BF16", (4,))}


ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    "header, data, length",
    [
        ({"a": ENTRY}, b"1234", None),  # cut off
        ({"a": ENTRY}, b"12345678", 1 << 60),  # absurd length
        (b"not json", b"", None),
        (b"[1, 2]", b"", None),
        (b"[" * 20_000, b"", None),
        ({"a": {**ENTRY, "data_offsets": [0, 4]}}, b"1234", None),  # size is not that of the shape
        ({"a": {**ENTRY, "data_offsets": [8, 0]}}, b"12345678", None),
        ({"a": {**ENTRY, "shape": [-2]}}, b"12345678", None),
        ({"a": ENTRY, "b": ENTRY}, b"12345678", None),  # overlap
        ({"a": ENTRY}, b"1234567890", None),  # bytes that belong to nothing
        ({"a": 3}, b"", None),
    ],
)
def test_damaged_file_is_a_coded_error(tmp_path, header, data, length):
    with pytest.raises(RecipeError) as error:
        read_header(write(tmp_path / "x.safetensors", header, data, length))
    assert error.value.diagnostics[0].code == "E076"


def test_header_without_prefix_and_head_is_mapped_to_the_task_model(tmp_path):
    folder = make_model(tmp_path / "m")
    from safetensors.torch import load_file

    tensors = load_file(folder / "model.safetensors")
    bare = {n.removeprefix("bert."): t for n, t in tensors.items() if not n.startswith("qa_outputs")}
    save_file(bare, folder / "model.safetensors")
    facts = read_model_facts(folder, "question_answering")
    assert facts.fresh == ("qa_outputs.weight", "qa_outputs.bias")


def test_pickled_weights_are_refused_with_the_way_out(tmp_path):
    folder = make_model(tmp_path / "m")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(RecipeError) as error:
        read_model_facts(folder, "question_answering")
    assert "pickled" in error.value.diagnostics[0].message

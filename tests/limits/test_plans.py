"""What only the plan can see: schedules over steps, sizes of batches, models that claim to be huge."""

import json
import re
import shutil
import struct

import pytest

from tests.conftest import RECIPE
from tests.limits.server import assert_bounded

TEXT = RECIPE.format(length="2 epochs", extra="")
SPARSITY = "cubic(50% -> target, over = 0%..80%, every = 2 steps)"
BATCH = "batch = 8\n  micro_batch = micro"

#: changes of a sound recipe, and the codes that it must end in
SCHEDULES = {
    "more than 100,000 events": (
        [("length = 2 epochs", "length = 200_000 steps"), (SPARSITY, SPARSITY.replace("2 steps", "1 step"))],
        ["E063"],
    ),
    "events without number": ([(SPARSITY, "cubic(50% -> 90%, over = start..end, updates = 1e50 per epoch)")], ["E063"]),
    "cosine events without number": (
        [(SPARSITY, "cosine(50% -> 90%, over = start..end, updates = 1e50 per epoch)")],
        ["E063"],
    ),
    "a clock of SparseML 1 over a billion steps": (
        [("length = 2 epochs", "length = 1_000_000_000 steps, compat = sparseml_1"), ("rewind = 1 epoch", "rewind = 9 epochs")],
        ["E063", "E063"],
    ),
    "ERK densities at 9,600 events": (
        [("length = 2 epochs", "length = 12_000 steps"), (SPARSITY, SPARSITY.replace("2 steps", "1 step")),
         ("scope = uniform", "scope = erk")],
        ["E063"],
    ),
    "a rate that restarts at every step": (
        [("length = 2 epochs", "length = 1e50 steps"), ("rewind = 1 epoch", "rewind = 1 step"),
         (SPARSITY, "step(0% -> 50%, at = 5 steps)")],
        ["E063"],
    ),
    "a batch that a part far below does not divide": (
        [(BATCH, "batch = 1_000_000_007\n  micro_batch = 999_999_999")],
        ["E077"],
    ),
    "a batch of 200 bits": ([(BATCH, "batch = 1e60\n  micro_batch = 1e59 + 7")], ["E077"]),
    "layers without end": ([("@linear & @encoder\n", "@linear & layers(0..1_000_000_000)\n")], ["E073"]),
    "hidden states without end": ([("temperature = 2 }", "temperature = 2, on = hidden(0..9_999) }")], ["E073"]),
    "windows without room": ([("max_length = 32 tokens", "max_length = 3 tokens")], ["E038"]),
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("plans")
    shutil.copytree(tiny, folder, dirs_exist_ok=True)
    return folder


@pytest.fixture
def plan(folder, command):
    def planned(*changes):
        text = TEXT
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (folder / "a.recipe").write_text(text, "utf-8")
        return command("plan", "a.recipe")

    return planned


def codes(ended):
    return re.findall(r"^error\[(\w+)\]", ended.err, re.M)


def test_sound_recipe_is_planned(plan):
    assert plan().status == 0


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule_ends_in_its_code_within_its_bounds(name, plan):
    changes, found = SCHEDULES[name]
    ended = plan(*changes)
    assert codes(ended) == found
    assert_bounded(ended)


def block(name: str, targets: str, every: str, shape: str = "cubic") -> str:
    return f"""
  prune {name} {{
    targets = {targets}
    never = @embeddings
    method = magnitude(scope = uniform)
    sparsity = {shape}(10% -> 90%, over = start..end, every = {every})
  }}
"""


def many_events(*blocks: str, steps: int) -> str:
    return TEXT[: TEXT.index("  prune")].replace("2 epochs", f"{steps} steps") + "".join(blocks) + "}\n"


def test_very_many_events_are_planned_within_the_bounds(folder, command):
    (folder / "a.recipe").write_text(many_events(block("a", "@linear & @encoder", "1 step"), steps=40_000), "utf-8")
    assert_bounded(command("plan", "a.recipe"), status=0)


@pytest.mark.parametrize(("shape", "steps"), [("cubic", 51_000), ("cosine", 6_000), ("exponential", 2_000)])
def test_events_of_all_blocks_are_counted_together(shape, steps, folder, command):
    blocks = [block("a", "@query", "1 step", shape), block("b", "@key", "1 step", shape)]
    (folder / "a.recipe").write_text(many_events(*blocks, steps=steps), "utf-8")
    ended = command("plan", "a.recipe")
    assert codes(ended) == ["E063"]
    assert_bounded(ended)


# -------------------------------------------------------------------------- models
@pytest.fixture
def model(folder, tiny):
    yield folder / "model"
    shutil.rmtree(folder / "model")
    shutil.copytree(tiny / "model", folder / "model")


CONFIGS = {
    "a billion layers": ({"num_hidden_layers": 10**9}, "E076"),
    "a vocabulary of 4,000 digits": ({"vocab_size": 10**4000}, "E076"),
    "labels of 4,000 digits": ({"num_labels": 10**4000, "id2label": None}, "E076"),
    "infinite labels": ({"num_labels": float("inf"), "id2label": None}, "E076"),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_config_that_claims_too_much_ends_in_its_code_within_its_bounds(name, model, plan):
    claimed, code = CONFIGS[name]
    config = json.loads((model / "config.json").read_text("utf-8")) | claimed
    text = json.dumps({key: value for key, value in config.items() if value is not None})
    (model / "config.json").write_text(text, "utf-8")
    ended = plan()
    assert codes(ended) == [code]
    assert_bounded(ended)


@pytest.mark.parametrize(
    "content",
    [b'{"model_type": "bert", "x": ' + b"9" * 5_000 + b"}", b"[" * 1_000_000, b'"' + b"x" * 100 * 2**20 + b'"'],
    ids=["a number of 5,000 digits", "a million brackets", "100 MiB"],
)
def test_config_that_is_none_ends_in_its_code_within_its_bounds(content, model, plan):
    (model / "config.json").write_bytes(content)
    ended = plan()
    assert codes(ended) == ["E076"]
    assert_bounded(ended)


def header(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text


NOTHING = b'{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
HEADERS = {
    "a million tensors": lambda: b"{" + b",".join(b'"%d":' % i + NOTHING for i in range(1_000_000)) + b"}",
    "a number of 5,000 digits": lambda: b'{"a": ' + b"9" * 5_000 + b"}",
    "a tensor of a million dimensions": lambda: b'{"a":' + NOTHING.replace(b"0", b"9," * 10**6 + b"9", 1) + b"}",
}


@pytest.mark.parametrize("name", HEADERS)
def test_header_that_names_too_much_ends_in_its_code_within_its_bounds(name, model, plan):
    (model / "model.safetensors").write_bytes(header(HEADERS[name]()))
    ended = plan()
    assert codes(ended) == ["E076"]
    assert_bounded(ended)


def test_headers_of_many_files_are_counted_together(model, plan):
    (model / "model.safetensors").unlink()
    names = [f"part-{i}.safetensors" for i in range(5)]
    for name in names:  # 8 MiB of white space each: nothing that a reader of one file would refuse
        (model / name).write_bytes(header(b"{" + b" " * (8 * 2**20) + b"}"))
    index = {"weight_map": {name: name for name in names}}
    (model / "model.safetensors.index.json").write_text(json.dumps(index), "utf-8")
    ended = plan()
    assert (codes(ended), "names too many tensors" in ended.err) == (["E076"], True)
    assert_bounded(ended)
    (model / "model.safetensors.index.json").write_bytes(b'{"weight_map": {"a": "' + b"x" * 40 * 2**20 + b'"}}')
    ended = plan()
    assert (codes(ended), "names too many tensors" in ended.err) == (["E076"], True)
    assert_bounded(ended)


# ---------------------------------------------------------------------- written out
@pytest.mark.parametrize("name", ["digest", "plan"])
def test_value_of_a_megabyte_ends_in_its_code_within_its_bounds(name, folder, command):
    text = "x" * 20_000
    lets = f'let s0 = "{text}"\n' + "".join(f'let s{i + 1} = "${{s{i}}}${{s{i}}}"\n' for i in range(6))
    (folder / "a.recipe").write_text(TEXT.replace("model {", f"{lets}model {{ revision = s6,", 1), "utf-8")
    ended = command(name, "a.recipe")
    assert codes(ended) == ["E043"]
    assert_bounded(ended)

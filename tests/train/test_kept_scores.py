"""Scores of a pass of `shrink` serve the next size, and only where all that decides them is the same."""

import json
from fractions import Fraction

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from recipelang.engine import kept_scores
from recipelang.engine.kept_scores import KIND, worth_kept
from recipelang.engine.records import Reporter
from recipelang.engine.worth import Read, worth_of
from recipelang.planning import remembered
from tests.conftest import make_inputs

from .steps import run, same, weights
from .test_shrink import Rows, gradients, made, plan_of

RECIPE = """recipe 1 "slim"
model {{ base = "model", task = question_answering }}
data {{ train = "train.json", validation = "dev.json", max_length = 32 tokens, stride = 8 tokens, samples = 24 samples }}
stage slim {{
  mode = one_shot
  shrink body {{ axes = [{axes}], by = {by} }}
}}
"""


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RECIPELANG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / KIND


class Heard(Reporter):
    def __init__(self):
        self.said, self.codes, self.batches = [], [], []

    def message(self, text):
        self.said.append(text)

    def found(self, findings):
        self.codes += [d.code for d in findings]

    def layer_pruned(self, stage, done, of):
        self.batches.append((done, of))


@pytest.fixture
def slim(tmp_path):
    """Runs a size, and says what it heard and what the record has of reused scores."""
    folder = make_inputs(tmp_path, layers=4)

    def go(out: str, axes: str = "ffn -> 50%", by: str = "activation", **replaced: str):
        text = RECIPE.format(axes=axes, by=by)
        for old, new in replaced.items():
            assert old in text
            text = text.replace(old, new)
        (folder / "slim.recipe").write_text(text, "utf-8")
        heard = Heard()
        run(folder / "slim.recipe", tmp_path / out, heard)
        record = json.loads((tmp_path / out / "run.json").read_text("utf-8"))
        return heard, record.get("scores_reused")

    return go


@pytest.mark.parametrize("by", ["activation", "taylor", "magnitude"])
def test_another_size_is_cut_without_a_second_pass_to_the_same_bits(slim, tmp_path, cache, monkeypatch, by):
    _, reused = slim("first", "ffn -> 50%, layers -> 3", by)
    assert reused is None
    heard, reused = slim("second", "ffn -> 25%, layers -> 2", by)
    axes = ["layers"] if by == "magnitude" else ["ffn", "layers"]
    assert reused == {"slim.body": axes}
    assert any("are those of an earlier pass" in text and "`layers`" in text for text in heard.said)
    assert len({of for _, of in heard.batches}) == 1 and [d == of for d, of in heard.batches] == [True]
    monkeypatch.setenv("RECIPELANG_CACHE", str(tmp_path / "other"))
    heard, reused = slim("alone", "ffn -> 25%, layers -> 2", by)
    assert reused is None and len(heard.batches) > 1
    assert same(weights(tmp_path / "alone"), weights(tmp_path / "second"))


def test_an_axis_more_needs_a_pass(slim):
    slim("first", "ffn -> 50%")
    heard, reused = slim("second", "ffn -> 25%, layers -> 2")
    assert reused == {"slim.body": ["ffn"]} and len(heard.batches) > 1


def test_where_anything_that_decides_them_differs_they_are_not_used(slim, tmp_path):
    slim("first")
    assert slim("again")[1] == {"slim.body": ["ffn"]}
    for number, other in enumerate(
        [{"24 samples": "23 samples"}, {"mode = one_shot": "mode = one_shot, precision = bf16"}]
    ):
        assert slim(f"other {number}", **other)[1] is None, other
    assert slim("taylor", by="taylor")[1] is None
    assert slim("seed", by="taylor", **{'recipe 1 "slim"': 'recipe 1 "slim"\nseed = 7'})[1] is None
    file = tmp_path / "model" / "model.safetensors"
    tensors = load_file(file)
    name = next(n for n in tensors if n.endswith("0.output.dense.weight"))
    tensors[name][0, 0] += 1e-3
    save_file(tensors, file, {"format": "pt"})
    assert slim("weights")[1] is None


# ------------------------------------------------------------------ a file that is not as it was written
def damaged(file):
    data = file.read_bytes()
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


def cut_short(file):
    file.write_bytes(file.read_bytes()[:-8])


def of_another_name(file):
    other = {n: t.flip(0) for n, t in load_file(file).items()}
    save_file(other, file, {"digest": kept_scores._digest(file.with_name("0" * 64 + ".safetensors"), other)})


def without_a_digest(file):
    save_file(load_file(file), file)


def forged(change):
    """Written with a digest that fits."""

    def write(file):
        other = change(load_file(file))
        save_file(other, file, {"digest": kept_scores._digest(file, other)})

    return write


@pytest.mark.parametrize(
    "harm",
    [
        damaged,
        cut_short,
        of_another_name,
        without_a_digest,
        forged(lambda t: {n: v[:-1].clone() for n, v in t.items()}),
        forged(lambda t: {n: v.float() for n, v in t.items()}),
        forged(lambda t: {n: torch.full_like(v, torch.nan) for n, v in t.items()}),
        forged(lambda t: dict([*t.items()][1:])),
        forged(lambda t: {**t, "heads:": torch.zeros(2, dtype=torch.float64)}),
    ],
)
def test_what_is_not_as_it_was_written_is_computed_again(tmp_path, monkeypatch, cache, harm):
    model, facts = made(tmp_path / "model", monkeypatch, "llama")
    plan, rows, told = plan_of(facts, ffn=32), Rows(), []
    read = Read(rows, (), 2, torch.no_grad)
    truth = worth_of(model, plan, read)

    def again():
        told.clear()
        return worth_kept(model, plan, read, rows, ("here",), lambda found: told.extend(d.code for d in found))

    assert again()[1] == ()
    worth, there = again()
    assert there == ("ffn",) and not told and worth.keys() == truth.keys()
    assert all(torch.equal(worth[k], truth[k]) for k in truth)
    (file,) = cache.iterdir()
    harm(file)
    worth, there = again()
    assert there == () and told == ["W166"]
    assert all(torch.equal(worth[k], truth[k]) for k in truth)
    assert again()[1] == ("ffn",) and not told


def test_a_link_in_the_place_of_a_file_is_not_read(tmp_path, monkeypatch, cache):
    model, facts = made(tmp_path / "model", monkeypatch, "llama")
    plan, rows = plan_of(facts, ffn=32), Rows()
    ask = (model, plan, Read(rows, (), 2, torch.no_grad), rows, ())
    worth_kept(*ask, lambda found: None)
    (file,) = cache.iterdir()
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    assert worth_kept(*ask, lambda found: None)[1] == ()


def test_the_share_of_a_size_changes_no_score_and_an_axis_beside_it_neither(tmp_path, monkeypatch):
    model, facts = made(tmp_path / "model", monkeypatch, "llama")
    for by in ("activation", "taylor", "magnitude"):
        read = Read(Rows(), (), 2, torch.no_grad, lambda: gradients(model))
        every = worth_of(model, plan_of(facts, by, ffn=Fraction(1, 4), heads=2, hidden=16, layers=2), read)
        for axis, to in (("ffn", 48), ("heads", 2), ("hidden", 8), ("layers", 1)):
            alone = worth_of(model, plan_of(facts, by, **{axis: to}), read)
            assert alone and all(torch.equal(every[key], scores) for key, scores in alone.items()), (by, axis)


def test_a_cache_that_cannot_be_written_costs_only_time(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("", "utf-8")
    monkeypatch.setenv("RECIPELANG_CACHE", str(tmp_path / "file"))
    model, facts = made(tmp_path / "model", monkeypatch, "llama")
    rows = Rows()
    ask = (model, plan_of(facts, ffn=32), Read(rows, (), 2, torch.no_grad), rows, ())
    assert [worth_kept(*ask, pytest.fail)[1] for _ in range(2)] == [(), ()]


def test_the_first_files_go_where_all_take_too_much(tmp_path, monkeypatch, cache):
    model, facts = made(tmp_path / "model", monkeypatch, "llama")
    rows = Rows()
    for number in range(4):
        read = Read(rows, (), 2, torch.no_grad)
        worth_kept(model, plan_of(facts, ffn=32), read, rows, (number,), pytest.fail)
        (size,) = {f.stat().st_size for f in cache.iterdir()}
        monkeypatch.setattr(kept_scores, "MOST", 2 * size)
    assert len([*cache.iterdir()]) == 2


def test_rows_and_weights_decide_what_is_kept(tmp_path, monkeypatch, cache):
    model, facts = made(tmp_path / "model", monkeypatch, "bert")
    plan, rows = plan_of(facts, ffn=32), Rows()
    other = Rows()
    texts = {k: v.copy() for k, v in Rows().batch(np.arange(6)).items()}
    texts["input_ids"][0, 0] ^= 1
    other.batch = lambda rows: {k: v[rows] for k, v in texts.items()}

    def asked(rows):
        return worth_kept(model, plan, Read(rows, (), 2, torch.no_grad), rows, (), pytest.fail)[1]

    assert [asked(rows), asked(rows), asked(other)] == [(), ("ffn",), ()]
    with torch.no_grad():
        model.bert.embeddings.LayerNorm.bias[0] += 1
    assert asked(rows) == ()
    model.config.layer_norm_eps *= 2
    assert asked(rows) == ()
    assert remembered.cache_folder() == cache.parent

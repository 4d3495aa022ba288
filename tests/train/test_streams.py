"""Training on a stream: interrupted and resumed is uninterrupted, bit for bit, wherever the stream then stood."""

import json
import shutil

import pytest

from recipelang.engine.records import Interrupted, Reporter
from recipelang.loading.plan import planned
from recipelang.planning import streamed
from recipelang.provenance.recorded import check_recorded
from recipelang.source import RecipeError
from tests.decoders import make_decoder, make_text
from tests.model_configs import walk_here

from .steps import StopAt, run, same, stopped_often, weights

RECIPE = """recipe 1 "streamed"
model { base = "model", task = causal_lm }
data {
  train = "corpus", validation = "dev.jsonl", max_length = 16 tokens
  streaming = true, shuffle_buffer = 9 samples
}
stage sparse {
  length = 16 steps, batch = 4, micro_batch = 2, learning_rate = constant(1e-2)
  prune weights {
    targets = @linear & @decoder, never = @embeddings | @head
    method = METHOD, sparsity = linear(0% -> 50%, over = 0%..80%, every = 3 steps)
  }
}
stage more {
  length = 3 steps, batch = 4, learning_rate = constant(1e-2)
  prune weights { targets = @linear & @decoder, method = hold }
}
evaluate dev { split = "validation", every = 6 steps }
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stream")
    make_decoder(folder / "model")
    (folder / "corpus").mkdir()
    for i in range(2):
        make_text(folder / "corpus" / f"part-{i}.jsonl", 13, i)
    make_text(folder / "dev.jsonl", 6, 9)
    return folder


@pytest.fixture
def recipe(corpus, tmp_path, monkeypatch):
    """A corpus of 26 records, of which the 16 steps read more than one pass."""
    walk_here(monkeypatch)
    shutil.copytree(corpus, tmp_path, dirs_exist_ok=True)
    (tmp_path / "a.recipe").write_text(RECIPE.replace("METHOD", "rigl"), "utf-8")
    return tmp_path / "a.recipe"


class Listen(Reporter):
    def __init__(self):
        self.told = []

    def message(self, text):
        self.told.append(text)


def test_stopped_many_times_is_uninterrupted(recipe, tmp_path):
    """With a method that samples gradients of the stream between steps."""
    listen = Listen()
    run(recipe, tmp_path / "whole", listen)
    assert any("ended after 26 records in all: pass 2 begins" in text for text in listen.told)
    assert stopped_often(recipe, tmp_path / "cut", 7) == 2
    assert same(weights(tmp_path / "cut"), weights(tmp_path / "whole"))
    records = [json.loads((tmp_path / name / "run.json").read_text()) for name in ("whole", "cut")]
    assert records[0]["streams"] == records[1]["streams"]
    assert records[0]["streams"]["sparse"]["passes"] >= 2
    assert records[0]["metrics"] == records[1]["metrics"]
    with pytest.raises(RecipeError, match="what stage `more` read"):
        _, plan, _ = planned(str(recipe))
        check_recorded({"streams": {"sparse": records[0]["streams"]["sparse"]}}, (), plan)


def test_a_bad_record_loses_no_step(recipe, tmp_path, monkeypatch):
    """What it says is repaired where it is, and the run goes on as if it had been so from the beginning."""
    monkeypatch.setattr(streamed, "HEAD", 5)
    path = tmp_path / "corpus" / "part-1.jsonl"
    good = path.read_text("utf-8").splitlines(keepends=True)
    blank = " " * (len(good[5]) - 1) + "\n"
    recipe.write_text(recipe.read_text().replace("streaming = true", "shuffle = false, streaming = true"))
    path.write_text("".join([*good[:5], blank, *good[6:]]), "utf-8")
    run(recipe, tmp_path / "whole")
    path.write_text("".join([*good[:5], "}" + good[5][1:], *good[6:]]), "utf-8")
    with pytest.raises(RecipeError) as error:
        run(recipe, tmp_path / "cut")
    (found,) = error.value.diagnostics
    assert (found.code, found.message) == ("E074", "`part-1.jsonl` is not JSON")
    assert found.notes[0].startswith("line 6: ") and "overwrite it with spaces" in found.notes[1]
    (kept,) = (p.name for p in (tmp_path / "cut" / "checkpoints").iterdir())
    assert kept.startswith("stage-00-step-") and kept in found.notes[-1]
    assert json.loads((tmp_path / "cut" / "run.json").read_text())["status"] == "failed"
    path.write_text("".join([*good[:5], blank, *good[6:]]), "utf-8")
    run(recipe, tmp_path / "cut", resume=True)
    assert same(weights(tmp_path / "cut"), weights(tmp_path / "whole"))


def test_a_file_that_is_not_the_one_planned_is_refused(recipe, tmp_path):
    with pytest.raises(Interrupted):
        run(recipe, tmp_path / "cut", StopAt(5))
    _, plan, _ = planned(str(recipe))
    (tmp_path / "corpus" / "part-1.jsonl").write_text('{"text": "gold"}\n', "utf-8")
    _, now, _ = planned(str(recipe))
    assert now.data[0].splits["train"].digest != plan.data[0].splits["train"].digest
    assert now.behaviour_digest != plan.behaviour_digest
    with pytest.raises(RecipeError) as error:
        run(recipe, tmp_path / "cut", resume=True)
    assert error.value.diagnostics[0].code == "E083"


def test_a_plan_reads_only_the_beginning(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(streamed, "HEAD", 5)
    with (tmp_path / "corpus" / "part-1.jsonl").open("a") as file:
        file.write("not a record\n")
    _, plan, _ = planned(str(recipe))
    (data,) = plan.data
    assert data.streamed and "train" not in data.examples and data.examples["validation"] == 6
    assert data.splits["train"].stream.files == 2
    assert plan.stages[0].epochs == 0

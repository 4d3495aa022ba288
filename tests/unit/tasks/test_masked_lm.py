"""What is masked, how much of it, and that the same is drawn again."""

import json

import numpy as np
import pytest

from recipelang.source import RecipeError
from recipelang.tasks import masked_lm as task
from tests.conftest import make_model
from tests.decoders import make_text


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return with_mask(make_model(tmp_path_factory.mktemp("m")))


def with_mask(folder):
    """The tiny tokenizer has no mask token: its last word becomes one."""
    path = folder / "tokenizer.json"
    saved = json.loads(path.read_text("utf-8"))
    words = saved["model"]["vocab"]
    words["[MASK]"] = words.pop("peru")
    path.write_text(json.dumps(saved), "utf-8")
    return folder


@pytest.fixture(scope="module")
def blocks(model, tmp_path_factory):
    path = make_text(tmp_path_factory.mktemp("d") / "t.jsonl", 300)
    return task.featurize(task.TASK.open_split(str(path), "train"), task.load_tokenizer(model), 42, 0)


def test_blocks_stand_between_the_tokens_of_the_model(blocks):
    assert blocks.width == 42
    assert set(blocks.input_ids[:, 0]) == {2} and set(blocks.input_ids[:, -1]) == {3}
    assert (blocks.input_ids[:, 1:-1] == 3).any()  # between two texts


def test_fifteen_per_cent_are_guessed_and_masked_as_published(blocks):
    batch = blocks.batch(np.arange(len(blocks)), draw=5)
    guessed = batch["labels"] != -100
    assert set(guessed.sum(1)) == {round(0.15 * 42)} == {blocks.guessed}
    assert not guessed[np.isin(blocks.input_ids, (2, 3))].any()
    assert (batch["labels"][guessed] == blocks.input_ids[guessed]).all()
    assert (batch["input_ids"][~guessed] == blocks.input_ids[~guessed]).all()
    many = [blocks.batch(np.arange(len(blocks)), draw=d) for d in range(30)]
    given = np.concatenate([b["input_ids"][b["labels"] != -100] for b in many])
    right = np.concatenate([b["labels"][b["labels"] != -100] for b in many])
    masked, kept = (given == blocks.mask).mean(), (given == right).mean()
    # of any token drawn, one of 24 is the mask and one of 24 the right one
    assert masked == pytest.approx(0.8 + 0.1 / 24, abs=0.015)
    assert kept == pytest.approx(0.1 + 0.1 / 24, abs=0.015)


def test_what_is_drawn_depends_on_the_draw_and_the_row_alone(blocks):
    alone, together = blocks.batch([3], draw=7), blocks.batch([1, 3, 2], draw=7)
    assert all((alone[k][0] == together[k][1]).all() for k in alone)
    assert (blocks.batch([3], draw=8)["labels"] != alone["labels"]).any()


def test_measures_are_those_of_torch(blocks):
    import torch

    torch.manual_seed(0)
    rows = np.arange(6)
    batch = {k: torch.from_numpy(v) for k, v in blocks.batch(rows).items()}
    logits = torch.randn(6, 42, 24)

    class Outputs:
        pass

    Outputs.logits = logits
    kept = {k: v.numpy().reshape(6, -1) for k, v in task.kept(Outputs, batch).items()}
    few = blocks.some(6, None)
    found = task.measure(kept, few, ())
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch["labels"].flatten())
    places = batch["labels"] != -100
    accuracy = (logits.argmax(-1) == batch["labels"])[places].double().mean()
    assert found["perplexity"] == pytest.approx(float(loss.exp()), rel=1e-5)
    assert found["accuracy"] == pytest.approx(float(accuracy))


def test_a_tokenizer_without_a_mask_is_refused(tmp_path):
    with pytest.raises(RecipeError) as error:
        task.load_tokenizer(make_model(tmp_path / "m"))
    assert error.value.diagnostics[0].code == "E076"

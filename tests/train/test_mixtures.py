"""Mixtures of several sources: planned, trained, resumed inside an epoch, refused where they cannot be what they say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from recipelang.engine.records import Interrupted
from recipelang.engine.sources import unchanged
from recipelang.loading.plan import planned
from recipelang.planning.data import load_split
from recipelang.report.data_screen import data_line, mixture
from recipelang.source import RecipeError
from tests.decoders import make_text
from tests.other_tasks import make_task, records
from tests.train.steps import StopAt, run, same, weights

CACHED = "distill { teacher = stage.dense, hardness = 80%, temperature = 2, cache = fp32 }"
MIX = """
  mix web { source = "train.jsonl", share = 70% }
  mix made { source = "made.jsonl", share = 30% }
"""


def make(
    folder: Path, mix: str = MIX, task: str = "sequence_classification", made: object = None, more: str = "", **how
) -> Path:
    """A recipe that trains on two files."""
    recipe = make_task(folder, task, **how)
    if task == "masked_lm":
        make_text(folder / "made.jsonl", 20, 5)
    else:
        made = records(task, 11, 5) if made is None else made
        (folder / "made.jsonl").write_text("".join(json.dumps(r) + "\n" for r in made), "utf-8")
    return again(recipe, 'train = "train.jsonl", ', "", "max_length = 24 tokens", f"max_length = 24 tokens{mix}{more}")


def again(recipe: Path, *changes: str) -> Path:
    text = recipe.read_text("utf-8")
    for old, new in zip(changes[::2], changes[1::2], strict=True):
        assert old in text
        text = text.replace(old, new)
    recipe.write_text(text, "utf-8")
    return recipe


def findings(recipe: Path) -> list[tuple[str, str]]:
    """Codes of errors, with the text that they point at."""
    try:
        found = list(planned(str(recipe))[2])
    except RecipeError as error:
        found = list(error.diagnostics)
    return [
        (d.code, d.primary.source.text[d.primary.span.start : d.primary.span.end])
        for d in found
        if d.primary and d.code[0] == "E"
    ]


def test_the_plan_shows_every_source(tmp_path):
    _, plan, _ = planned(str(make(tmp_path)))
    (data,) = plan.data
    assert data_line(plan).startswith(f"train {data.items['train']} (mixture of 2 sources)")
    web, made = data.items["mix.web"], data.items["mix.made"]
    said = mixture(plan, data)
    assert f"70% web ({web} rows of train.jsonl, " in said and f"30% made ({made} rows of made.jsonl, " in said
    passes = float(said.split("made.jsonl, ")[1].split(" ")[0])
    rows = web + made + sum(8 if step % 6 < 5 else (web + made) % 8 or 8 for step in range(8))
    assert passes == pytest.approx(0.3 * rows / made, rel=0.01)
    assert sum(load_split(data, "train", tmp_path / "model")[1].mixture.items) == data.items["train"]


@pytest.mark.parametrize("task", ["sequence_classification", "masked_lm"])
def test_stopped_inside_an_epoch_and_resumed_is_uninterrupted(tmp_path, task):
    recipe = make(tmp_path, task=task, **({"distill": CACHED} if task != "masked_lm" else {}))
    run(recipe, tmp_path / "whole")
    for step in (3, 9):
        with pytest.raises(Interrupted):
            run(recipe, tmp_path / f"cut{step}", StopAt(step))
        run(recipe, tmp_path / f"cut{step}", resume=True)
        assert same(weights(tmp_path / f"cut{step}"), weights(tmp_path / "whole"))


def test_the_order_of_sources_changes_nothing(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir(), two.mkdir()
    plans = [
        planned(str(make(folder, mix)))[1] for folder, mix in ((one, MIX), (two, "\n".join(MIX.split("\n")[::-1])))
    ]
    assert plans[0].spec_digest == plans[1].spec_digest and plans[0].data[0].mixture == plans[1].data[0].mixture
    other = planned(str(again(two / "task.recipe", "70%", "60%", "share = 30%", "share = 40%")))[1]
    assert other.behaviour_digest != plans[0].behaviour_digest


def test_a_source_that_changed_is_found(tmp_path):
    _, plan, _ = planned(str(make(tmp_path)))
    unchanged(plan)
    (tmp_path / "made.jsonl").write_text((tmp_path / "made.jsonl").read_text("utf-8") * 2, "utf-8")
    with pytest.raises(RecipeError) as caught:
        unchanged(plan)
    assert [d.code for d in caught.value.diagnostics] == ["E195"]


OTHER = [{"sentence1": "a", "sentence2": "b", "label": "good"}, {"sentence1": "a", "sentence2": "b", "label": 0}]


@pytest.mark.parametrize(("made", "code"), [
    ([], "E074"),
    ([{"text": "a", "label": 0}], "E074"),
    ([{"sentence1": "a", "sentence2": "b", "label": 7}], "E226"),
    (OTHER, "E226"),
])  # fmt: skip
def test_a_source_that_does_not_fit_is_named(tmp_path, made, code):
    ((found, at),) = findings(make(tmp_path, made=made))
    assert (found, "made" in at) == (code, True)


def test_a_source_may_lack_a_label(tmp_path):
    rows = [r for r in records("sequence_classification", 30, 5) if r["label"] == 1]
    _, plan, _ = planned(str(make(tmp_path, made=rows)))
    assert plan.model.labels == ("0", "1", "2")


@pytest.mark.parametrize(("change", "to", "code", "at"), [
    ("share = 30%", "share = 20%", "E224", "20%"),
    ("share = 30%", "share = 3/10", "", ""),
    ("share = 30%", "share = 0%", "E054", "0%"),
    ("share = 30%", "share = 30", "E038", "30"),
    (", share = 30%", "", "E053", "mix made"),
    ("mix made", "mix", "E053", "mix"),
    ("mix made", "mix web", "E012", "mix web"),
    ("mix made {", "mix made { rows = 3,", "E051", "rows"),
    ("mix web", 'train = "train.jsonl"\n  mix web', "E054", '"train.jsonl"'),
    ("70%", "99.99%", "E224", "30%"),
])  # fmt: skip
def test_what_cannot_be_a_mixture_is_told_at_its_place(tmp_path, change, to, code, at):
    found = findings(again(make(tmp_path), change, to))
    assert (found[0] if found else ("", "")) == (code, at)


def test_a_share_of_no_row_is_refused(tmp_path):
    recipe = again(make(tmp_path), "70%", "99.9%", "share = 30%", "share = 0.1%")
    assert findings(recipe) == [("E227", "0.1%")]
    assert findings(again(recipe, "  mix web", "  samples = 20 samples\n  mix web")) == [("E227", "0.1%")]


def test_samples_are_shared_out(tmp_path):
    recipe = again(make(tmp_path), "  mix web", "  samples = 20 samples\n  mix web")
    (data,) = planned(str(recipe))[1].data
    assert (data.items["mix.web"], data.items["mix.made"], data.items["train"]) == (14, 6, 20)


def test_a_mixture_is_not_evaluated(tmp_path):
    assert findings(again(make(tmp_path), 'split = "validation"', 'split = "train"'))[0][0] == "E074"

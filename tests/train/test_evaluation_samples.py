"""`samples` of an `evaluate` block: the first examples of the split, as if the file held no more."""

from __future__ import annotations

import json

import yaml

from recipelang.loading.plan import planned
from tests.cli.command import command
from tests.decoders import make_decoder, make_text

from .steps import run


def test_the_first_examples_are_measured_as_a_file_of_them_is(project):
    path = project(
        replace=(
            "evaluate dev { metrics = [f1, exact_match] }",
            'prefer some.f1 >= 0%\nprefer dev.f1 >= 0%\nevaluate dev { }\nevaluate some { samples = 3 samples }\nevaluate few { split = "test" }',
        )
    )
    folder = path.parent
    path.write_text(
        path.read_text("utf-8").replace('validation = "dev.json"', 'validation = "dev.json", test = "few.json"')
    )
    kept = json.loads((folder / "dev.json").read_text("utf-8"))["data"][0]["paragraphs"][:3]
    (folder / "few.json").write_text(json.dumps({"data": [{"title": "t", "paragraphs": kept}]}), "utf-8")
    found = run(path, folder / "out").measurements.metrics
    assert [found[f"some.{m}"] for m in ("f1", "exact_match")] == [found[f"few.{m}"] for m in ("f1", "exact_match")]
    card = (folder / "out" / "README.md").read_text("utf-8")
    total = len(json.loads((folder / "dev.json").read_text("utf-8"))["data"][0]["paragraphs"])
    assert f"| `some.f1`, on 3 of {total} examples |" in card and "| `dev.f1` |" in card
    (index,) = yaml.safe_load(card.split("---\n")[1])["model-index"]
    names = {metric["name"] for result in index["results"] for metric in result["metrics"]}
    assert {"f1", f"f1, on 3 of {total} examples"} <= names
    claims = [line for line in card.splitlines() if "prefer" in line and line.startswith("|")]
    assert [f", on 3 of {total} examples |" in line for line in claims] == ["some" in line for line in claims]
    record = json.loads((folder / "out" / "run.json").read_text("utf-8"))
    assert set(record["measured_on"].values()) == {f"3 of {total} examples"}
    assert all(".some." in f".{n}" for n in record["measured_on"])
    assert command("report", str(folder / "out")).code == 0
    assert f"some.f1, on 3 of {total} examples" in (folder / "out" / "report.html").read_text("utf-8")
    assert "`some` uses the first 3 examples" in " ".join(command("plan", str(path)).out.split())


def test_the_first_blocks_of_a_text(tmp_path):
    make_decoder(tmp_path / "model")
    make_text(tmp_path / "train.jsonl", 40)
    path = tmp_path / "text.recipe"
    path.write_text(
        'recipe 1 "text"\nmodel { base = "model", task = causal_lm }\n'
        'data { train = "train.jsonl", validation = "train.jsonl", max_length = 32 tokens }\n'
        "stage cut {\n  mode = one_shot\n  prune weights {\n    targets = @linear & @decoder\n"
        "    method = magnitude(scope = uniform)\n    sparsity = 50%\n  }\n}\n"
        "evaluate dev { }\nevaluate all { samples = 1_000 samples }\nevaluate one { samples = 1 sample }\n",
        "utf-8",
    )
    found = run(path, tmp_path / "out").measurements.metrics
    total = planned(str(path))[1].data[0].items["validation"]
    assert total > 1
    card = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert f"| `one.perplexity`, on 1 of {total} blocks |" in card and "| `all.perplexity` |" in card
    assert found["all.perplexity"] == found["dev.perplexity"] != found["one.perplexity"]


def test_none_at_all_is_refused(project):
    path = project(replace=("evaluate dev {", "evaluate dev { samples = 0 samples,"))
    assert command("validate", str(path)).codes == ["E038"]

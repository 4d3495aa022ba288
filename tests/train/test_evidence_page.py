"""The experiments of `docs/evidence.md` can be planned as they stand, and the page is what the script writes."""

import importlib.util
import json
import re
import sys

import pytest

from tests.cli.command import ROOT, command
from tests.conftest import make_data, make_model


@pytest.fixture(scope="module")
def evidence():
    """`docs/evidence.py`, which is a script."""
    spec = importlib.util.spec_from_file_location("evidence", ROOT / "docs" / "evidence.py")
    found = sys.modules["evidence"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest.fixture
def data(tmp_path):
    """Small files under the names of the large ones."""
    (tmp_path / "sst2").mkdir()
    (tmp_path / "squad").mkdir()
    for name in ("train", "dev"):
        (tmp_path / f"sst2/{name}.tsv").write_text("sentence\tlabel\n" + "gold is\t1\nriver in\t0\n" * 40, "utf-8")
    make_data(tmp_path / "squad/train-v1.1-44articles.json", 44)
    make_data(tmp_path / "squad/dev-v1.1.json", 20)
    make_model(tmp_path / "model")
    return tmp_path


def test_every_experiment_is_planned_as_the_script_would_run_it(evidence, data, monkeypatch):
    monkeypatch.chdir(data)
    for experiment in evidence.EXPERIMENTS:
        given = {**experiment.given, "base": "model", "max_length": "32 tokens"}
        words = [w for n, v in given.items() for w in ("-p", f"{n}={v.format(data=data, out=data)}")]
        if isinstance(experiment, evidence.Study):
            only = [w for of in experiment.of for w in ("--only", of)]
            ended = command("study", ROOT / experiment.file, "--plan", *only, *words)
            assert ended.out.count("to run") > 10 or ended.err == "", ended.err
        else:
            ended = command("plan", ROOT / experiment.file, *words)
        assert ended.code == 0, ended.err


def test_a_table_is_written_where_the_page_wants_it(evidence, tmp_path, monkeypatch):
    page = (ROOT / "docs" / "evidence.md").read_text("utf-8")
    marks = re.findall(r"<!-- (?!end)(\S+) -->\n", page)
    assert marks == [e.name for e in evidence.EXPERIMENTS]
    assert page.count("<!-- end -->") == len(marks)
    monkeypatch.setattr(evidence, "PAGE", tmp_path / "evidence.md")
    monkeypatch.setattr(evidence, "PICTURES", tmp_path / "evidence")
    evidence.PAGE.write_text(page, "utf-8")
    study = next(e for e in evidence.EXPERIMENTS if isinstance(e, evidence.Study))
    metric = study.metrics[0]
    difference = {"mean": 0.25, "low": 0.2, "high": 0.3}
    row = {
        "arm": "smc", "values": {"target": "90%"}, "finished": 2, "metrics": {metric: {"mean": 0.5, "sd": 0.01}},
        "differences": {}, "sparsity": {"all_parameters": {"mean": 0.9}}, "seconds": {"mean": 90.0},
    }  # fmt: skip
    rows = [row, {**row, "arm": "all", "differences": {metric: difference}}, {**row, "arm": "longer", "finished": 0}]
    runs = [{"name": "smc/1", "status": "finished", "seconds": 120.0}, {"name": "smc/2", "status": "waiting"}]
    record = {"environment": {"device": "cpu", "torch": "2"}, "metrics": {f"stage.dense.{metric}": 0.75}}
    record["sparsity"] = {"tensors": {"classifier.weight": 0.25, "other": 0.9}}
    targets = [{"name": "classifier.weight", "purpose": "head"}, {"name": "other", "purpose": "other matrices"}]
    folder = tmp_path / "out" / study.name
    (folder / "runs/smc/1").mkdir(parents=True)
    (folder / "runs/smc/1/run.json").write_text(json.dumps(record), "utf-8")
    plan = {"stages": [{"prunes": []}, {"prunes": [{"targets": targets}]}]}
    (folder / "runs/smc/1/recipe").mkdir()
    (folder / "runs/smc/1/recipe/plan.json").write_text(json.dumps(plan), "utf-8")
    form = {"baseline": "smc", "vary": {"target": ["90%"]}, "table": rows, "runs": runs}
    (folder / "study.json").write_text(json.dumps(form), "utf-8")
    for _ in range(2):  # once more changes nothing
        evidence.write(tmp_path / "out")
        written = evidence.PAGE.read_text("utf-8")
        assert "| all | 90% | 2 | 50.0 ± 1.0 | +25.0 [+20.0, +30.0] | 90.0% |  |\n" in written
        assert "\n1 run, 2.0 minutes of training in the median, on cpu, torch 2. The dense models" in written
        assert "| smc | 90% | 2 | 50.0 ± 1.0 |  | 90.0% | 25.0% |\n" in written
        assert "longer | 90%" not in written
    after = page.partition(f"<!-- {study.name} -->")[2].partition("<!-- end -->")[2]
    assert written.endswith(after)

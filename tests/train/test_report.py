"""The page of a run: written at its end and again from its folder, whole in itself, with what was measured."""

import json
import re
import signal
from html.parser import HTMLParser

import pytest

from recipelang.report.curves import read_curves, smoothed
from tests.cli.command import command


class Page(HTMLParser):
    """Text by tag, and everything that a page would fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tags: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [v or "" for n, v in attrs if n in ("src", "href", "srcset", "xlink:href", "action")]

    def handle_data(self, data):
        self.words.append(data.strip())


@pytest.fixture
def done(project, tmp_path, monkeypatch):
    project()
    monkeypatch.chdir(tmp_path)
    assert command("run", "tiny.recipe", "-o", "out").code == 0
    return tmp_path / "out"


def test_run_writes_a_page_that_stands_alone(done):
    text = (done / "report.html").read_text("utf-8")
    page = Page(text)
    assert page.links == [] and "script" not in page.tags and "url(" not in text and "@import" not in text
    record = json.loads((done / "run.json").read_text("utf-8"))
    assert f"{record['metrics']['dev.f1']:.2%}" in page.words
    assert "3 of 3" in page.words
    for heading in ("loss", "learning rate", "sparsity of the pruned weights", "Sparsity of every matrix", "Claims"):
        assert heading in page.words
    zeros = record["sparsity"]["tensors"]["bert.encoder.layer.0.output.dense.weight"]
    assert f"{100 * zeros:.1f}" in page.words
    assert 'recipe 1 "tiny"' in text.replace("&quot;", '"')


def test_page_is_written_again_and_plots_as_files(done):
    before = (done / "report.html").read_text("utf-8")
    (done / "report.html").unlink()
    ended = command("report", "out", "--plots")
    assert (ended.code, ended.err) == (0, "")
    assert (done / "report.html").read_text("utf-8") == before
    assert {p.stem for p in (done / "plots").glob("*.svg")} == {
        "loss",
        "learning-rate",
        "sparsity-of-the-pruned-weights",
        "sparsity-of-every-matrix",
    }


def test_curves_are_those_of_the_run_also_when_it_was_resumed(project, tmp_path, monkeypatch):
    from recipelang.report.progress import Progress

    project(length="20 epochs")
    monkeypatch.chdir(tmp_path)
    assert command("run", "tiny.recipe", "-o", "whole").code == 0
    stepped, left = Progress.stepped, [60]

    def stop(self, *arguments):
        import os

        stepped(self, *arguments)
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patched:
        patched.setattr(Progress, "stepped", stop)
        assert command("run", "tiny.recipe", "-o", "cut").code == 130
    page = (tmp_path / "cut" / "report.html").read_text("utf-8")
    assert "The run is not finished" in page and "reached" in page and "not checked" in page
    assert command("resume", "cut").code == 0
    cut, whole = (read_curves(tmp_path / d / "tensorboard") for d in ("cut", "whole"))
    assert len(whole["train/loss"]) >= 12
    assert cut["train/loss"] == whole["train/loss"] and cut["train/sparsity"] == whole["train/sparsity"]
    assert "The run is not finished" not in (tmp_path / "cut" / "report.html").read_text("utf-8")


def test_report_of_what_is_no_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command("report", ".").codes == ["E083"]


def test_page_of_a_failed_run_says_why(project, tmp_path, monkeypatch):
    project(replace=("linear(1e-3 -> 1e-4, over = start..end, rewind = 1 epoch)", "1e30"))
    monkeypatch.chdir(tmp_path)
    assert command("run", "tiny.recipe", "-o", "out").code == 1
    assert command("report", "out").code == 0
    assert re.search(r"The run failed: E082", (tmp_path / "out" / "report.html").read_text("utf-8"))


def test_missing_curves_and_a_cut_file_are_no_error(done):
    for file in (done / "tensorboard").iterdir():
        file.write_bytes(file.read_bytes()[:-7])
    assert read_curves(done / "tensorboard")["train/loss"]
    assert read_curves(done / "nothing") == {}


def test_smoothing_keeps_what_does_not_change():
    assert smoothed([(i, 2.0) for i in range(5)]) == [(i, pytest.approx(2.0)) for i in range(5)]
    rising = smoothed([(0, 0.0), (1, 1.0)])
    assert rising[0][1] == 0.0 and 0.5 < rising[1][1] < 0.6

"""The recipe of docs/oneshot.md, and the one of the library, run as they stand on a tiny decoder."""

import re
from pathlib import Path

import pytest

from recipelang.engine.records import read_record
from recipelang.loading.files import read_source
from recipelang.loading.read import check_all
from tests.cli.command import command
from tests.decoders import make_decoder, make_text

PAGE = (Path(__file__).parents[2] / "docs" / "oneshot.md").read_text("utf-8")
(RECIPE,) = re.findall(r"^```\n(recipe 1 .*?)^```", PAGE, re.S | re.M)
RUN, ON_DISK = re.findall(r"^recipelang (run .*)$", PAGE, re.M)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_decoder(tmp_path / "model")
    make_text(tmp_path / "train.jsonl", 320)
    make_text(tmp_path / "dev.jsonl", 30, seed=1)
    return tmp_path


def test_the_recipe_of_the_page_runs_without_advice(here):
    (here / "first.recipe").write_text(RECIPE, "utf-8")
    checked = check_all(read_source("first.recipe"), {})
    assert not any(checked.diagnostics) and checked.recipe is not None
    ended = command("run", "first.recipe", "-o", "out")
    assert (ended.code, ended.codes) == (0, []), ended.err
    ended = command(*ON_DISK.split(), "-o", "on-disk")
    assert (ended.code, ended.codes) == (0, []), ended.err
    assert Path("on-disk", "model.safetensors").read_bytes() == Path("out", "model.safetensors").read_bytes()
    assert "128 samples of at most 32 tokens" in " ".join(command("plan", "first.recipe").out.split())


@pytest.mark.parametrize("structure", ["unstructured", "4:8"])
@pytest.mark.parametrize("method", ["magnitude", "wanda", "sparsegpt"])
def test_the_recipe_of_the_library_runs_on_local_files(here, method, structure):
    line = RUN.replace("method=wanda", f"method={method}").split()
    ended = command(*line, "-p", f"structure={structure}", "-p", "max_length=32 tokens", "-o", "out")
    assert (ended.code, ended.codes) == (0, []), ended.err
    record = read_record(Path("out"))
    assert record["sparsity"]["targets"] == pytest.approx(0.5, abs=1e-3)
    assert [c["met"] for c in record["claims"]] == [True] * 3

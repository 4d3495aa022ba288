"""What `shrink` promises for every axis and ranking that the plan does not refuse."""

from __future__ import annotations

from pathlib import Path

import pytest
import transformers

from recipelang.loading.plan import planned
from tests.contract.shrinks import COLUMNS, HEAD, HOW, MODELS, Row, line, make_models, recipe, rows, tried, watched
from tests.contract.table import PAGE, SHRINKING, UPDATE, shrinking_on_the_page, table
from tests.contract.test_contract import refused
from tests.model_configs import walk_here
from tests.train.steps import run, same, stopped_often, weights

pytestmark = pytest.mark.filterwarnings("ignore:(.|\n)*W161")
CLASSES = {"masked_lm": transformers.AutoModelForMaskedLM, "causal_lm": transformers.AutoModelForCausalLM}
found: dict[Row, str] = {}


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("shrunk")
    make_models(folder)
    return folder


@pytest.fixture(scope="module")
def chosen(request) -> list[Row]:
    """What the tests that were asked for are of."""
    of_here = [i for i in request.session.items if i.module is request.module and "row" in i.fixturenames]
    return [i.callspec.params["row"] for i in of_here]


@pytest.fixture(scope="module")
def copies(models, chosen) -> dict[Row, str]:
    """What two processes do: measured for the page, else as the page has it."""
    if UPDATE:
        from tests.distributed.whole_contract import shrunk  # which imports this

        with pytest.MonkeyPatch.context() as here:
            walk_here(here)
            return shrunk(models, chosen)
    return {row: text.split(" | ")[6] for row, text in lines_on_the_page().items()}


@pytest.fixture(scope="module", autouse=True)
def _page(chosen):
    yield
    if not UPDATE or not chosen or not found.keys() >= {*chosen}:
        return
    lines = {**lines_on_the_page(), **found}
    missing = [str(row) for row in rows() if row not in lines]
    assert not missing, f"the page was not written: write {', '.join(missing)} as well"
    text = PAGE.read_text("utf-8").removesuffix(shrinking_on_the_page())
    PAGE.write_text(text + HEAD + table(COLUMNS, [lines[row] for row in rows()]), "utf-8")


def lines_on_the_page() -> dict[Row, str]:
    lines = [r for r in shrinking_on_the_page().splitlines() if r.startswith("| `")]
    return {Row(*(cell.strip("|` ") for cell in text.split(" | ")[:3])): text for text in lines}


@pytest.mark.parametrize("row", tried(), ids=str)
def test_shrinks(models, tmp_path, monkeypatch, copies, row):
    """Planned sizes, the same bits when it was cut anywhere, the same units in small parts; or a refusal."""
    walk_here(monkeypatch)
    refusals = {refused(recipe(models, row, how)) for how in HOW}
    (refusal,) = refusals
    if refusal:
        found[row] = line(row, why=refusal)
    else:
        for how in HOW:
            has_the_planned_sizes(models, tmp_path / how, row, how)
        found[row] = line(row, exact=True, copies=copies.get(row, "-"))
    if not UPDATE:
        write = "`RECIPELANG_UPDATE_CONTRACT=1 pytest -n 0 tests/contract/test_shrinks.py` writes it"
        assert lines_on_the_page().get(row) == found[row], write


def has_the_planned_sizes(models: Path, out: Path, row: Row, how: str) -> None:
    out.mkdir()
    path, units = recipe(models, row, how), {}
    for more in ("whole", "in parts", "bf16"):
        one = recipe(models, row, how, more)
        with watched(units.setdefault(more, [])):
            assert not run(one, out / more).failed
        is_as_planned(one, out / more, row)
    assert len(units["whole"]) == (2 if how == "in rounds" else 1)
    if (row.by, how) != ("taylor", "at once"):  # whose batches are as large as `micro_batch` says
        assert units["in parts"] == units["whole"]
    assert not same(weights(out / "in parts"), weights(out / "whole")), "nothing was cut into parts"
    assert stopped_often(path, out / "cut", 1) >= 3
    assert same(weights(out / "cut"), weights(out / "whole"))


def is_as_planned(path: Path, out: Path, row: Row) -> None:
    _, plan, _ = planned(str(path))
    *_, last = (s for stage in plan.stages for s in stage.shrinks)
    model, told = CLASSES[MODELS[row.model]].from_pretrained(out, output_loading_info=True)
    assert not any(told.values()), told
    assert sum(p.numel() for p in model.parameters()) == last.parameters[1] < plan.model.parameters
    shapes = {name: tuple(p.shape) for name, p in model.named_parameters()}
    for reshape in last.reshapes:
        assert shapes.get(reshape.name, last.shape_of(reshape)) == last.shape_of(reshape)
    for key, value in last.settings(last.config).items():
        assert getattr(model.config, key) == value, key


@pytest.mark.skipif(UPDATE, reason="the page is being written")
def test_the_page_has_every_row_and_no_other():
    write_it = "`RECIPELANG_UPDATE_CONTRACT=1 pytest -n 0 tests/contract/test_shrinks.py` writes it"
    there = lines_on_the_page()
    assert [*there] == rows(), write_it
    assert HEAD.startswith(SHRINKING) and shrinking_on_the_page() == HEAD + table(COLUMNS, [*there.values()]), write_it
    for text in there.values():
        kept, why = text.split(" | ")[3:7], text.split(" | ")[-1]
        assert "-" not in kept or why.startswith("E1"), text

"""What every pruning method promises with every pattern and scope that the plan does not refuse."""

from __future__ import annotations

from pathlib import Path

import pytest

from recipelang.engine.records import Interrupted
from recipelang.loading.plan import planned
from recipelang.methods import METHODS
from recipelang.source import RecipeError
from tests.contract.table import (
    PAGE,
    UPDATE,
    Combination,
    combinations,
    line,
    lines_on_the_page,
    page,
    shrinking_on_the_page,
    spread_on_the_page,
    tried,
)
from tests.decoders import make_decoder, make_text
from tests.train.steps import StopAt, also_acting, run, same, weights
from tests.train.test_pruning import Watch, targets

#: as little work as shows the method
MORE = {"obert": "block = 8, gradients = 8, batch = 4", "sparsegpt": "block = 16"}

RECIPE = """recipe 1 "contract"

model {{ base = "model", task = question_answering, dropout = 0%, attention_dropout = 0% }}
data {{ train = "train.json", validation = "dev.json", max_length = 32 tokens, stride = 8 tokens, samples = 24 samples }}
stage sparse {{
  length = 9 steps
  batch = 8
  checkpoint_every = 3 steps
  learning_rate = linear(1e-3 -> 1e-4, over = start..end)
  prune weights {{
    targets = @linear & @encoder
    never = @embeddings | @head
    method = {method}
    pattern = {pattern}
    sparsity = {sparsity}
  }}
}}
expect pattern(@linear & @encoder) == {pattern}
"""
JUMP = "step(0% -> 50%, at = 3 steps)"  # an N:M pattern has one sparsity
RAMP = "linear(0% -> 60%, over = 1 step .. 7 steps, every = 2 steps)"
SWAPS = "linear(50% -> 60%, over = start .. 7 steps, every = 2 steps)"

#: what was found, for the page
found: dict[Combination, str] = {}


def recipe(folder: Path, it: Combination) -> Path:
    sparsity = JUMP if it.pattern == "2:4" else SWAPS if it.method == "rigl" else RAMP
    path = folder / "contract.recipe"
    path.write_text(RECIPE.format(method=written(it), pattern=it.pattern, sparsity=sparsity), "utf-8")
    return path


def written(it: Combination) -> str:
    arguments = ", ".join(filter(None, (f"scope = {it.scope}" if it.scope else "", MORE.get(it.method, ""))))
    return f"{it.method}({arguments})" if arguments else it.method


@pytest.fixture
def watch(monkeypatch):
    seen: list[Watch] = []
    also_acting(monkeypatch, lambda stage: seen.append(Watch(drawn(stage))) or seen[-1])
    return seen


def drawn(stage) -> set[str]:
    return {t.name for p in stage.prunes if METHODS[p.method].masks == "draws" for t in p.targets}


@pytest.fixture(scope="module")
def chosen(request) -> list[Combination]:
    """What the tests that were asked for are of."""
    return [
        i.callspec.params["it"] for i in request.session.items if i.module is request.module and "it" in i.fixturenames
    ]


@pytest.fixture(scope="module", autouse=True)
def _page(chosen):
    yield
    if not UPDATE or not found.keys() >= set(chosen):
        return
    lines = {**lines_on_the_page(), **found}
    training, one_shot = combinations(), combinations(one_shot=True)
    missing = {it.method for it in (*training, *one_shot) if it not in lines}
    assert not missing, f"the page was not written: write {', '.join(sorted(missing))} as well"
    text = page([lines[it] for it in training], [lines[it] for it in one_shot], shrinking_on_the_page())
    PAGE.write_text(text, "utf-8")


@pytest.fixture(scope="module")
def spread(chosen):
    """What two processes do: measured for the page, else as the page has it."""
    if not UPDATE:
        return spread_on_the_page()
    from tests.distributed.whole_contract import measured  # which imports this

    return measured([it for it in chosen if not it.one_shot])


def stands_on_the_page(it: Combination) -> None:
    """The line that was found is the line of the page, or the page is being written."""
    if not UPDATE:
        write = f"`RECIPELANG_UPDATE_CONTRACT=1 pytest -n 0 tests/contract -k {it.method}` writes it"
        assert lines_on_the_page().get(it) == found[it], write


@pytest.mark.parametrize("it", tried(), ids=str)
def test_contract(project, tmp_path, watch, spread, it):
    """Exact counts at every step, zeros in weights and moments, the same bits when it was cut in two; or a refusal."""
    path = recipe(project().parent, it)
    refusal = refused(path)
    if refusal:
        found[it] = line(it, why=refusal)
    elif it.pattern == "2:4" and it.scope not in ("", "uniform"):
        mine, uniform = (plan_of(p) for p in (path, recipe(path.parent, Combination(it.method, it.pattern, "uniform"))))
        assert mine.model_copy(update={"args": uniform.args}) == uniform
        why = "the same plan as `uniform`: every group has its own zeros"
        found[it] = line(it, exact=True, resumed=True, spread=spread.get(it, ("-", "-")), why=why)
    else:
        keeps_its_counts(path, tmp_path, watch, it.pattern)
        goes_on_where_it_was(path, tmp_path)
        found[it] = line(it, exact=True, resumed=True, spread=spread.get(it, ("-", "-")))
    stands_on_the_page(it)


def refused(path: Path) -> str:
    """The code and headline of the one error that the plan has, if any."""
    try:
        planned(str(path))
    except RecipeError as error:
        (only,) = [d for d in error.diagnostics if d.severity == "error"]
        assert only.primary is not None and only.help
        return f"{only.code}: {only.message}"
    return ""


def plan_of(path: Path):
    return planned(str(path))[1].stages[0].prunes[0]


def keeps_its_counts(path: Path, tmp_path: Path, watch: list[Watch], pattern: str) -> None:
    assert not run(path, tmp_path / "whole").failed
    planned_zeros = {e.step: sum(e.zeros) for e in plan_of(path).events}
    in_force = 0
    for step, count in enumerate(watch[0].counts):
        in_force = planned_zeros.get(step, in_force)
        assert count == in_force, step
    whole = targets(tmp_path / "whole")
    assert sum(int((w == 0).sum()) for w in whole.values()) == in_force > 0
    _keeps_its_pattern(whole, pattern)


def goes_on_where_it_was(path: Path, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        run(path, tmp_path / "cut", StopAt(5))
    run(path, tmp_path / "cut", resume=True)
    assert same(weights(tmp_path / "cut"), weights(tmp_path / "whole"))


def _keeps_its_pattern(found, pattern: str) -> None:
    for weight in found.values():
        if pattern == "2:4":
            assert set((weight.view(-1, 4) == 0).sum(1).tolist()) == {2}
        elif pattern == "block(2, 4)":
            rows, columns = weight.shape
            tiles = (weight == 0).view(rows // 2, 2, columns // 4, 4).sum((1, 3))
            assert set(tiles.view(-1).tolist()) <= {0, 8}


# ------------------------------------------------------------------------------------------------------- one shot
SHOT = """recipe 1 "contract"

model {{ base = "model", task = {task} }}
data {{ train = "{data}", max_length = 32 tokens, samples = 20 samples }}
stage cut {{
  mode = one_shot
  prune weights {{
    targets = @linear & @{part}
    never = @embeddings | @head
    method = {method}
    pattern = {pattern}
    sparsity = 50%
  }}
}}
"""


@pytest.mark.parametrize("it", tried(one_shot=True), ids=str)
def test_one_shot(project, tmp_path, it):
    """Exact counts, masks and weights agree, whole groups, and the same bits again, on both kinds of model."""
    project()
    make_decoder(tmp_path / "decoder" / "model")
    make_text(tmp_path / "decoder" / "train.jsonl", 60)
    encoder = shot(tmp_path, it, part="encoder", task="question_answering", data="train.json")
    decoder = shot(tmp_path / "decoder", it, part="decoder", task="causal_lm", data="train.jsonl")
    refusal = refused(encoder)
    assert refused(decoder) == refusal
    found[it] = line(it, exact=not refusal, why=refusal)
    if not refusal:
        cuts_exactly(encoder, it.pattern)
        cuts_exactly(decoder, it.pattern)
    stands_on_the_page(it)


def shot(folder: Path, it: Combination, **words: str) -> Path:
    path = folder / "shot.recipe"
    path.write_text(SHOT.format(method=written(it), pattern=it.pattern, **words), "utf-8")
    return path


def cuts_exactly(path: Path, pattern: str) -> None:
    prune = plan_of(path)
    for out in ("one", "two"):
        assert not run(path, path.parent / out).failed
    cut = weights(path.parent / "one")
    zeros = [int((cut[t.name] == 0).sum()) for t in prune.targets]
    event = prune.events[0].zeros
    assert (sum(zeros) if len(event) == 1 else tuple(zeros)) == (event[0] if len(event) == 1 else event)
    assert sum(event) > 0
    _keeps_its_pattern({t.name: cut[t.name] for t in prune.targets}, pattern)
    assert same(cut, weights(path.parent / "two"))


@pytest.mark.skipif(UPDATE, reason="the page is being written")
def test_the_page_has_every_combination_and_no_other():
    text, shrinking = PAGE.read_text("utf-8"), shrinking_on_the_page()
    lines = [r for r in text.removesuffix(shrinking).splitlines() if r.startswith("| `")]
    training, one_shot = combinations(), combinations(one_shot=True)
    write_it = "`RECIPELANG_UPDATE_CONTRACT=1 pytest -n 0 tests/contract -k METHOD` writes the lines of a method"
    wanted = [line(it).split(" | ")[:3] for it in (*training, *one_shot)]
    assert [r.split(" | ")[:3] for r in lines] == wanted, write_it
    assert text == page(lines[: len(training)], lines[len(training) :], shrinking)
    for row in lines:
        kept, why = row.split(" | ")[3:6], row.split(" | ")[-1]
        assert "-" not in kept[: 1 if len(row.split(" | ")) == 5 else 3] or why.startswith("E0"), row

"""What every pruning method promises with every pattern and scope that the plan does not refuse."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

import recipelang.engine.run as engine
from recipelang.cli.plan import planned
from recipelang.engine.records import Interrupted
from recipelang.source import RecipeError
from recipelang.spec.methods import METHODS
from tests.train.steps import StopAt, run, same, weights
from tests.train.test_pruning import Watch, targets

SCOPES = ("uniform", "global", "row", "erk")
PATTERNS = ("unstructured", "2:4", "block(2, 4)")
SCHEDULED = [name for name, signature in METHODS.items() if signature.scheduled]
#: as little work as shows the method
MORE = {"obert": ", block = 8, gradients = 8, batch = 4"}
#: what the plan refuses, with its reason on the page of E054
REFUSED = {("block(2, 4)", "row")}

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
    method = {method}(scope = {scope}{more})
    pattern = {pattern}
    sparsity = {sparsity}
  }}
}}
expect pattern(@linear & @encoder) == {pattern}
"""


def combinations() -> list[tuple[str, str, str]]:
    every = itertools.product(SCHEDULED, PATTERNS, SCOPES)
    return [c for c in every if c[1:] not in REFUSED and not (c[1] == "2:4" and c[2] != "uniform")]


def recipe(folder: Path, method: str, pattern: str, scope: str) -> Path:
    ramp = "linear(0% -> 60%, over = 1 step .. 7 steps, every = 2 steps)"
    sparsity = "step(0% -> 50%, at = 3 steps)" if pattern == "2:4" else ramp
    path = folder / "contract.recipe"
    path.write_text(
        RECIPE.format(method=method, scope=scope, more=MORE.get(method, ""), pattern=pattern, sparsity=sparsity),
        "utf-8",
    )
    return path


@pytest.fixture
def watch(monkeypatch):
    seen: list[Watch] = []
    original = engine._Run._modifiers

    def with_watch(self, stage):
        seen.append(Watch())
        return [*original(self, stage), seen[-1]]

    monkeypatch.setattr(engine._Run, "_modifiers", with_watch)
    return seen


@pytest.mark.parametrize(("method", "pattern", "scope"), combinations())
def test_contract(project, tmp_path, watch, method, pattern, scope):
    """Exact counts at every step, zeros in weights and moments, the same bits again, and when it was cut in two."""
    path = recipe(project().parent, method, pattern, scope)
    stage = planned(str(path))[1].stages[0]
    assert not run(path, tmp_path / "whole").failed
    planned_zeros = {e.step: sum(e.zeros) for e in stage.prunes[0].events}
    in_force = 0
    for step, count in enumerate(watch[0].counts):
        in_force = planned_zeros.get(step, in_force)
        assert count == in_force, step
    whole = targets(tmp_path / "whole")
    assert sum(int((w == 0).sum()) for w in whole.values()) == in_force > 0
    _keeps_its_pattern(whole, pattern)

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


@pytest.mark.parametrize("pattern", sorted({p for p, _ in REFUSED}))
def test_what_is_not_promised_is_refused(project, pattern):
    path = recipe(project().parent, "magnitude", pattern, "row")
    with pytest.raises(RecipeError) as refused:
        planned(str(path))
    assert [d.code for d in refused.value.diagnostics] == ["E054"]


@pytest.mark.parametrize("method", SCHEDULED)
def test_every_scope_that_a_method_names_is_in_the_contract(method):
    (scope,) = [a for a in METHODS[method].arguments if a.name == "scope"]
    assert tuple(scope.kind.symbols) == SCOPES

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
from tests.decoders import make_decoder, make_text
from tests.train.steps import StopAt, run, same, weights
from tests.train.test_pruning import Watch, targets

SCOPES = ("uniform", "global", "row", "erk")
PATTERNS = ("unstructured", "2:4", "block(2, 4)")
SCHEDULED = [name for name, signature in METHODS.items() if signature.scheduled and signature.wants != "inputs"]
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


# ------------------------------------------------------------------------------------------------------- one shot
#: methods that go layer by layer rank in their own scopes; the others as they do in training
ONE_SHOT = [name for name, signature in METHODS.items() if signature.scheduled and signature.wants != "steps"]

SHOT = """recipe 1 "contract"

model {{ base = "model", task = {task} }}
data {{ train = "{data}", max_length = 32 tokens, stride = 8 tokens, samples = 20 samples }}
stage cut {{
  mode = one_shot
  prune weights {{
    targets = @linear & @{part}
    never = @embeddings | @head
    method = {method}(scope = {scope}{more})
    pattern = {pattern}
    sparsity = 50%
  }}
}}
"""


def shots() -> list[tuple[str, str, str]]:
    found = []
    for method in ONE_SHOT:
        (scopes,) = [a.kind.symbols for a in METHODS[method].arguments if a.name == "scope"]
        every = itertools.product([method], PATTERNS, scopes)
        found += [c for c in every if c[1:] not in REFUSED and (c[1] != "2:4" or c[2] == scopes[0])]
    return found


@pytest.mark.parametrize("part", ["encoder", "decoder"])
@pytest.mark.parametrize(("method", "pattern", "scope"), shots())
def test_one_shot(project, tmp_path, part, method, pattern, scope):
    """Exact counts, masks and weights agree, whole groups, and the same bits again."""
    project()
    task, data = "question_answering", "train.json"
    if part == "decoder":
        make_decoder(tmp_path / "model")
        make_text(tmp_path / "train.jsonl", 60)
        task, data = "causal_lm", "train.jsonl"
    path = tmp_path / "shot.recipe"
    more = MORE.get(method, "") or {"sparsegpt": ", block = 16"}.get(method, "")
    path.write_text(
        SHOT.format(task=task, data=data, part=part, method=method, scope=scope, more=more, pattern=pattern), "utf-8"
    )
    (prune,) = planned(str(path))[1].stages[0].prunes
    for out in ("one", "two"):
        assert not run(path, tmp_path / out).failed
    found = weights(tmp_path / "one")
    zeros = [int((found[t.name] == 0).sum()) for t in prune.targets]
    event = prune.events[0].zeros
    assert (sum(zeros) if len(event) == 1 else tuple(zeros)) == (event[0] if len(event) == 1 else event)
    assert sum(event) > 0
    _keeps_its_pattern({t.name: found[t.name] for t in prune.targets}, pattern)
    assert same(found, weights(tmp_path / "two"))

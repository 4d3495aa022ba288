"""Types that are in no table of ours, from plan to reloaded weights; `make models` tries all that are known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from recipelang.engine.walk import walk
from recipelang.planning import structure
from tests.model_table import checks


@pytest.fixture(autouse=True)
def here(monkeypatch):
    """No process for each: the walk has tests of its own."""
    answer = structure._ANSWER.validate_json
    monkeypatch.setattr(
        structure, "_ask", lambda request, kind: answer(json.dumps(walk(json.loads(request))), strict=True)
    )


@pytest.mark.parametrize(
    ("kind", "task"),
    [
        ("gpt2", "causal_lm"),  # matrices stored inputs first, one for embeddings and head
        ("modernbert", "masked_lm"),  # fused projections, windows
        ("albert", "sequence_classification"),  # layers that share their weights
        ("mixtral", "causal_lm"),  # experts
    ],
)
def test_a_type_is_planned_pruned_and_read_again(kind, task, tmp_path: Path):
    assert list(checks(tmp_path, kind, task))[:4] == ["facts", "plan", "train", "zeros"]

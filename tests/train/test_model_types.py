"""Types that are in no table of ours, from plan to reloaded weights; `make models` tries all that are known."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.model_configs import walk_here
from tests.model_table import checks


@pytest.fixture(autouse=True)
def here(monkeypatch):
    walk_here(monkeypatch)


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

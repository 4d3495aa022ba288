"""Types that are in no table of ours, from plan to reloaded weights; `make models` tries all that are known."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.model_configs import walk_here
from tests.model_heads import heads
from tests.model_page import PAGE, cells, state
from tests.model_table import CHECKS, Seen, checks
from tests.model_types import TYPES


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
def test_a_type_works_as_its_page_says(kind, task, tmp_path: Path):
    seen = Seen()
    passed = list(checks(tmp_path, kind, task, seen, whole=task == heads()[kind][0]))
    found = {"passed": passed, "unseen": sorted(seen.unseen), "chained": seen.chained, "why": ""}
    assert passed[:4] == ["facts", "plan", "train", "zeros"]
    assert cells()[kind][task].split(" ")[0] == state(found, task == heads()[kind][0])


def test_the_page_has_a_row_for_every_type_with_a_head():
    every = heads()
    assert cells().keys() == {kind for kind in TYPES if kind in every}
    text = PAGE.read_text("utf-8")
    assert [kind for kind in every if f"| `{kind}` |" not in text] == []


def test_a_row_is_as_good_as_its_checks():
    every = {"passed": list(CHECKS), "unseen": [], "chained": True, "why": ""}
    assert [state(every, True), state(None, True)] == ["yes", "open"]
    assert state(every | {"unseen": ["a.*.b"]}, True) == "part"
    assert state(every | {"passed": list(CHECKS[:6])}, True) == "part"
    assert state(every | {"passed": list(CHECKS[:6])}, False) == "yes"
    assert state(every | {"passed": ["facts", "plan"]}, False) == "no"

"""`docs/tasks.md` names what the tasks look for."""

import re
from pathlib import Path

import pytest

from recipelang.loading.read import check_all
from recipelang.source import Source
from recipelang.spec.metrics import METRICS, MORE_METRICS
from recipelang.tasks import (
    multiple_choice as mc,
    regression,
    sentence_similarity as ss,
    sequence_classification as sc,
    task_of,
    text_to_text as t2t,
    token_classification as tc,
)

PAGE = (Path(__file__).parents[3] / "docs" / "tasks.md").read_text("utf-8")


def row(column):
    (found,) = re.findall(rf"^\| {re.escape(column)} \| (.*) \|$", PAGE, re.M)
    return tuple(re.findall(r"`([^`]+)`", found))


def test_usual_names_are_those_of_the_page():
    assert row("`text` and `pair`") == tuple(name for pair in sc.PAIRS for name in pair)
    pairs = (name for pair in ss.PAIRS for name in pair)
    assert row("`text` and `pair` of `sentence_similarity`") == tuple(pairs)
    assert row("`negative`, `score`") == (*ss.NEGATIVE, *ss.SCORE)
    assert row("`text` alone") == sc.SINGLE
    assert row("`label`") == sc.LABEL
    assert row("`label` of a regression") == regression.LABEL
    assert row("`source` and `target`") == tuple(name for pair in t2t.PAIRS for name in pair)
    assert row("`question`") == mc.QUESTION
    assert row("`context`") == mc.CONTEXT
    assert row("`answer`") == mc.ANSWER
    assert (row("`tokens`"), row("`tags`")) == (tc.TOKENS, tc.TAGS)
    assert tuple(dict.fromkeys(re.sub(r"\d$", "", name) for name in row("`choices`"))) == mc.CHOICES


def test_every_task_has_its_metrics_on_the_page():
    for task, metrics in METRICS.items():
        (line,) = re.findall(rf"^\| `{task}` \|.*$", PAGE, re.M)
        assert {*metrics, *MORE_METRICS.get(task, ())} <= set(re.findall(r"`([^`]+)`", line))
        assert task_of(task).fields


@pytest.mark.parametrize("text", re.findall(r"^```\n(recipe 1 .*?)^```", PAGE, re.S | re.M))
def test_its_recipes_have_no_findings(text):
    assert [d.code for d in check_all(Source("page", text), {}).diagnostics] == []

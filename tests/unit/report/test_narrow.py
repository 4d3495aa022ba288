"""Screens on narrow terminals: what does not fit is folded, and nothing is cut off; no line ends in blanks."""

import re
from collections import Counter

import pytest
from rich.console import Console

from recipelang.loading.plan import planned
from recipelang.report.cleaned import Cleaned, plain
from recipelang.report.plan_screen import full
from recipelang.report.prune_screen import targets

ENDS = re.compile(r"[ \t]+$", re.M)


def marks(text):
    return Counter(re.sub(r"\s", "", text))


@pytest.fixture
def plan(project):
    recipe, plan, _ = planned(str(project()))
    return recipe, plan


@pytest.mark.parametrize("width", [60, 80, 100])
def test_nothing_of_a_table_of_targets_is_cut_off(plan, width):
    (prune,) = plan[1].stages[-1].prunes
    table = targets(prune, plan[1].model.parameters)
    shown = plain(table, width)
    assert max(map(len, shown.splitlines())) <= width
    assert marks(shown) == marks(plain(table, 200))


@pytest.mark.parametrize("width", [60, 80, 100])
def test_a_plan_keeps_to_the_width_and_loses_nothing(plan, width):
    shown = plain(full(*plan, width), width)
    assert max(map(len, shown.splitlines())) <= width
    before_the_plot = (text.partition("100% ┤")[0] for text in (shown, plain(full(*plan, 200), 200)))
    narrow, wide = map(marks, before_the_plot)
    assert narrow == wide
    assert ENDS.search(shown) is None


def test_no_line_of_a_pipe_ends_in_blanks_whatever_is_printed(capsys):
    console = Console(width=40, highlight=False)
    console.push_render_hook(Cleaned())
    console.print("a  \nb", end="  ")
    console.print("c   ", style="bold")
    console.print("   ")
    assert capsys.readouterr().out == "a\nb  c\n\n"

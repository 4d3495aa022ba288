"""Broken recipes end in coded findings, whatever is broken."""

import random
from pathlib import Path

import pytest

from recipelang.cli.validate import check_all
from recipelang.source import Source
from recipelang.source.codes import codes
from recipelang.source.render import render

QUICKSTART = Path(__file__).parents[3] / "recipes" / "quickstart.recipe"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("recipe 1 tiny\n", "E010"),
        ('recipe "tiny"\n', "E010"),
        ("recipe 1)\nseed = 1\n", "E010"),
        ("recipe", "E010"),
        ("recipe 1\nstage a {\n  length } = dense\n}\n", "E001"),
        ("recipe 1\nmodel {\n  base = \n", "E005"),
    ],
)
def test_broken_text_is_a_finding(text, code):
    assert code in [d.code for d in check_all(Source("a.recipe", text), {}).diagnostics]


@pytest.mark.parametrize("seed", range(40))
def test_corrupted_recipe_is_reported_without_a_crash(seed):
    rng = random.Random(seed)
    text = QUICKSTART.read_text("utf-8")
    for _ in range(4):
        at = rng.randrange(len(text))
        piece = rng.choice(
            ["", '"', "}", "{", "= 8 ", " x ", "(", ")", ":", "\n", "123 ", "\\", '"}', "batch 8 lr = 2"]
        )
        text = text[:at] + piece + text[at + rng.choice([0, 1, 12]) :]
    found = check_all(Source("a.recipe", text), {}).diagnostics
    render(found.sorted())
    assert {d.code for d in found} <= set(codes())

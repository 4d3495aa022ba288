"""Every code has a page, and the recipes on the pages do what the pages say."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from recipelang.cli.validate import check_all
from recipelang.source import Source
from recipelang.source.codes import codes, page

PACKAGE = Path(__file__).parents[3] / "recipelang"
USED = sorted(
    {code for file in PACKAGE.rglob("*.py") for code in re.findall(r'"([EW]\d{3})"', file.read_text("utf-8"))}
)


def samples(code: str) -> list[str]:
    return re.findall(r"```recipe\n(.*?)\n```", page(code) or "", re.S)


def test_every_code_in_the_program_has_a_page():
    assert [c for c in USED if c not in codes()] == []


@pytest.mark.parametrize("code", [c for c in codes() if samples(c)])
def test_failing_recipe_of_a_page_fails_with_its_code_and_the_mended_one_passes(code):
    failing, mended = samples(code)
    found = [d.code for d in check_all(Source("failing.recipe", failing + "\n"), {}).diagnostics]
    assert found == [code]
    assert list(check_all(Source("mended.recipe", mended + "\n"), {}).diagnostics) == []


def test_explain_prints_the_page():
    out = subprocess.run([sys.executable, "-m", "recipelang", "explain", "e051"], capture_output=True, text=True)
    assert out.returncode == 0
    assert out.stdout.startswith("# E051: ")


def test_explain_of_an_unknown_code_suggests_one():
    out = subprocess.run([sys.executable, "-m", "recipelang", "explain", "E5"], capture_output=True, text=True)
    assert out.returncode == 2
    assert "no code" in out.stderr

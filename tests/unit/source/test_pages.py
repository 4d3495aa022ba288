"""Every code has a page, and the recipes on the pages do what the pages say."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from recipelang.loading.read import check_all
from recipelang.planning.resolve import resolve
from recipelang.source import Diagnostics, Source
from recipelang.source.codes import codes, page
from recipelang.spec.recipe import Checked
from tests.reading import files_of

PACKAGE = Path(__file__).parents[3] / "recipelang"
USED = sorted(
    {code for file in PACKAGE.rglob("*.py") for code in re.findall(r'"([EWL]\d{3})"', file.read_text("utf-8"))}
)


def samples(code: str) -> list[str]:
    return re.findall(r"```recipe\n(.*?)\n```", page(code) or "", re.S)


def test_every_code_in_the_program_has_a_page_and_every_page_a_code():
    assert list(codes()) == USED


def found_by_check(text: str, tiny: Path) -> Checked:
    path = files_of(text, tiny)
    return check_all(Source(str(path), path.read_text("utf-8")), {}, complete=True)


def found_by_plan(checked: Checked, tiny: Path) -> list[str]:
    found = Diagnostics()
    resolve(checked.recipe, tiny, found)
    return [d.code for d in found]


@pytest.mark.parametrize("code", [c for c in codes() if samples(c) and c[0] != "L"])  # lint rules: unit/lint
def test_failing_recipe_of_a_page_fails_with_its_code_and_the_mended_one_passes(code, tiny):
    failing, mended = (found_by_check(text, tiny) for text in samples(code))
    assert list(mended.diagnostics) == []
    if failing.diagnostics.errors:
        assert [d.code for d in failing.diagnostics] == [code]
    else:
        assert found_by_plan(failing, tiny) == [code]
        assert found_by_plan(mended, tiny) == []


@pytest.mark.parametrize("code", codes())
def test_page_has_its_whole_shape(code):
    title, _, body = page(code).partition("\n")
    assert re.fullmatch(rf"# {code}: [a-z`].*[^.]", title)
    assert len(title.split()) <= 2 + 10
    assert len(body.split()) >= 25
    assert len(samples(code)) in (0, 2)
    assert max(len(line) for line in page(code).splitlines()) <= 120


@pytest.mark.parametrize("code", codes())
def test_related_codes_of_a_page_exist(code):
    named = re.findall(r"\b[EW]\d{3}\b", page(code))
    assert [c for c in named if c not in codes()] == []


def test_explain_prints_the_page():
    out = subprocess.run([sys.executable, "-m", "recipelang", "explain", "e051"], capture_output=True, text=True)
    assert out.returncode == 0
    assert out.stdout.startswith("# E051: ")


def test_explain_of_an_unknown_code_suggests_one():
    out = subprocess.run([sys.executable, "-m", "recipelang", "explain", "E5"], capture_output=True, text=True)
    assert out.returncode == 2
    assert "no code" in out.stderr

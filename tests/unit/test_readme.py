"""The recipes in the documents are recipes."""

import re
from pathlib import Path

import pytest

from recipelang.loading.read import check_all
from recipelang.methods import METHODS
from recipelang.source import Source
from recipelang.spec.metrics import TASKS

ROOT = Path(__file__).parents[2]
SAMPLES = [
    (path.name, text)
    for path in (ROOT / "README.md", ROOT / "recipes" / "README.md")
    for text in re.findall(r"^```\n(recipe \d.*?)^```", path.read_text("utf-8"), re.S | re.M)
]


def test_the_readme_shows_a_recipe():
    assert any(name == "README.md" for name, _ in SAMPLES)


@pytest.mark.parametrize(("name", "text"), SAMPLES)
def test_recipe_in_a_document_has_no_findings(name, text):
    assert [f"{d.code} {d.message}" for d in check_all(Source(name, text), {}).diagnostics] == []


HEADLINE = re.compile(r"^(?:error|warning|info)\[([EWL]\d{3})\]: (.*)$", re.M)
SHOWN = [
    (path.name, *found)
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
    for found in HEADLINE.findall(path.read_text("utf-8"))
]


def shape(headline: str) -> str:
    """Without names and numbers, which are those of the example."""
    return re.sub(r"`[^`]*`|[\d.,]+%?", "_", headline)


@pytest.mark.parametrize(("name", "code", "headline"), SHOWN)
def test_a_headline_in_a_document_is_one_that_is_shown(name, code, headline):
    cases = (p.read_text("utf-8") for p in (ROOT / "tests" / "cases" / "diagnostics").glob(f"{code}*.case"))
    assert shape(headline) in {shape(h) for text in cases for c, h in HEADLINE.findall(text) if c == code}


# ------------------------------------------------------- what is listed by hand
def named(page: str) -> set[str]:
    return set(re.findall(r"`([a-z_]+)`", (ROOT / page).read_text("utf-8")))


@pytest.mark.parametrize("page", ["README.md", "docs/tasks.md"])
def test_a_page_names_every_task(page):
    assert set(TASKS) - set(re.findall(r"[a-z_]+", (ROOT / page).read_text("utf-8"))) == set()


def lacking(page: str, wanted: set[str]) -> str:
    missing = sorted(wanted - named(page))
    return f"{page} does not name the method {', '.join(f'`{m}`' for m in missing)}" if missing else ""


def test_the_readme_names_every_method():
    assert lacking("README.md", METHODS.keys() - {"release"}) == ""


def test_the_page_of_methods_helps_to_choose_among_all():
    assert lacking("docs/methods.md", set(METHODS)) == ""


def test_the_page_of_one_shot_says_of_every_method_whether_it_works_there():
    assert lacking("docs/oneshot.md", set(METHODS)) == ""


def test_the_page_of_several_processes_names_methods_that_share_samples_and_those_without_shards():
    named_there = {m.name for m in METHODS.values() if m.scheduled and (m.looks_at == "gradients" or not m.shards)}
    assert lacking("docs/distributed.md", named_there) == ""

"""Plurals and articles in what the program prints: no "1 steps", no "a optimizer"."""

import io
import re
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from recipelang.cli.reference_pages import pages
from recipelang.loading.plan import planned
from recipelang.loading.read import read_around
from recipelang.planning.types import Plan
from recipelang.report import plan_screen
from recipelang.report.run import planned as planned_page
from recipelang.source.words import amount, an, duration, first_n, listed, plural, size_text
from tests.conftest import RECIPE

ROOT = Path(__file__).parents[3]
COUNTED = [
    "steps",
    "tensors",
    "weights",
    "matrices",
    "events",
    "epochs",
    "layers",
    "runs",
    "claims",
    "files",
    "checks",
    "examples",
    "samples",
    "tokens",
    "parameters",
    "stages",
    "classes",
    "references",
    "gradients",
    "findings",
    "errors",
    "warnings",
    "remarks",
    "rows",
    "seeds",
    "windows",
    "passes",
]
ONE = re.compile(rf"(?<![\d.,:/±-])(?<!SparseML )1 (?:\w+ ){{0,1}}(?:{'|'.join(COUNTED)})\b")
MANY = re.compile(
    rf"(?<![\d.,:/])(?<!step )(?:0|[2-9]|\d\d+) (?:{'|'.join(c.removesuffix('s') for c in COUNTED)})\b(?![- ]\w+s\b)"
)
ARTICLE = re.compile(r"(?<![\w.`'/-])(an?) (`?[A-Za-z][\w:.-]*)")


def faults(text: str) -> list[str]:
    """Counts and articles of a text that are not English."""
    wrong = [m[0] for pattern in (ONE, MANY) for m in pattern.finditer(text)]
    for article, noun in ARTICLE.findall(text):
        if len(noun.strip("`")) > 1 and an(noun).split()[0] != article:
            wrong.append(f"{article} {noun}")
    return wrong


@pytest.mark.parametrize(
    "text", ["first 1 steps", "expected a optimizer", "an model", "an `step`", "2 step of 8", "a F1"]
)
def test_faults_are_found(text):
    assert faults(text)


@pytest.mark.parametrize("n", [0, 1, 2, 21, 1_234])
@pytest.mark.parametrize("noun", [*(c.removesuffix("s") for c in COUNTED[:3]), "prune block", "entry", "batch", "key"])
def test_a_count_has_the_number_of_its_noun(n, noun):
    assert faults(f"{plural(n, noun)}; {first_n(n, noun)}") == []
    assert plural(n, noun).startswith(f"{n:,} ") and plural(n, noun).endswith(noun) == (n == 1)


def test_nouns_that_end_otherwise():
    assert [plural(2, n) for n in ("matrix", "class", "entry", "key", "batch")] == [
        "2 matrices",
        "2 classes",
        "2 entries",
        "2 keys",
        "2 batches",
    ]


def test_articles_follow_the_sound():
    words = [
        "optimizer",
        "model",
        "`epoch`",
        "uniform",
        "user",
        "hour",
        "N:M",
        "F1",
        "FP32",
        "L2",
        "one",
        "unknown",
        "SQuAD",
        "NaN",
        "MLM",
    ]
    assert [an(w).split()[0] for w in words] == [
        "an",
        "a",
        "an",
        "a",
        "a",
        "an",
        "an",
        "an",
        "an",
        "an",
        "a",
        "an",
        "a",
        "a",
        "an",
    ]


def test_sizes_and_times_as_people_read_them():
    assert [size_text(n) for n in (1, 512, 1_000, 45_200_000, 1_240_000_000)] == [
        "1 byte",
        "512 bytes",
        "1.00 kB",
        "45.2 MB",
        "1.24 GB",
    ]
    assert [amount(n) for n in (768, 84_500, 22_600_000, 1_240_000_000)] == ["768", "84.5 k", "22.6 M", "1.24 B"]
    assert [duration(s) for s in (24.4, 264, 11_100)] == ["24 s", "4 min 24 s", "3 h 5 min"]


@pytest.fixture(scope="module")
def form(tiny, tmp_path_factory):
    here = tmp_path_factory.mktemp("words")
    shutil.copytree(tiny, here, dirs_exist_ok=True)
    (here / "tiny.recipe").write_text(RECIPE.format(length="2 epochs", extra=""), "utf-8")
    return planned(str(here / "tiny.recipe"), read_around([]))[1].model_dump_json()


@pytest.mark.parametrize("count", [1, 2, 1_000])
def test_screens_and_pages_count_in_english(form, count):
    """Every count of a plan that a screen names, as 1, 2 and 1,000."""
    plan = Plan.model_validate_json(form)
    stages = [
        s.model_copy(
            update={
                "steps_per_epoch": count,
                "prunes": tuple(
                    p.model_copy(update={"targets": p.targets[:count], "events": p.events[:count]}) for p in s.prunes
                ),
            }
        )
        for s in plan.stages
    ]
    plan = plan.model_copy(update={"stages": tuple(stages[:count]), "rehearsal": count})
    out = io.StringIO()
    console = Console(file=out, width=200)
    console.print(plan_screen.short(plan))
    for stage in plan.stages:
        console.print(plan_screen._stage_block(plan, stage))
    assert [f for line in out.getvalue().splitlines() for f in faults(" ".join(line.split()))] == []
    assert faults(re.sub(r"<[^>]+>", " ", " ".join(planned_page(plan)))) == []


def test_reference_pages_and_documents_are_in_english():
    texts = pages() | {
        p.name: p.read_text("utf-8") for p in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    }
    assert {
        name: found
        for name, text in texts.items()
        if (found := faults(re.sub(r"```.*?```|<[^>]+>", "", text, flags=re.S)))
    } == {}


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ((), ""),
        (("a",), "`a`"),
        (("a", "b"), "`a`, `b`"),
        (("a", "b", "c" * 9), "`a`, `b` and 1 more"),
        (("c" * 9,), "`cccc`"),
    ],
)
def test_of_many_names_the_first_are_listed_and_the_others_counted(names, said):
    assert listed(names, 2, longest=4) == said

"""Rules do not cry wolf: each of these looks like a case for a rule and is none."""

import pytest

from recipelang.lint import RULES
from recipelang.lint.rules.regex_for_glob import glob_of
from tests.advice import codes
from tests.conftest import RECIPE

TEXT = RECIPE.format(length="2 epochs", extra="")
PRUNE = "targets = @linear & @encoder\n    never = @embeddings | @head"
SPARSITY = "cubic(50% -> target, over = 0%..80%, every = 2 steps)"
CLAIM = "expect sparsity(@linear & @encoder) == target ± 0.1%"


@pytest.mark.parametrize(
    ("code", "old", "new"),
    [
        ("L003", "never = @embeddings | @head", "never = @head"),
        ("L010", "= 90%", "= 96.9%"),
        ("L013", "cubic(50% -> target, over = 0%..80%, every = 2 steps)", "step(0% -> target, at = 2 steps)"),
        ("L015", "rewind = 1 epoch", "rewind = 5 steps"),  # an event every two steps is always near
        ("L024", "", ""),  # a pruned stage learns from the dense one before
        ("L030", "magnitude(scope = uniform)", "obert(block = 2)"),
        ("L040", "", ""),  # every seed has more than nought
        ("L040", "dev.f1 >= 0%", "dev.f1 >= 80%\nseed = micro"),
        ("L040", "dev.f1 >= 0%", "dev.f1 >= 80%\nlet other = micro + 1\nseed = other"),
        ("L040", "dev.f1 >= 0%", "params(@head) >= 66"),
        ("L042", CLAIM, "expect sparsity(@embeddings) == 0%\n" + CLAIM),
        ("L042", CLAIM, "expect params(@head) == 66\n" + CLAIM),
        ("L042", CLAIM, CLAIM + "\nexpect pattern(@linear) == unstructured"),
        ("L043", "dev.f1 >= 0%", "dev.f1 == 88% ± 0.11%"),
        ("L043", "dev.f1 >= 0%", "dev.f1 >= 0.999 * stage.dense.dev.f1"),
        ("L060", PRUNE, "targets = @linear & @encoder | @query\n    never = @embeddings | @head"),
        ("L060", PRUNE, 'targets = @linear & (layers(0) | "bert.encoder.layer.1.**")\n    never = @embeddings'),
        ("L070", "target: ratio", "target : ratio"),
        ("L072", "data {", 'meta { tags = ["a/b"], cites = ["a/b"] }\ndata {'),
        ("L072", "batch = 8\n  micro_batch = micro", "batch = 8\n  micro_batch = 4"),
        ("L092", "data {", 'meta { cites = ["arxiv:2203.07259"], reported = ["f1 = 86"] }\ndata {'),
        ("L092", "data {", 'meta { reported = ["as good as dense", "f1 = 86 (doi:10.1000/182)"] }\ndata {'),
    ],
)
def test_rule_is_silent(code, old, new, project, tmp_path):
    project()
    assert old in TEXT
    assert code not in codes(tmp_path / "a.recipe", TEXT.replace(old, new, 1) if old else TEXT)


@pytest.mark.parametrize(
    ("data", "evaluate", "found"),
    [
        ('source = "hf://a/b"', 'split = "validation"', False),
        ('source = "hf://a/b"', 'split = "train"', True),
        ('train = "hf://a/b", validation = "hf://a/b"', 'split = "validation"', False),
        ('train = "a.json", validation = "a.json"', 'split = "validation"', True),
        ('source = "hf://a/b", validation = "train"', 'split = "validation"', True),
        ('source = "hf://a/b", train = "train[:90]"', 'split = "validation"', False),
        ('source = "hf://a/b"', 'source = "hf://a/b", split = "train"', True),
        ('source = "hf://a/b"', 'source = "hf://a/c", split = "train"', False),
    ],
)
def test_leakage_is_told_by_where_the_examples_come_from(data, evaluate, found, tmp_path):
    old = 'train = "train.json", validation = "dev.json"'
    text = TEXT.replace(old, data).replace("evaluate dev {", f"evaluate dev {{ {evaluate},")
    assert ("L082" in codes(tmp_path / "a.recipe", text)) is found


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("hf://a/b", True),
        ("hf://a/b@main", True),
        ("hf://a/b@0123abc", False),
        ("package://dist/path", False),
        ("./model", False),
    ],
)
def test_only_the_hub_needs_a_pin(reference, found, tmp_path):
    text = TEXT.replace('base = "model"', f'base = "{reference}"')
    assert ("L050" in codes(tmp_path / "a.recipe", text)) is found


def test_a_revision_is_a_pin(tmp_path):
    text = TEXT.replace('base = "model"', 'base = "hf://a/b", revision = "0123abc"')
    assert "L050" not in codes(tmp_path / "a.recipe", text)


@pytest.mark.parametrize(
    ("regex", "glob"),
    [
        (r"bert\.encoder\.[^.]*\.weight", ("bert.encoder.*.weight", True)),
        (r"^.*\.(query|key)\.weight$", ("**.{query,key}.weight", True)),
        ("layer.1", ("layer.1", False)),
        (r"layer\.\d+", None),
        ("layers?", None),
        ("layer+", None),
        ("[ab]", None),
        ("(a|b", None),
        ("a|b", None),
    ],
)
def test_glob_of_a_regular_expression(regex, glob):
    assert glob_of(regex) == glob


def test_exact_globs_match_what_the_expression_matched():
    import re

    from recipelang.kinds import globs

    names = [
        "bert.encoder.layer.0.attention.self.query.weight",
        "bert.encoder.layer.0.weight",
        "bertXencoder.a.weight",
        "query.weight",
        "bert.encoder..weight",
    ]
    for regex in (r"bert\.encoder\.[^.]*\.weight", r".*\.(query|key)\.weight", r"bert\.encoder\..*"):
        glob = globs.glob(glob_of(regex)[0])
        assert [bool(re.fullmatch(regex, n)) for n in names] == [bool(glob.fullmatch(n)) for n in names]


def test_codes_and_names_are_as_they_should_be():
    assert all(r.CODE[0] == "L" and r.CODE[1:].isdigit() for r in RULES)
    assert len({r.NAME for r in RULES}) == len(RULES)

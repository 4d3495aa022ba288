"""Claims against made-up measurements: met or not, and what each part of them came to."""

from dataclasses import dataclass, field
from fractions import Fraction

import pytest

from recipelang.spec.claims import judge, metric_names, selectors
from recipelang.values import selector as sel
from tests.reading import SOUND, checked, recipe_of

DENSE = "stage dense { length = 1 epoch, batch = 8, learning_rate = 1e-4 }\n\nstage gradual {"
BASE = SOUND[: SOUND.index("expect sparsity")].replace("stage gradual {", DENSE)


@dataclass
class Measured:
    metrics: dict[str, float] = field(
        default_factory=lambda: {
            "dev.f1": 0.8431,
            "dev.exact_match": 0.7,
            "stage.dense.dev.f1": 0.885,
            "stage.gradual.dev.f1": 0.8431,
        }
    )

    figures: dict[str, float] = field(default_factory=dict)
    how: dict[str, str] = field(default_factory=dict)

    def pattern(self, selector: sel.Selector) -> tuple[str, tuple[int, int]]:
        return ("N:M", (2, 4)) if "value" in sel.text(selector) else ("unstructured", (0, 0))

    def sparsity(self, selector: sel.Selector) -> Fraction:
        return {"@linear & @encoder": Fraction(9, 10), "@head": Fraction(0)}[sel.text(selector)]

    def parameters(self, selector: sel.Selector) -> int:
        return 1_000


def verdict(claim: str, kind: str = "expect"):
    (found,) = judge(recipe_of(f"{BASE}{kind} {claim}\n"), Measured())
    return found


@pytest.mark.parametrize(
    ("claim", "met"),
    [
        ("dev.f1 >= 84%", True),
        ("dev.f1 >= 84.9%", False),
        ("dev.f1 > 0.8431", False),
        ("dev.f1 <= target", True),
        ("dev.f1 == 84% ± 0.5%", True),
        ("dev.f1 == 84% ± 0.1%", False),
        ("dev.f1 != 84% ± 0.5%", False),
        ("dev.f1 in 84%..85%", True),
        ("dev.f1 in 85%..90%", False),
        ("dev.f1 >= 80% and dev.exact_match >= 60%", True),
        ("dev.f1 >= 80% and dev.exact_match >= 80%", False),
        ("dev.f1 >= 90% or dev.exact_match >= 60%", True),
        ("dev.f1 >= 90% or dev.exact_match >= 80%", False),
        ("not dev.f1 >= 90%", True),
        ("not (dev.f1 >= 80% and dev.exact_match >= 60%)", False),
        ("dev.f1 >= 0.95 * stage.dense.dev.f1", True),
        ("dev.f1 >= 0.98 * stage.dense.dev.f1", False),
        ("stage.gradual.dev.f1 == dev.f1", True),
        ("(dev.f1 + dev.exact_match) / 2 in 77%..78%", True),
        ("if target <= 90% then dev.f1 >= 84% else dev.f1 >= 99%", True),
        ("sparsity(@linear & @encoder) == target ± 0.1%", True),
        ("sparsity(@linear & @encoder) == 91% ± 0.1%", False),
        ("sparsity(@head) <= 0.01%", True),
        ("params(@linear) in 900..1_000", True),
        ("pattern(@linear) == unstructured", True),
        ("pattern(@linear) == 2:4", False),
        ("pattern(@value) == 2:4", True),
        ("pattern(@value) == 1:4", False),
    ],
)
def test_a_claim_is_met_or_not(claim, met):
    assert verdict(claim).met is met


def test_a_claim_that_is_not_met_shows_what_each_side_came_to():
    found = verdict("dev.f1 >= target - 1%, 'the paper'".replace("'", '"'))
    d = found.diagnostic
    assert (d.code, d.message, d.notes) == ("E090", "expectation not met", ("the paper",))
    text = d.primary.source.text
    assert text[d.primary.span.start : d.primary.span.end] == "dev.f1 >= target - 1%"
    labels = [(text[s.span.start : s.span.end], s.text) for s in d.secondary]
    assert labels == [("dev.f1", "84.31 %"), ("target - 1%", "89.00 %")]
    assert (found.expected, found.measured) == ("≥ 89.00 %", "84.31 %")


def test_every_comparison_of_a_claim_is_explained():
    found = verdict("dev.f1 >= 80% and not dev.exact_match in 60%..80%").diagnostic
    text = found.primary.source.text
    labels = {text[s.span.start : s.span.end]: s.text for s in found.secondary}
    assert labels == {"dev.f1": "84.31 %", "dev.exact_match": "70.00 %", "60%..80%": "60.00 % .. 80.00 %"}


def test_the_branch_that_was_taken_is_explained():
    found = verdict("if target <= 90% then dev.f1 >= 85% else dev.exact_match >= 99%").diagnostic
    assert [s.text for s in found.secondary] == ["84.31 %"]


def test_a_preference_only_warns():
    found = verdict("dev.f1 >= 90%", "prefer")
    assert (found.met, found.diagnostic.code, found.diagnostic.severity) == (False, "W102", "warning")


def test_a_claim_that_is_met_says_nothing():
    assert verdict("dev.f1 >= 80%").diagnostic is None


def test_what_was_not_measured_is_neither_met_nor_unmet():
    measured = Measured()
    del measured.metrics["dev.f1"]
    recipe = recipe_of(BASE + "expect dev.f1 >= 80%\nexpect dev.exact_match >= 60%\n")
    first, second = judge(recipe, measured)
    assert (first.met, first.measured, first.diagnostic.code) == (None, "not measurable", "E091")
    assert second.met is True


def test_claims_are_judged_one_by_one_in_order():
    recipe = recipe_of(BASE + "expect dev.f1 >= 90%\nprefer dev.f1 >= 80%\nexpect dev.f1 >= 70%\n")
    assert [(v.claim.kind, v.met) for v in judge(recipe, Measured())] == [
        ("expect", False),
        ("prefer", True),
        ("expect", True),
    ]


def test_measured_paths_name_the_end_of_the_run_and_of_every_stage():
    assert metric_names(recipe_of(BASE)) == [
        "dev.f1",
        "stage.dense.dev.f1",
        "stage.gradual.dev.f1",
        "dev.exact_match",
        "stage.dense.dev.exact_match",
        "stage.gradual.dev.exact_match",
    ]


def test_the_task_decides_the_metrics_where_none_are_named():
    text = BASE.replace("evaluate dev { metrics = [f1, exact_match] }", "evaluate dev { }")
    assert metric_names(recipe_of(text))[0] == "dev.f1"


def test_every_selector_that_a_claim_measures_is_known_before_the_run():
    claims = "expect dev.f1 >= 0% or sparsity(@query) > 1%\nexpect not sparsity(@key & @value) < params(@out)\n"
    assert {sel.text(s) for s, _ in selectors(recipe_of(BASE + claims))} == {"@query", "@key & @value", "@out"}


@pytest.mark.parametrize(
    ("claim", "code", "help"),
    [
        ("dev.f2 >= 80%", "E091", "did you mean `f1`?"),
        ("dve.f1 >= 80%", "E091", "did you mean `dev`?"),
        ("stage.dens.dev.f1 >= 80%", "E022", "did you mean `dense`?"),
        ("dev.f1 >= 0% or dev.f2 >= 80%", "E091", "did you mean `f1`?"),
        ("dev.f1 >= 90% and not dev.f2 >= 80%", "E091", "did you mean `f1`?"),
        ("dev.f1 >= targt", "E022", "did you mean `target`?"),
        ("sparsty(@linear) >= 80%", "E022", "did you mean `sparsity`?"),
        ("sparsity(@linear & targt) >= 80%", "E022", "did you mean `target`?"),
        ("latancy(torch) <= 3 s", "E022", "did you mean `latency`?"),
        ("sparsity(@query, @key) >= 80%", "E024", "write `sparsity(@linear)`"),
        ("sparsity(3) >= 80%", "E024", "write a role such as `@linear`, a glob in quotes, or `layers(0..5)`"),
        ("dev.f1", "E024", "`expect` takes a comparison, as in `expect dev.f1 >= 85%`"),
        ("dev.f1 + 1", "E024", "`expect` takes a comparison, as in `expect dev.f1 >= 85%`"),
        ("dev.f1 >= 1 epoch", "E023", "give both sides the same unit"),
        ("pattern(@linear) == unstructred", "E022", "did you mean `unstructured`?"),
    ],
)
def test_a_claim_that_cannot_be_judged_is_found_before_the_run(claim, code, help):
    (found,) = checked(f"{BASE}expect {claim}\n").diagnostics
    assert (found.code, found.help) == (code, (help,))


def test_a_difference_of_measured_values_is_not_taken_for_zero():
    assert list(checked(BASE + "expect 1 / (dev.f1 - stage.dense.dev.f1) < 0\n").diagnostics) == []
    assert (
        list(
            checked(BASE + "expect 1 / (1 - sparsity(@query)) / (sparsity(@query) - sparsity(@key)) < 9\n").diagnostics
        )
        == []
    )


BRANCHES = """recipe 1 "a"
model { base = "model", task = question_answering }
data { train = "train.json", validation = "dev.json" }
stage dense { length = 1 epoch, batch = 8, learning_rate = 1e-3 }
evaluate dev { metrics = [f1] }
expect if dev.f1 >= 50% then sparsity(@linear) >= 10% else OTHER
"""


def test_both_branches_of_an_if_are_known_before_the_run():
    from recipelang.loading.read import check_all
    from recipelang.source import Source
    from recipelang.spec.claims import selectors
    from recipelang.values import selector

    checked = check_all(Source("a", BRANCHES.replace("OTHER", "sparsity(@query) >= 1%")), {})
    assert list(checked.diagnostics) == []
    assert {selector.text(s) for s, _ in selectors(checked.recipe)} == {"@linear", "@query"}
    wrong = check_all(Source("a", BRANCHES.replace("OTHER", "dev.ff1 >= 1%")), {})
    assert [d.code for d in wrong.diagnostics] == ["E091"]

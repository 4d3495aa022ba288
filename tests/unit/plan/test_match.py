"""Selectors against a tiny BERT: roles, globs, regular expressions, layers, operators, and their errors."""

import pytest

from recipelang.plan.facts import read_model_facts
from recipelang.plan.match import match, matrices
from recipelang.source import Diagnostics, RecipeError, Source
from recipelang.spec.evaluate import Evaluator
from recipelang.spec.params import literal
from recipelang.spec.selector import text
from recipelang.spec.selector_kind import as_selector
from tests.conftest import make_model


@pytest.fixture(scope="module")
def facts(tmp_path_factory):
    return read_model_facts(make_model(tmp_path_factory.mktemp("model")), "question_answering")


def selector(source: str):
    found = Diagnostics()
    expr = literal(Source("s", source), found)
    value = as_selector(Evaluator(Source("s", source), found).value(expr))
    assert not list(found)
    return value


@pytest.mark.parametrize(
    "source, count",
    [
        ("@linear & @encoder", 12),
        ("@linear", 13),
        ("@linear & @encoder & layers(0)", 6),
        ("@linear & @encoder & layers(-1)", 6),
        ("@linear & @encoder & layers(0..1)", 12),
        ("@linear & @encoder except @attention", 4),
        ("@linear & !@attention & !@head", 4),
        ("(@query | @key) & @linear", 4),
        ('"bert.encoder.layer.*.output.dense.weight"', 2),
        ('"bert.encoder.**.dense.weight"', 6),
        ('"bert.encoder.layer.{0..1}.attention.self.{query,key}.weight"', 4),
        ('re"bert\\.encoder\\.layer\\.[0-9]+\\.intermediate\\.dense\\.weight"', 2),
        ("@decoder", 0),
    ],
)
def test_selector_means_this_many_tensors(facts, source, count):
    assert len(match(selector(source), facts)) == count


def test_regular_expression_needs_the_whole_name(facts):
    assert match(selector('re"query"'), facts) == ()


def test_glob_star_does_not_cross_a_dot(facts):
    assert match(selector('"bert.encoder.*.weight"'), facts) == ()


def test_matrices_leave_out_biases_and_norms(facts):
    found = matrices(match(selector("@encoder"), facts), facts)
    assert len(found) == 12
    assert all(len(t.shape) == 2 for t in found)


@pytest.mark.parametrize(
    "source, code, said",
    [
        ("layers(7)", "E073", "0..1"),
        ('re"(?=x)"', "E049", ""),
        ('re"a{1001}"', "E049", ""),
        ('"{0..999999}"', "E049", ""),
        ('"{a"', "E049", "brace"),
    ],
)
def test_bad_selector_is_a_coded_error(facts, source, code, said):
    with pytest.raises(RecipeError) as error:
        match(selector(source), facts)
    found = error.value.diagnostics[0]
    assert found.code == code
    assert said in found.message + " ".join(found.help)


@pytest.mark.parametrize(
    "source",
    [
        "@query & @key | @value",
        "@query & (@key | @value)",
        "!(@query | @key) & @value",
        "@query except @key & @value",
        "(@query except @key) & @value",
        'layers(0..3) & "x.*"',
    ],
)
def test_selector_text_reads_back_as_itself(source):
    assert selector(text(selector(source))) == selector(source)

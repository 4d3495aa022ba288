"""Selectors against a tiny BERT: roles, globs, regular expressions, layers, operators, and their errors."""

from pathlib import Path

import pytest

from recipelang.kinds.tensors import as_selector
from recipelang.planning.facts import ModelFacts, read_model_facts
from recipelang.planning.families import TensorFact
from recipelang.planning.match import match, matrices, nothing, prunable
from recipelang.source import Diagnostics, RecipeError, Source
from recipelang.spec.evaluator import Evaluator
from recipelang.spec.params import literal
from recipelang.values.selector import text
from tests.conftest import make_model
from tests.reading import checked, sound


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
        ("@liner", "E073", "did you mean `@linear`?"),
        ("@mlp", "E073", "did you mean `@ffn`?"),
        ('re"(?=x)"', "E049", "combine patterns"),
        ('re"a{1001}"', "E049", "cannot be used"),
        ('re"' + "a" * 1025 + '"', "E049", "at most 1,024"),
        ('"{0..999999}"', "E049", "more than 1,000 alternatives"),
        ('"' + "*a" * 17 + '"', "E049", "more than 16 stars"),
        ('"{a"', "E049", "brace"),
        ('""', "E024", "matches nothing"),
    ],
)
def test_a_bad_selector_is_found_without_a_model(source, code, said):
    (found,) = checked(sound(("@linear & @encoder\n", source + "\n"))).diagnostics
    assert found.code == code
    assert found.primary.source.slice(found.primary.span) == source
    assert said in found.message + " ".join(found.help)


def test_layers_beyond_the_model_are_a_coded_error(facts):
    with pytest.raises(RecipeError) as error:
        match(selector("layers(7)"), facts)
    found = error.value.diagnostics[0]
    assert (found.code, "0..1" in found.help[0]) == ("E073", True)


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


def _mixture() -> ModelFacts:
    def tensor(layer, name, roles):
        return TensorFact(f"layers.{layer}.{name}", (4, 4), frozenset(f"decoder ffn {roles}".split()), layer)

    parts = {"mlp.gate.weight": "linear router", "mlp.up.weight": "linear up", "mlp.gate.statics": "router"}
    tensors = [tensor(layer, name, roles) for layer in (0, 1) for name, roles in parts.items()]
    return ModelFacts(Path(), "mixture", "causal_lm", {}, tuple(tensors), ())


@pytest.mark.parametrize(
    "source, names",
    [
        ("@linear & @decoder", ["0.up", "1.up"]),
        ("!@embeddings", ["0.up", "1.up"]),
        ('@linear except "layers.0.mlp.gate.weight"', ["0.up", "1.up"]),
        ('@linear | !"layers.0.mlp.gate.weight"', ["0.up", "1.up"]),
        ("@linear except @router", ["0.up", "1.up"]),
        ("@linear & @router & layers(0)", ["0.gate"]),
        ("@up | @linear & @router", ["0.gate", "0.up", "1.gate", "1.up"]),
        ('@linear & "layers.1.**"', ["1.gate", "1.up"]),
        (r'@linear | re"layers\.0\.mlp\.gate\.weight"', ["0.gate", "0.up", "1.up"]),
    ],
)
def test_routers_are_pruned_only_where_they_are_named(source, names):
    facts = _mixture()
    found = [t.name.split(".") for t in prunable(selector(source), facts)]
    assert [f"{part[1]}.{part[3]}" for part in found] == names
    assert len(match(selector("@router"), facts)) == 4  # elsewhere a role means all that have it


def test_a_selector_of_unnamed_routers_only_says_so():
    facts, chosen = _mixture(), selector("@linear except @up")
    assert not prunable(chosen, facts)
    [found] = nothing(chosen, facts, None).diagnostics
    assert found.code == "E070" and "write `@router`" in found.help[0]

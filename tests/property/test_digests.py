"""What changes a digest and what does not: every way of writing one recipe against every recipe that differs a little."""

from __future__ import annotations

import json
import re
from fractions import Fraction

import pytest
import yaml
from hypothesis import HealthCheck, given, settings, strategies as st
from jsonschema import Draft202012Validator

from recipelang.reference.schema import schema
from recipelang.source import RecipeError, Source
from recipelang.spec import pretty
from recipelang.spec.canonical import behaviour_digest, digest, spec_digest, spec_form, to_json
from recipelang.spec.document import read_document, recipe_text
from recipelang.storage.yaml_text import yaml_text
from recipelang.syntax.fmt import format
from tests.property.examples import examples
from tests.property.test_claims_written_out import BEFORE, Writer
from tests.reading import SOUND, TEXTS, checked, found_in, recipe_of, sound

FEW = settings(max_examples=examples(20), suppress_health_check=[HealthCheck.too_slow])

#: a recipe with holes: in each stands one of several ways to write the same
RECIPE = """@header
@meta
@params
@lets
@comment
model { @model }
data { @data }
@top
stage gradual {
  @stage
  @comment
  prune weights {
    @prune
    sparsity = @sparsity
  }
  distill { @distill }
}
evaluate dev { @evaluate }
@export
@claims
"""

#: hole -> ways of writing that mean the same
SAME: dict[str, list[str]] = {
    "header": ['recipe 1 "a"', 'recipe 1 "b"', "recipe 1", '## What it is.\nrecipe 1.0 "a"'],
    "meta": ["", 'meta { version = "1", tags = ["a"] }', 'meta { tags = ["a"], license = "MIT", version = "1" }'],
    "params": [
        "param goal: ratio = 90%\nparam long: span = 30 epochs",
        "## how much\nparam goal: ratio in 50%..99% = 0.9\nparam long: epochs = 30 epochs",
        "param long: span = 3 * 10 epochs\nparam goal: number = 9e-1",
    ],
    "lets": ["let warm = 2 epochs", "let warm = 1 epoch + 1 epoch\nlet never_used = 3", "let warm = long / 15"],
    "comment": ["", "# a comment", "\n\n\n", "## documentation"],
    "model": [
        'base = "hf://o/m", task = question_answering, dropout = 0.5',
        'task = question_answering, base = "hf://o/m", dtype = fp32, dropout = 5 / 10',
        'dropout = 50%\n  base = "hf://o/m"\n  task = question_answering',
    ],
    "data": [
        'source = "hf://o/d", max_length = 128 tokens',
        'max_length = 128, source = "hf://o/d", stride = 128 tokens, shuffle = true',
    ],
    "top": ["", "seed = 42", "seed = 40 + 2"],
    "stage": [
        "length = long, batch = 16, learning_rate = linear(8e-5 -> 8e-6, over = start..end, rewind = 2 epochs)",
        "learning_rate = linear(0.00008 -> 0.000008, rewind = warm, over = 0%..100%)\nbatch = 16, length = 30 epochs",
        "batch = 16, length = long, clip = 1.0, optimizer = adamw(weight_decay = 0, betas = [0.9, 0.999]), seed = 42\n"
        "learning_rate = [linear(8e-5 -> 8 / 1_000_000, over = 0..30 epochs, rewind = 2 epochs)], mode = train",
        "length = 30 epochs, batch = 16, micro_batch = 2, keep = 7\n"
        "learning_rate = linear(8e-5 -> 8e-6, over = start .. start + long, rewind = 2 epochs)",
    ],
    "prune": [
        "targets = @linear & @encoder, never = @embeddings | @head, method = magnitude",
        "never = @head | @embeddings | @head\nmethod = magnitude(scope = uniform), targets = @encoder & (@linear & @encoder)",
        "method = magnitude, pattern = unstructured, never = (@embeddings | @head) & (@head | @embeddings)\n"
        "targets = (@encoder | @encoder) & @linear",
    ],
    "sparsity": [
        "cubic(70% -> goal, over = start + warm .. end - warm, updates = 10 per epoch)",
        "cubic(0.7 -> 90%, over = 2..28 epochs, every = 0.1 epochs)",
        "[cubic(70% -> goal, every = 1 / 10 * 1 epoch, over = warm .. 28 epochs)]",
    ],
    "distill": [
        'teacher = "hf://o/t", hardness = 100%, temperature = 5.5',
        'temperature = 11 / 2, hardness = 1, teacher = "hf://o/t", on = [logits]',
        'hardness = constant(100%), on = logits, temperature = 5.5, teacher = "hf://o/t", cache = true',
    ],
    "evaluate": ["metrics = [f1, exact_match]", "metrics = [exact_match, f1, f1]", 'split = "validation"'],
    "export": ["", "export { card = true }", "export { formats = [safetensors], max_shard = 5 GB }"],
    "claims": [
        "require warm >= 1 epoch\nexpect sparsity(@linear & @encoder) == goal ± 0.1%\nprefer dev.f1 >= 87%",
        'prefer dev.f1 >= 0.87, "why"\nexpect sparsity(@encoder & @linear) == 90% +/- 0.001\nrequire warm >= 1 epoch, "room"',
        "expect sparsity(@linear & @encoder) == 90% ± 0.1%\nprefer (dev.f1) >= (if goal > 50% then 87% else 1)\n"
        "prefer dev.f1 >= 87%\nrequire 2 epochs >= 1 epoch",
    ],
}

#: hole -> other recipes
OTHER: dict[str, list[str]] = {
    "params": [SAME["params"][0].replace("90%", "91%"), SAME["params"][0].replace("30 epochs", "30.5 epochs")],
    "lets": ["let warm = 2.5 epochs"],
    "model": [
        SAME["model"][0].replace(old, new)
        for old, new in [
            ("o/m", "o/n"),
            ("question_answering", "causal_lm"),
            ("dropout = 0.5", 'dropout = 0.5, revision = "1"'),
            ("dropout = 0.5", 'dropout = 0.5, revision = ""'),
            ("dropout = 0.5", "dropout = 0.5, dtype = bf16"),
            ("dropout = 0.5", "dropout = 0.25"),
            (", dropout = 0.5", ""),
        ]
    ],
    "data": [
        'source = "hf://o/d", max_length = 127 tokens',
        'source = "hf://o/e", max_length = 128 tokens',
        'source = "hf://o/d", max_length = 128 tokens, samples = 5 samples',
        'source = "hf://o/d", max_length = 128 tokens, shuffle = false',
        'source = "hf://o/d", max_length = 128 tokens, train = "part"',
        'source = "hf://o/d", max_length = 128 tokens\n columns { question = "q" }',
    ],
    "top": ["seed = 43"],
    "stage": [
        SAME["stage"][0].replace(old, new)
        for old, new in [
            ("batch = 16", "batch = 17"),
            ("8e-6", "0"),
            ("linear", "cosine"),
            ("rewind = 2 epochs", "rewind = 100 steps"),
            ("batch = 16", "batch = 16, clip = none"),
            ("batch = 16", "batch = 16, seed = 7"),
            ("batch = 16", "batch = 16, precision = bf16"),
            ("batch = 16", "batch = 16, optimizer = sgd"),
            ("batch = 16", "batch = 16, optimizer = adamw(weight_decay = 1%)"),
        ]
    ],
    "prune": [
        "targets = @linear, never = @embeddings | @head, method = magnitude",
        "targets = @linear | @encoder, never = @embeddings | @head, method = magnitude",
        "targets = @linear & @encoder, method = magnitude",
        "targets = @linear & @encoder, never = @embeddings, method = magnitude",
        "targets = @linear & @encoder, never = @embeddings | @head, method = magnitude(scope = global)",
        "targets = @linear & @encoder, never = @embeddings | @head, method = magnitude, pattern = 2:4",
    ],
    "sparsity": [
        "linear(70% -> goal, over = start + warm .. end - warm, updates = 10 per epoch)",
        "cubic(71% -> goal, over = start + warm .. end - warm, updates = 10 per epoch)",
        "cubic(70% -> goal, over = start + warm .. end, updates = 10 per epoch)",
        "cubic(70% -> goal, over = start + warm .. end - warm, updates = 9 per epoch)",
        "goal",
    ],
    "distill": [
        'teacher = "hf://o/t", hardness = 99%, temperature = 5.5',
        'teacher = "hf://o/t", hardness = 100%, temperature = 5.6',
        'teacher = "hf://o/u", hardness = 100%, temperature = 5.5',
        'teacher = "hf://o/t", hardness = 100%, temperature = 5.5, on = start_logits',
    ],
}
#: hole -> other experiments with the same weights
CLAIMED: dict[str, list[str]] = {
    "evaluate": ["metrics = f1", 'split = "test"', "every = 1 epoch"],
    "export": ["export { card = false }", "export { max_shard = 1 GiB }"],
    "claims": [
        SAME["claims"][0].replace(old, new)
        for old, new in [
            ("± 0.1%", "± 0.2%"),
            ("87%", "88%"),
            ("prefer", "expect"),
            ("dev.f1 >=", "dev.f1 >"),
            ("dev.f1 >=", "dev.exact_match >="),
            ("prefer dev.f1 >= 87%", ""),
        ]
    ],
}
FIRST = {hole: ways[0] for hole, ways in SAME.items()}


def written(ways: dict[str, str]) -> str:
    return re.sub(r"^( *)(.*?)@(" + "|".join(ways) + r")\b", lambda m: f"{m[1]}{m[2]}{ways[m[3]]}", RECIPE, flags=re.M)


def digests(text: str) -> tuple[str, str]:
    recipe = recipe_of(text)
    return spec_digest(recipe, {}), behaviour_digest(recipe, {})


SCHEMA = Draft202012Validator(schema())
ANY_WAY = st.fixed_dictionaries({hole: st.sampled_from(ways) for hole, ways in SAME.items()})
SPEC, BEHAVIOUR = digests(written(FIRST))


def differing(table: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [(hole, way) for hole, ways in table.items() for way in ways]


@FEW
@given(ANY_WAY, st.booleans(), st.booleans())
def test_every_way_of_writing_has_the_same_digests(ways, formatted, windows):
    text = written(ways)
    text = format(text) if formatted else text
    assert digests(text.replace("\n", "\r\n") if windows else text) == (SPEC, BEHAVIOUR)


@pytest.mark.parametrize(("hole", "way"), differing(OTHER))
def test_another_recipe_has_other_digests(hole, way):
    spec, behaviour = digests(written({**FIRST, hole: way}))
    assert spec != SPEC
    assert behaviour != BEHAVIOUR


@pytest.mark.parametrize(("hole", "way"), differing(CLAIMED))
def test_other_claims_have_another_spec_digest_only(hole, way):
    spec, behaviour = digests(written({**FIRST, hole: way}))
    assert spec != SPEC
    assert behaviour == BEHAVIOUR


def test_no_two_different_recipes_share_a_digest():
    texts = [written(FIRST), *(written({**FIRST, hole: way}) for hole, way in differing(OTHER) + differing(CLAIMED))]
    assert len({digests(text)[0] for text in texts}) == len(texts)


@settings(FEW, max_examples=examples(8))
@given(
    st.fractions(min_value=0, max_value=1, max_denominator=10**6),
    st.fractions(min_value=0, max_value=1, max_denominator=10**6),
)
def test_a_number_is_its_value_however_it_is_written(value, other):
    def of(text: str) -> str:
        return digests(sound(("100%", text)))[0]

    ways = [f"{value.numerator} / {value.denominator}", f"1 - {1 - value}", f"{value} / 2 * 2"]
    assert len({of(way) for way in ways}) == 1
    assert (of(ways[0]) == of(str(other))) == (value == other)


def test_a_number_is_an_exact_decimal_or_a_quotient():
    form = spec_form(recipe_of(sound(("5.5", "[linear(16 / 3 -> 0.125, over = 0..30 epochs)]"), ("100%", "33%"))), {})
    assert form["stages"][0]["distill"] | {"teacher": "", "on": ""} == {
        "teacher": "",
        "on": "",
        "hardness": "0.33",
        "temperature": [
            {
                "shape": "linear",
                "from": "16/3",
                "to": "0.125",
                "over": [{"n": "0", "u": "epoch"}, {"n": "30", "u": "epoch"}],
                "ends": "after",
            }
        ],
    }


def test_strings_labels_and_globs_are_in_normal_form_c():
    composed, apart = "caf\u00e9", "cafe\u0301"
    text = sound(('"hf://owner/data" }', '"hf://owner/data-X" }'), ("@linear & @encoder\n", '"X.*" | "caff"\n'))
    text = text.replace("prune weights", 'prune "X"').replace("evaluate dev {", 'evaluate dev { split = "X",')
    assert digests(text.replace("X", composed)) == digests(text.replace("X", apart))


def test_two_labels_that_look_the_same_are_refused():
    text = sound(add='evaluate "caf\u00e9" { metrics = f1 }\nevaluate "cafe\u0301" { metrics = f1 }\n')
    with pytest.raises(RecipeError, match="E012]: two names differ only in their encoding"):
        spec_form(recipe_of(text), {})


def test_only_what_names_a_model_or_data_stands_for_its_contents():
    text = sound(
        ('"hf://owner/data" }', '"hf://owner/data", config = "m", train = "m" }'), ('"hf://owner/model"', '"m"')
    )
    form = spec_form(recipe_of(text), {"m": "sha256:" + 64 * "a"})
    assert form["model"]["base"] == {"content": "sha256:" + 64 * "a"}
    assert (form["data"][""]["config"], form["data"][""]["train"]) == ("m", "m")  # a split of the source, not a file


# ---------------------------------------------------------------------- documents
def back_and_forth(text: str) -> None:
    """Through JSON of either layout, a recipe is the same recipe; YAML is the same document."""
    form = spec_form(recipe_of(text), {})
    assert SCHEMA.is_valid(form)
    assert yaml.safe_load(yaml_text(form)) == form
    for written_out in (to_json(form), pretty.pretty(form)):
        recipe, contents = read_document(Source("a.json", written_out), "a")
        assert contents == {}
        again = recipe_text(recipe)
        assert spec_digest(recipe_of(again), {}) == digest(form)
        assert format(again) == again


@pytest.mark.parametrize("name", [n for n in TEXTS if not found_in(n).diagnostics.errors and found_in(n).recipe])
def test_library_recipe_survives_its_json(name):
    back_and_forth(TEXTS[name])


@pytest.mark.parametrize(("hole", "way"), differing(OTHER) + differing(CLAIMED))
def test_recipe_survives_its_json(hole, way):
    back_and_forth(written({**FIRST, hole: way}))


@pytest.mark.parametrize("seed", range(2))
def test_claims_of_any_form_survive_their_json(seed):
    writer, tried = Writer(seed), 0
    for _ in range(examples(3)):
        text = sound(add=BEFORE + "".join(f"expect {writer.claim()}\n" for _ in range(2)))
        if "E030" not in {d.code for d in checked(text).diagnostics}:
            back_and_forth(text)
            tried += 1
    assert tried > examples(1)


STRANGE = {
    "numbers longer than a literal": sound(
        add="let x = 1234567890123456.7890123\nexpect dev.f1 > x * x * x / 7\nexpect dev.f1 < 1 / (x * x * x)\n"
        "expect dev.f1 > -(x * x * x)\n"
    ),
    "a very small number": sound(("8e-6", "1e-40 / 1e30")),
    "a long chain": sound(add=f"expect {' - '.join(['dev.f1 + dev.exact_match'] * 120)} > 0\n"),
    "strings in a claim": sound(
        add='let l = ["a", "0.5"]\nexpect dev.f1 in ["a", 0.5, none, 1 epoch + 2 steps, 5 GB] or dev.f1 in l\n'
    ),
    "characters": sound(('"hf://owner/data"', '"hf://o/\\u{7f}\\u{85}\\u{2028}\\u{feff}\\"\\\\\\${x}\\n é 😀"')),
    "a regular expression with quotes": sound(("@linear & @encoder\n", 're"a\\.b\\"c\\\\\\"" | @query\n')),
    "a block pattern": sound(("method   =", "pattern = block(4, 1)\n    method   =")),
    "words of YAML": sound(
        ('"hf://owner/data"', '"hf://owner/data", config = "no", train = "8e-5"'), ("prune weights", "prune y")
    ),
    "times of both kinds": sound(
        ("start + warm", "start + 1 epoch + 7 steps"), ("rewind = 2 epochs", "rewind = 9 steps")
    ),
    "what a requirement never reads": sound(add="require true or cubic(1) > 2\nrequire (1 -> 2) == (1 -> 2)\n"),
}


@pytest.mark.parametrize("name", STRANGE)
def test_strange_recipe_survives_its_json(name):
    back_and_forth(STRANGE[name])


DOCUMENT = json.dumps(spec_form(recipe_of(SOUND), {}))
LEAVES = [m.span() for m in re.finditer(r'"[^"]*"|null|true|\{|\}|\[|\]', DOCUMENT)]


@settings(FEW, max_examples=examples(40))
@given(
    st.sampled_from(LEAVES),
    st.one_of(
        st.sampled_from(
            [
                "",
                "null",
                "true",
                "1",
                "[]",
                "{}",
                '""',
                '"8:2"',
                '"1/0"',
                '"9e9"',
                '"-1"',
                '"a\\"\\n}"',
                "{",
                '"\\ud800"',
            ]
        ),
        st.text(max_size=6).map(json.dumps),
        st.fractions().map(lambda f: json.dumps(str(Fraction(f)))),
    ),
)
def test_a_damaged_document_is_another_recipe_or_a_coded_error(place, new):
    text = DOCUMENT[: place[0]] + new + DOCUMENT[place[1] :]
    try:
        recipe, _ = read_document(Source("a.json", text), "a")
    except RecipeError as error:
        assert all(re.fullmatch(r"[EW]\d{3}", d.code) for d in error.diagnostics)
        return
    assert spec_digest(recipe_of(recipe_text(recipe)), {}) == spec_digest(recipe, {})

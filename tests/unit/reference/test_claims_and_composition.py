"""What the pages of claims, operators and composition tell is what the language does."""

import re
from itertools import pairwise
from pathlib import Path

import pytest

from recipelang.cli.reference_pages import pages
from recipelang.reference import claims, composition
from recipelang.source import Diagnostics, Source
from recipelang.spec.blocks import EvaluateSpec
from recipelang.spec.claims import CLAIMS, FUNCTIONS, PATHS, metric_names
from recipelang.spec.figures import FIGURES, OF_STAGES
from recipelang.spec.metrics import MEASURES
from recipelang.spec.operators import OPERATORS
from recipelang.syntax import parse, tree as t
from tests.cli.command import command
from tests.reading import checked, codes, recipe_of, sound, value_of

PAGES = pages()
DENSE = ("stage gradual", "stage dense { length = 1 epoch, batch = 16, learning_rate = 1e-5 }\nstage gradual")


# ------------------------------------------------------------------------- claims
def test_example_of_claims_is_sound():
    assert [f"{d.code} {d.message}" for d in checked(sound(DENSE, add=claims.EXAMPLE)).diagnostics] == []
    assert {line.partition(" ")[0] for line in claims.EXAMPLE.splitlines()} == set(CLAIMS)
    assert all(f"{name.partition('(')[0]}(" in claims.EXAMPLE for name in (*FUNCTIONS, *FIGURES))


@pytest.mark.parametrize("path", PATHS)
def test_path_of_a_measured_value_is_one_that_a_recipe_knows(path):
    compared = ("metrics = [f1, exact_match] }", "metrics = [f1, exact_match], compare = dense }")
    export = "export { formats = [safetensors, onnx], quantize = int8 }"
    recipe = recipe_of(sound(DENSE, compared, add=export))
    sizes = [f"stage.{stage}.{name}" for stage in recipe.outline.stages for name in OF_STAGES]
    sizes += [f"base.{name}" for name in OF_STAGES]
    assert path in metric_names(recipe) + sizes


WRITTEN = [f"{name}(@linear)" for name in FUNCTIONS] + [
    f.replace("RUNTIME", "torch").replace("NAME", "dense") for f in FIGURES
]


@pytest.mark.parametrize("call", WRITTEN)
def test_functions_stand_in_expect_and_prefer_only(call):
    for word in ("expect", "prefer"):
        assert codes(sound(DENSE, add=f"{word} {call} == {call}\n")) == []
    assert codes(sound(DENSE, add=f"require {call} == {call}\n")) != []


def test_metrics_are_those_of_the_schema():
    assert EvaluateSpec.attributes()["metrics"].kind.symbols == tuple(MEASURES)


# ---------------------------------------------------------------------- operators
@pytest.mark.parametrize(("example", "value"), [(o[3], o[4]) for o in OPERATORS])
def test_example_of_an_operator_has_its_value(example, value):
    found, wrong = value_of(example)
    assert wrong == []
    assert value == "" or found == value_of(value)[0]


def parsed(text: str) -> t.Expr:
    found = Diagnostics()
    (statement,) = parse(Source("a", f"recipe 1\nit = {text}"), found).recipe.statements
    assert list(found) == []
    return statement.value


SYMBOLS = {level: written.split()[1] for level, written, *_ in OPERATORS if written[:2] == "A "}


@pytest.mark.parametrize(("loose", "tight"), list(pairwise(sorted(SYMBOLS))))
def test_operators_are_told_from_loose_to_tight(loose, tight):
    outer, inner = SYMBOLS[loose], SYMBOLS[tight]
    last = "epoch" if inner == "per" else "c"
    for text in (f"a {outer} b {inner} {last}", f"a {inner} {last} {outer} b"):
        assert parsed(text).operator == outer


def test_every_operator_is_told_of():
    told = set(re.findall(r"[^\w\s`]+|\b[a-z]+\b", " ".join(f"{o[1]} {o[2]}" for o in OPERATORS)))
    for text in ("a != b", "a <= b", "a > b", "a >= b", "a - b", "a / b", *(f"a {s} b" for s in SYMBOLS.values())):
        assert parsed(text).operator in told


# -------------------------------------------------------------------- composition
@pytest.fixture
def example(tmp_path, monkeypatch) -> Path:
    for name, content in composition.EXAMPLE.items():
        (tmp_path / name).write_text(content + "\n", "utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_example_of_composition_is_sound_and_formatted(example):
    ended = command(*composition.COMMAND.split()[1:])
    assert (ended.code, ended.err) == (0, "")
    assert command("fmt", "--check", *composition.EXAMPLE).code == 0
    assert set(re.findall(r"\S+\.recipe", composition.COMMAND)) < set(composition.EXAMPLE)


def test_values_of_the_example_are_those_of_the_strongest(example):
    around = composition.COMMAND.split()[2:]
    for path, value in (
        ("target", "90%"),
        ("length", "12 epochs"),
        ("stage.gradual.batch", "32"),
        ("stage.gradual.micro_batch", "8"),
        ("stage.gradual.prune.weights.never", "@pooler"),
        ("evaluate.dev.metrics", "[f1]"),
    ):
        shown = command("trace", *around[:1], path, *around[1:]).out.splitlines()[0]
        assert value in shown, path
    shown = command("trace", *around[:1], "stage.gradual.clip", *around[1:]).out
    assert "(replaced)" in shown and shown.endswith("the language's default\n")


HELD = {
    "let": "let x = 1",
    "use": 'use "./shared.recipe" as other',
    "meta": 'meta { summary = "x" }',
    "set": "set length = 20 epochs",
    "patch": "patch stage gradual { batch = 8 }",
    "unset": "unset stage.gradual.clip",
    "extends": 'extends "./shared.recipe"',
    "expect": "expect params(@head) > 0",
}
#: how a file of each sort is used on the base
SORTS = {
    "library": ("child.recipe", []),
    "overlay": ("base.recipe", ["--overlay", "it.recipe"]),
    "parameters": ("base.recipe", ["--params", "it.recipe"]),
}


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("statement", HELD)
def test_files_hold_what_is_told_and_nothing_else(sort, statement, example):
    file, options = SORTS[sort]
    name = "shared.recipe" if sort == "library" else "it.recipe"
    extra = "let batch = 32\n" if sort == "library" else ""
    if sort == "library" and statement == "use":
        (example / "more.recipe").write_text('recipe 1 "more"\nlet y = 1\n', "utf-8")
    text = HELD[statement].replace("./shared", "./more") if sort == "library" else HELD[statement]
    (example / name).write_text(f'recipe 1 "it"\n{extra}{text}\n', "utf-8")
    found = command("validate", file, *options).codes
    holds = f"`{statement}`" in composition.FILES[sort][1]
    assert (found == []) is holds
    assert holds or "E034" in found


def test_statements_are_told_as_they_are_written():
    page = PAGES["composition.md"]
    for word in ("extends", "use", "param", "set", "patch", "unset"):
        assert f"| `{word} " in page

"""The seeded share of fuzzing; `make fuzz` goes on for longer. Texts that once failed are `tests/cases/crashers`."""

import random

import pytest

from tests.fuzz.promises import keep
from tests.fuzz.texts import any_text, broken, by_grammar, by_schema
from tests.reading import CASES, parsed

CRASHERS = sorted((CASES / "crashers").glob("*.recipe"))


@pytest.mark.parametrize("seed", range(2))
def test_any_text_is_read(seed):
    rng = random.Random(seed)
    for _ in range(40):
        keep(any_text(rng))


@pytest.mark.parametrize("seed", range(2))
def test_what_the_grammar_makes_is_a_recipe(seed):
    rng = random.Random(seed)
    for _ in range(40):
        text = by_grammar(rng)
        assert [d.message for d in parsed(text)[1]] == []
        keep(text)


@pytest.mark.parametrize("seed", range(2))
def test_blocks_of_random_attributes_give_only_coded_errors(seed):
    rng = random.Random(seed)
    for _ in range(12):
        keep(by_schema(rng))


@pytest.mark.parametrize("seed", range(2))
def test_broken_recipes_are_read(seed):
    rng = random.Random(seed)
    for _ in range(25):
        keep(broken(rng))


@pytest.mark.parametrize("path", CRASHERS, ids=lambda p: p.stem)
def test_what_once_failed_is_read(path):
    keep(path.read_bytes().decode("utf-8"))

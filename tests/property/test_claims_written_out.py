"""Claims of any form: the effective recipe holds the same ones, and printing it again changes nothing."""

import random

import pytest

from recipelang.spec.canonical import spec_digest
from recipelang.spec.effective import effective
from tests.reading import checked, recipe_of, sound

BEFORE = (
    "let low = -5\nlet third = 1 / 3\nlet chosen = @value | !@out\n"
    "param way: one_of(uniform, global) = global\nparam shape: pattern = unstructured\n"
)
MEASURED = ["dev.f1", "stage.gradual.dev.f1", "0.5", "90%", "target", "low", "third", "1e-5", "-2"]
KNOWN = [
    "way == uniform",
    "way in [global]",
    "shape == unstructured",
    "warm >= 1 epoch",
    "true",
    "length in 1..99 epochs",
]


class Writer:
    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)

    def selector(self, depth: int = 0) -> str:
        if depth > 2 or self.rng.random() < 0.4:
            return self.rng.choice(["@query", "@key", '"x.*"', 're"a\\.b"', "layers(0..2)", "layers(-1)", "chosen"])
        if self.rng.random() < 0.2:
            return f"!{self.selector(depth + 1)}"
        return f"({self.selector(depth + 1)} {self.rng.choice(['&', '|', 'except'])} {self.selector(depth + 1)})"

    def number(self, depth: int = 0) -> str:
        kind = self.rng.random()
        if depth > 3 or kind < 0.5:
            return self.rng.choice([*MEASURED, f"sparsity({self.selector()})", f"params({self.selector()})"])
        if kind < 0.9:
            return f"({self.number(depth + 1)} {self.rng.choice('+-*/')} {self.number(depth + 1)})"
        if kind < 0.95:
            return f"-({self.number(depth + 1)})"
        condition = self.rng.choice([*KNOWN, "dev.f1 > 3"])
        return f"(if {condition} then {self.number(depth + 1)} else {self.number(depth + 1)})"

    def claim(self, depth: int = 0) -> str:
        kind = self.rng.random()
        a, b = self.number(), self.number()
        if depth > 3 or kind < 0.45:
            return f"{a} {self.rng.choice(['<', '>=', '==', '!='])} {b}"
        if kind < 0.65:
            return self.rng.choice(
                [
                    f"{a} == {b} ± {self.rng.randint(0, 9)}%",
                    f"{a} in {b}..{a}",
                    f"{a} in [{b}, 1]",
                    "pattern(@query) == 2:4",
                ]
            )
        if kind < 0.75:
            return self.rng.choice(KNOWN)
        if kind < 0.9:
            word = self.rng.choice(["and", "or", "==", "!="])
            return f"({self.claim(depth + 1)}) {word} ({self.claim(depth + 1)})"
        if kind < 0.95:
            return f"not ({self.claim(depth + 1)})"
        return f"(if {self.claim(depth + 1)} then {self.claim(depth + 1)} else {self.claim(depth + 1)})"


@pytest.mark.parametrize("seed", range(3))
def test_claims_of_the_effective_recipe_are_the_same(seed):
    writer, tried = Writer(seed), 0
    for _ in range(15):
        text = sound(
            add=BEFORE + "".join(f"{writer.rng.choice(['expect', 'prefer'])} {writer.claim()}\n" for _ in range(2))
        )
        if {"E028", "E030"} & {d.code for d in checked(text).diagnostics}:
            continue  # a range that happens to run backwards, a denominator that happens to be nought
        recipe = recipe_of(text)
        printed = effective(recipe)
        again = recipe_of(printed)
        assert spec_digest(again, {}) == spec_digest(recipe, {})
        assert effective(again) == printed
        tried += 1
    assert tried > 10

"""Broken recipes: reading them never raises, loses no character, and says at most fifty things."""

import random

import pytest
from hypothesis import given, settings, strategies as st

from recipelang.source.codes import codes
from recipelang.source.diagnostic import LIMIT
from recipelang.source.render import concise, render
from tests.property.examples import examples
from tests.reading import TEXTS, checked, parsed

PIECES = [
    *"{}()[]\"#=.,:%@|&!<>+-*/\\$' \n\t\r0123456789abzé±\x00\u202e\U0001f600",
    *("param ", "let ", "recipe ", '"""', "if ", "else ", "in ", "..", "->", "+/-", 're"', "\r\n", "require "),
    *("stage x {", "2:4", "10%", "a = ", "${a}", "\\u{", "per epoch", "except", "##", '"}', "batch 8 lr = 2"),
]


def corrupted(text: str, rng: random.Random) -> str:
    """One to four changes: delete, insert, replace, repeat a piece, cut short."""
    for _ in range(rng.randint(1, 4)):
        i = rng.randrange(len(text) + 1)
        j = min(len(text), i + rng.randint(1, 20))
        match rng.choice(["delete", "insert", "replace", "repeat", "cut"]):
            case "delete":
                text = text[:i] + text[j:]
            case "insert":
                text = text[:i] + rng.choice(PIECES) + text[i:]
            case "replace":
                text = text[:i] + rng.choice(PIECES) + text[j:]
            case "repeat":
                k = rng.randrange(len(text) + 1)
                text = text[:i] + text[k : k + rng.randint(1, 40)] + text[i:]
            case "cut" if rng.random() < 0.3:
                text = text[:i]
    return text


@pytest.mark.parametrize("seed", range(examples(2)))
def test_corrupted_recipes_are_read_without_loss_and_with_few_findings(seed):
    rng = random.Random(seed)
    texts = list(TEXTS.values())
    for _ in range(260):
        text = corrupted(rng.choice(texts), rng)
        result, found = parsed(text)
        assert result.tokens is not None
        assert "".join(result.tokens.all) == text
        assert result.recipe is not None or "E011" in [d.code for d in found]
        assert len(found) <= LIMIT
        for d in found:
            assert d.primary is not None
            assert 0 <= d.primary.span.start <= d.primary.span.end <= len(text)


@settings(max_examples=examples(50))
@given(st.lists(st.sampled_from(PIECES), max_size=60))
def test_any_sequence_of_pieces_is_read_without_loss(pieces):
    text = "recipe 1\n" + "".join(pieces)
    result, _ = parsed(text)
    assert result.tokens is not None
    assert "".join(result.tokens.all) == text


@pytest.mark.parametrize("seed", range(examples(1)))
def test_corrupted_recipes_are_checked_and_shown_without_a_crash(seed):
    rng = random.Random(100 + seed)
    texts = list(TEXTS.values())
    for _ in range(40):
        found = checked(corrupted(rng.choice(texts), rng)).diagnostics.sorted()
        assert len(concise(found).splitlines()) >= len(found)
        assert {d.code for d in found} <= set(codes())
        assert all(d.code in render([d]) for d in found)

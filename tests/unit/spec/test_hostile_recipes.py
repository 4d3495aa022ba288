"""Hostile recipes stop at once with a code, whatever they try to make large, deep or slow."""

import time

import pytest

from recipelang.spec.evaluate import MAX_CHAIN
from tests.reading import checked, codes, sound, value_of


def lets(n: int, each: str, first: str = "1") -> str:
    """`let a0 = first`, then `n` definitions, each from the one before (`P`)."""
    return f"let a0 = {first}\n" + "".join(f"let a{i} = {each.replace('P', f'a{i - 1}')}\n" for i in range(1, n))


def backwards(n: int, each: str) -> str:
    return "".join(f"let a{i} = {each.replace('N', f'a{i + 1}')}\n" for i in range(n)) + f"let a{n} = 1\n"


ATTACKS = {
    "nested doubling lists": (lets(60, "[P, P]"), "E043"),
    "repeated squaring": (lets(30, "P * P", "3"), "E020"),
    "a sum of 5,000 terms": ("let a = " + " + ".join(["1"] * 5000) + "\n", "E044"),
    "3,000 chained definitions": (lets(3000, "P + 1"), "E042"),
    "2,000 parentheses": ("let a = " + "(" * 2000 + "1" + ")" * 2000 + "\n", "E044"),
    "doubling strings": (lets(60, '"${P}${P}"', '"xxxxxxxxxxxxxxxx"'), "E043"),
    "doubling calls": (lets(60, "f(P, P)"), "E043"),
    "doubling changes": (lets(60, "P -> P"), "E043"),
    "doubling ranges": (lets(60, "P..P"), "E043"),
    "doubling selectors": (lets(60, "P & P", "@linear"), "E043"),
    "selectors inside each other": (lets(60, "!(!(!(!(P | @query) & @key) | @value) & @out)", "@ffn"), "E044"),
    "lists inside each other": (lets(60, "[[[[P]]]]"), "E044"),
    "lists inside each other, backwards": (backwards(60, "[" * 50 + "N" + "]" * 50), "E044"),
    "chained definitions, backwards": (backwards(1500, "N + 1"), "E044"),
    "one string of many long ones": (
        'let a = "' + "x" * 20_000 + '"\nlet b = "' + "${a}" * 10 + '"\nlet c = "' + "${b}" * 5000 + '"\n',
        "E043",
    ),
    "one string of many lists": ("let a = [" + "1," * 3000 + "]\n" + 'let b = "' + "${a}" * 9000 + '"\n', "E043"),
    "a tower of not": ("let a = " + "not " * 250 + "true\n", "E044"),
    "a tower of minus": ("let a = " + "-" * 3000 + "1\n", "E044"),
    "2,000 open blocks": ("a {\n" * 2000, "E044"),
    "more than 20,000 tokens": ("let a = [" + "1," * 15_000 + "]\n", "E042"),
    "more than 2,000 statements": ("".join(f"let a{i} = 1\n" for i in range(2100)), "E042"),
    "more than 2,000 statements in a block": ("meta {\n" + "".join(f"a{i} = 1\n" for i in range(2100)) + "}\n", "E042"),
    "more than 64 KiB": ("# comment\n" * 7000, "E042"),
    "powers of ten": (lets(20, "P * 1e60", "1e60"), "E020"),
    "lengths beyond bounds": (lets(20, "P * 1e60", "1 epoch"), "E020"),
    "sizes beyond bounds": ("let a = 1e60 GiB * 1e60\n", "E020"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_attack_stops_at_once_with_its_code(name):
    text, code = ATTACKS[name]
    text = sound(add=text)
    checked("recipe 1\n")  # the parse tables are read once
    start = time.process_time()
    found = codes(text)
    assert time.process_time() - start < 1
    assert found == [code]


def test_a_sum_of_256_operators_is_evaluated():
    assert value_of(" + ".join(["1"] * 257))[0].value == 257


def test_long_conjunctions_and_selectors_are_not_deep():
    assert value_of(" and ".join(["true"] * 200)) == (True, [])
    assert len(value_of(" & ".join(["@query"] * 200))[0].items) == 200


@pytest.mark.parametrize("forward", [True, False])
def test_the_longest_chain_is_the_same_in_either_order(forward):
    def chain(n: int) -> str:
        lines = [f"let a{i} = a{i - 1} + 1" for i in range(1, n)]
        return sound(add="\n".join(["let a0 = 1", *lines] if forward else [*lines[::-1], "let a0 = 1"]) + "\n")

    assert codes(chain(MAX_CHAIN)) == []
    assert codes(chain(MAX_CHAIN + 1)) == ["E044"]


def test_a_number_may_have_256_bits():
    assert value_of("1e60 * 1e17")[1] == []
    assert value_of("1e60 * 1e18")[1] == ["E020"]
    assert value_of("1 / 1e60 / 1e18")[1] == ["E020"]


def test_brackets_may_be_nested_64_deep_counting_blocks():
    assert codes(sound(add="let a = " + "(" * 64 + "1" + ")" * 64 + "\n")) == []
    assert codes(sound(add="let a = " + "(" * 65 + "1" + ")" * 65 + "\n")) == ["E044"]

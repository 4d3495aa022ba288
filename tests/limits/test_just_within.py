"""What is just within the limits is read; attacks on them are in `tests/limits`."""

import pytest

from recipelang.spec.evaluator import MAX_CHAIN
from tests.reading import codes, sound, value_of


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

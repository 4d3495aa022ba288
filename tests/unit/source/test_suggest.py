"""Distances between words, and how much work suggestions may be."""

import random

import pytest

from recipelang.source import suggest


def table(a: str, b: str) -> int:
    """The distance by its definition, cell by cell."""
    rows = [list(range(len(b) + 1))]
    for i, x in enumerate(a, 1):
        row = [i]
        for j, y in enumerate(b, 1):
            best = min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                best = min(best, rows[-2][j - 2] + 1)
            row.append(best)
        rows.append(row)
    return rows[-1][-1]


def test_distance_is_that_of_the_table():
    draw = random.Random(1)
    for _ in range(2_000):
        a, b = ("".join(draw.choices("abcé", k=draw.randint(0, 8))) for _ in range(2))
        assert suggest.distance(a, b) == table(a, b), (a, b)
    long = "".join(draw.choices("abcd", k=100))
    assert suggest.distance(long, long[:40] + "x" + long[41:]) == 1  # more letters than a machine word has bits


@pytest.mark.parametrize("length", [suggest.LONGEST, suggest.LONGEST + 1])
def test_only_words_of_a_length_that_is_typed_are_suggested(length):
    word = "a" * (length - 1) + "b"
    found = suggest.nearest(word, ["a" * length])
    assert found == (["a" * length] if length <= suggest.LONGEST else [])


@pytest.fixture
def limited():
    with suggest.limited_work():
        yield


def test_work_of_one_report_ends_and_slips_of_a_person_are_all_answered(limited):
    names = [f"parameter_{i:04d}" for i in range(60)]
    assert all(suggest.nearest(f"paramter_{i:04d}", names) for i in range(50))
    many = [f"parameter_{i:04d}" for i in range(2_000)]
    answers = [suggest.nearest(f"paramter_{i:04d}", many) for i in range(20)]
    assert answers[0]
    assert not answers[-1]

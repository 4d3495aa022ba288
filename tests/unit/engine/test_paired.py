"""Programs that take turns, and the ratio of their times."""

import random
from statistics import median

import pytest

from recipelang.engine.paired import LEAST_ROUNDS, WARM_UP, interleaved, median_interval, ratio


def test_programs_take_turns_and_none_is_always_first():
    called: list[str] = []
    timed: list[str] = []

    def clock(run):
        run()
        timed.append(called[-1])
        return float(len(called))

    found = interleaved([lambda name=name: called.append(name) for name in "abc"], 4, clock)
    assert "".join(called[: 3 * WARM_UP]) == "abc" * WARM_UP
    assert "".join(timed) == "abc" + "bca" + "cab" + "abc"
    assert [len(seconds) for seconds in found] == [4, 4, 4]


def test_a_machine_that_slows_down_changes_no_ratio():
    load = [1.0, 1.0, 5.0, 9.0, 2.0, 7.0, 3.0, 1.0]
    found = ratio([2 * s for s in load], load)
    assert (found.median, found.low, found.high) == (2.0, 2.0, 2.0)


@pytest.mark.parametrize("n", [6, 9, 20, 50])
def test_the_interval_holds_the_median_as_often_as_it_says(n):
    rng, inside = random.Random(n), 0
    for _ in range(600):
        low, high = median_interval([rng.expovariate(1.0) for _ in range(n)])
        inside += low <= 0.6931471805599453 <= high
    assert inside / 600 >= 0.93  # at least 95 %, less what 600 draws can miss
    assert n == LEAST_ROUNDS or inside < 600


def test_the_interval_of_fifty_values_is_that_of_the_tables():
    values = [float(i) for i in range(1, 51)]
    assert median_interval(values) == (18.0, 33.0)
    assert median_interval(values[:6]) == (1.0, 6.0)
    assert median(values) == 25.5

"""Batches made ahead are those made when asked for, and errors come at their own batch."""

import threading

import pytest

from recipelang.engine.ahead import DEPTH, ahead


@pytest.mark.parametrize("count", [0, 1, 2, 3, 10])
def test_everything_comes_in_its_order(count):
    assert list(ahead(range(count), lambda i: i * i)) == [(i, i * i) for i in range(count)]


def test_no_more_is_made_than_so_many_ahead_and_never_on_this_thread():
    made, threads = [], set()

    def make(i):
        made.append(i)
        threads.add(threading.get_ident())
        return i

    for i, _ in ahead(iter(range(20)), make):
        assert len(made) <= i + 1 + DEPTH
    assert made == list(range(20)) and threading.get_ident() not in threads


def test_an_error_comes_at_its_batch():
    each = ahead(range(5), lambda i: 6 // (2 - i))
    assert [next(each), next(each)] == [(0, 3), (1, 6)]
    with pytest.raises(ZeroDivisionError):
        next(each)


def test_a_loop_that_is_left_leaves_no_thread():
    before = threading.active_count()
    each = ahead(iter(int, 1), lambda i: i)
    next(each)
    each.close()
    assert threading.active_count() == before

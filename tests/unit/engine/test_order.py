"""Which items a step draws."""

import numpy as np
import pytest

from recipelang.engine.order import batches, by_length, drawn
from recipelang.planning.types import Segment, StagePlan

LENGTHS = np.random.default_rng(0).integers(5, 200, 1003)


def stage(items: int = 1003, batch: int = 8) -> StagePlan:
    per_epoch = -(-items // batch)
    return StagePlan(
        name="s", index=0, steps=3 * per_epoch, steps_per_epoch=per_epoch, epochs=3, batch=batch, micro_batch=batch,
        accumulation=1, optimizer="sgd", seed=1,
        learning_rate=(Segment(shape="constant", start=1e-3, end=1e-3, first=0, last=3 * per_epoch - 1),),
    )  # fmt: skip


def epoch(number: int, lengths=LENGTHS, items: int = 1003) -> list[np.ndarray]:
    s = stage(items)
    first = number * s.steps_per_epoch
    return list(batches(s, items, True, 7, first, first + s.steps_per_epoch, lengths))


@pytest.mark.parametrize("lengths", [None, LENGTHS])
def test_an_epoch_draws_every_item_once(lengths):
    assert sorted(np.concatenate(epoch(1, lengths))) == list(range(1003))


def test_a_batch_holds_items_of_like_length():
    padding = [
        sum(LENGTHS[b].max() * len(b) - LENGTHS[b].sum() for b in epoch(0, lengths)) for lengths in (None, LENGTHS)
    ]
    assert padding[1] < padding[0] / 10


def test_longest_comes_first_and_the_rest_last():
    found = epoch(0)
    assert LENGTHS.max() in LENGTHS[found[0]]
    assert [len(b) for b in found] == [8] * 125 + [3]


def test_batches_do_not_go_from_long_to_short():
    means = [LENGTHS[b].mean() for b in epoch(0)[1:-1]]
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.3


def test_epochs_differ_and_a_step_is_the_same_wherever_one_begins():
    s = stage()
    assert not np.array_equal(np.concatenate(epoch(0)), np.concatenate(epoch(1)))
    alone = next(batches(s, 1003, True, 7, 130, 131, LENGTHS))
    assert np.array_equal(alone, epoch(1)[130 - s.steps_per_epoch])


def test_rows_of_a_part_of_an_epoch_are_those_its_steps_draw():
    rows = drawn(stage(), 1003, True, 7, 5, LENGTHS)
    assert np.array_equal(rows, np.unique(np.concatenate(epoch(0)[:5])))


def test_fewer_items_than_a_batch():
    assert sorted(by_length(np.arange(3), np.array([5, 9, 7]), 8, np.random.default_rng(0))) == [0, 1, 2]

"""Pruning events of any window and rate: in order, exact at the end, counted exactly."""

import itertools
from fractions import Fraction

from hypothesis import given, settings, strategies as st

from recipelang.planning.schedule import events, segments
from recipelang.schedules.stepwise import at
from recipelang.source import Diagnostics
from recipelang.values.composite import Schedule, ShapeSegment
from recipelang.values.quantities import Time, round_half_up
from tests.property.examples import examples

percents = st.integers(0, 1000).map(lambda n: Fraction(n, 1000))
spans = st.fractions(min_value=0, max_value=20, max_denominator=12)


@settings(max_examples=examples(60))
@given(st.sampled_from(["linear", "cubic", "cosine"]), percents, percents, spans, spans, spans, st.integers(1, 400))
def test_events_of_a_window(shape, a, b, begin, length, every, per_epoch):
    every, length = every + Fraction(1, 12), length + Fraction(1, 12)
    window = (Time(epochs=begin), Time(epochs=begin + length))
    schedule = Schedule((ShapeSegment(shape, a, b, window, Time(epochs=every)),))
    found = Diagnostics()
    out = events(schedule, 50 * per_epoch, per_epoch, None, found)
    steps = [step for step, _ in out]
    assert {d.code for d in found} <= {"W101"}
    assert all(x < y for x, y in itertools.pairwise(steps))
    assert out[-1] == (round_half_up((begin + length) * per_epoch), b)
    assert steps[0] == round_half_up(begin * per_epoch)
    if not len(found):
        assert len(out) == -(-length // every) + 1
        assert len(out) == 1 or out[0][1] == a
    values = [s for _, s in out]
    assert values == sorted(values, reverse=a > b)


@settings(max_examples=examples(40))
@given(
    st.integers(1, 300),
    st.fractions(min_value=Fraction(1, 8), max_value=5, max_denominator=8),
    st.integers(1, 60),
    st.sampled_from(["after", "last"]),
)
def test_rewound_cycles_begin_on_a_and_end_on_b_or_would_a_step_later(steps, period, per_epoch, ends):
    window = (Time(), Time(steps=Fraction(steps)))
    shape = ShapeSegment("linear", Fraction(9), Fraction(1), window, None, Time(epochs=period), ends=ends)
    schedule = Schedule((shape,))
    planned = segments(schedule, steps, per_epoch, None, Diagnostics())
    starts = [*planned[0].cycles, steps]
    assert starts[0] == 0
    for first, after in itertools.pairwise(starts):
        values = [at(planned, k) for k in range(first, after)]
        assert values[0] == 9.0
        n = len(values)
        assert n == 1 or values[-1] == (1.0 if ends == "last" else float(1 + Fraction(8, n)))
        assert values == sorted(values, reverse=True)

"""Schedules as functions of the step: shapes, published values, events, rewinds, coverage."""

from fractions import Fraction
from math import cos, isclose, pi

import pytest
import torch
from transformers import get_scheduler

from recipelang.planning.schedule import MAX_EVENTS, events, segments
from recipelang.report.plan_screen import _ends
from recipelang.schedules import shapes
from recipelang.schedules.stepwise import at
from recipelang.source import Diagnostics
from tests.reading import checked, codes, recipe_of, sound

SPARSITY = "cubic(70% -> target, over = start + warm .. end - warm, updates = 10 per epoch)"
RATE = "linear(8e-5 -> 8e-6, over = start..end, rewind = 2 epochs)"
F = Fraction


def sparsity(text: str, *, epochs: int = 30, per_epoch: int = 100):
    """`(step, sparsity)` of every event of `sparsity = text`, and the codes found."""
    stage = recipe_of(sound((SPARSITY, text)), length=f"{epochs} epochs").stages[0]
    found = Diagnostics()
    out = events(stage.prunes[0].sparsity, epochs * per_epoch, per_epoch, None, found)
    return out, [d.code for d in found]


def rate(text: str, *, epochs: int = 30, per_epoch: int = 10):
    """The value of `learning_rate = text` at every step, and the codes found."""
    stage = recipe_of(sound((RATE, text)), length=f"{epochs} epochs").stages[0]
    found = Diagnostics()
    planned = segments(stage.learning_rate, epochs * per_epoch, per_epoch, None, found)
    return [at(planned, k) for k in range(epochs * per_epoch)] if planned else [], [d.code for d in found]


# ------------------------------------------------------------------------------- shapes
@pytest.mark.parametrize(
    ("shape", "power", "values"),
    [
        ("constant", None, [F(9, 10)] * 5),
        ("step", None, [F(9, 10)] * 5),
        ("linear", None, [F(1, 10), F(3, 10), F(1, 2), F(7, 10), F(9, 10)]),
        ("cubic", None, [F(9, 10) - F(8, 10) * (1 - F(k, 4)) ** 3 for k in range(5)]),
        ("polynomial", F(2), [F(9, 10) - F(8, 10) * (1 - F(k, 4)) ** 2 for k in range(5)]),
        ("polynomial", F(1), [F(1, 10), F(3, 10), F(1, 2), F(7, 10), F(9, 10)]),
    ],
)
def test_rational_shapes_are_exact(shape, power, values):
    assert [shapes.value(shape, F(1, 10), F(9, 10), F(k, 4), power) for k in range(5)] == values


@pytest.mark.parametrize(
    ("shape", "power", "formula"),
    [
        ("cosine", None, lambda a, b, x: b + (a - b) * (1 + cos(pi * x)) / 2),
        ("exponential", None, lambda a, b, x: a * (b / a) ** x),
        ("polynomial", F(3, 2), lambda a, b, x: b + (a - b) * (1 - x) ** 1.5),
    ],
)
def test_other_shapes_follow_their_formula(shape, power, formula):
    for k in range(1, 20):
        value = shapes.value(shape, F(1, 10), F(9, 10), F(k, 20), power)
        assert isclose(float(value), formula(0.1, 0.9, k / 20), rel_tol=1e-14)


@pytest.mark.parametrize("shape", ["linear", "cosine", "cubic", "exponential", "polynomial"])
def test_both_ends_are_exact_and_held_outside(shape):
    a, b = F(1, 3), F(2, 7)
    assert [shapes.value(shape, a, b, F(x), F(5, 2)) for x in (-1, 0, 1, 2)] == [a, a, b, b]


# ----------------------------------------------------------------- values of the paper
PUBLISHED = [
    ("2..26 epochs, every = 4 epochs", 70, 80, ".7 .7421 .7704 .7875 .7963 .7995 .8"),
    ("2..26 epochs, every = 4 epochs", 70, 90, ".7 .7843 .8407 .875 .8926 .8991 .9"),
    ("2..26 epochs, every = 4 epochs", 70, 95, ".7 .8053 .8759 .9187 .9407 .9488 .95"),
    ("2..26 epochs, every = 4 epochs", 70, 97, ".7 .8137 .89 .9363 .96 .9688 .97"),
    ("2..26 epochs, every = 4 epochs", 30, 80, ".3 .5106 .6519 .7375 .7815 .7977 .8"),
    ("2..26 epochs, every = 4 epochs", 30, 90, ".3 .5528 .7222 .825 .8778 .8972 .9"),
    (
        "2..8 epochs, updates = 2 per epoch",
        70,
        90,
        ".7 .7459 .7843 .8156 .8407 .8603 .875 .8855 .8926 .8969 .8991 .8999 .9",
    ),
    (
        "2..8 epochs, updates = 2 per epoch",
        70,
        97,
        ".7 .762 .8137 .8561 .89 .9164 .9363 .9505 .96 .9658 .9688 .9698 .97",
    ),
    (
        "0..2.75 epochs, every = 0.25 epochs",
        70,
        90,
        ".7 .7497 .7905 .8231 .8485 .8675 .8812 .8904 .8959 .8988 .8998 .9",
    ),
]


@pytest.mark.parametrize(("window", "start", "end", "values"), PUBLISHED)
def test_cubic_has_the_published_values(window, start, end, values):
    found, codes = sparsity(f"cubic({start}% -> {end}%, over = {window})")
    assert codes == []
    assert [f"{float(s):.4f}" for _, s in found] == [f"{float(v):.4f}" for v in values.split()]


def test_published_events_fall_on_their_epochs():
    found, _ = sparsity("cubic(70% -> 90%, over = 2..26 epochs, every = 4 epochs)", per_epoch=5475)
    assert [step / 5475 for step, _ in found] == [2, 6, 10, 14, 18, 22, 26]


# ------------------------------------------------------------------------------- events
def test_ten_updates_an_epoch_over_26_epochs_are_261_events():
    found, codes = sparsity("cubic(70% -> 97%, over = 2..28 epochs, updates = 10 per epoch)", per_epoch=5475)
    assert (len(found), codes) == (261, [])
    assert (found[0], found[-1]) == ((2 * 5475, F(7, 10)), (28 * 5475, F(97, 100)))


def test_an_interval_that_does_not_divide_the_window_ends_with_a_shorter_one():
    found, _ = sparsity("linear(0% -> 90%, over = 0..10 epochs, every = 4 epochs)", per_epoch=10)
    assert found == [(0, 0), (40, F(36, 100)), (80, F(72, 100)), (100, F(9, 10))]


def test_an_interval_longer_than_the_window_leaves_its_two_ends():
    found, _ = sparsity("cubic(10% -> 90%, over = 1..2 epochs, every = 4 epochs)", per_epoch=10)
    assert found == [(10, F(1, 10)), (20, F(9, 10))]


def test_steps_are_rounded_half_up_and_sparsity_keeps_the_exact_time():
    found, _ = sparsity("linear(0% -> 90%, over = 0..3 epochs, every = 0.5 epochs)", per_epoch=7)
    assert [step for step, _ in found] == [0, 4, 7, 11, 14, 18, 21]
    assert [s for _, s in found] == [F(15 * k, 100) for k in range(7)]


def test_the_last_event_may_fall_on_the_end_of_the_stage():
    found, codes = sparsity("cubic(10% -> 90%, over = start..end, every = 10 epochs)", per_epoch=10)
    assert (found[-1], codes) == ((300, F(9, 10)), [])


def test_events_on_one_step_merge_with_a_warning_and_the_later_value():
    found, codes = sparsity("linear(0% -> 90%, over = 0..1 epoch, updates = 10 per epoch)", per_epoch=4)
    assert codes == ["W101"]
    steps = [step for step, _ in found]
    assert steps == sorted(set(steps)) == [0, 1, 2, 3, 4]
    assert found[-1] == (4, F(9, 10))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90%", [(0, F(9, 10))]),
        ("step(0% -> 50%, at = 2 epochs)", [(20, F(1, 2))]),
        ("step(30% -> 50%, at = 2 epochs)", [(0, F(3, 10)), (20, F(1, 2))]),
        ("step(30% -> 50%, at = start)", [(0, F(1, 2))]),
        (
            "[step(0% -> 50%, at = 2 epochs), step(50% -> 70%, at = 4 epochs)]",
            [(20, F(1, 2)), (40, F(7, 10))],
        ),
    ],
)
def test_values_that_jump(text, expected):
    assert sparsity(text, per_epoch=10) == (expected, [])


def test_shares_of_a_stage_are_of_its_length():
    a, _ = sparsity("cubic(10% -> 90%, over = 5%..95%, every = 1 epoch)")
    b, _ = sparsity("cubic(10% -> 90%, over = 1.5..28.5 epochs, every = 1 epoch)")
    assert a == b


def test_windows_move_with_the_length_of_the_stage():
    found, _ = sparsity(SPARSITY, epochs=10, per_epoch=10)
    assert (found[0][0], found[-1][0], len(found)) == (20, 80, 61)


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        (
            "[linear(0% -> 50%, over = 2..4 epochs, every = 1 epoch), cubic(50% -> 90%, over = 4..8 epochs, every = 1 epoch)]",
            [],
        ),
        (
            "[linear(0% -> 50%, over = 2..4 epochs, every = 1 epoch), cubic(50% -> 90%, over = 5..8 epochs, every = 1 epoch)]",
            ["E061"],
        ),
        (
            "[linear(0% -> 50%, over = 2..4 epochs, every = 1 epoch), cubic(50% -> 90%, over = 3..8 epochs, every = 1 epoch)]",
            ["E060"],
        ),
        (
            "[cubic(50% -> 90%, over = 4..8 epochs, every = 1 epoch), linear(0% -> 50%, over = 2..4 epochs, every = 1 epoch)]",
            ["E060"],
        ),
        ("cubic(0% -> 90%, over = 2..31 epochs, every = 1 epoch)", ["E062"]),
        ("cubic(0% -> 90%, over = start - 1 epoch..end, every = 1 epoch)", ["E062"]),
        ("cubic(0% -> 90%, over = end..start, every = 1 epoch)", ["E062"]),
        ("step(0% -> 90%, at = end + 1 step)", ["E062"]),
        ("linear(0% -> 90%, over = start..end, updates = 100_000 per epoch)", ["E063"]),
    ],
)
def test_parts_of_a_sparsity_and_the_stage(text, codes):
    assert sparsity(text)[1] == codes


def test_where_one_part_ends_the_next_begins_with_one_event():
    text = "[linear(0% -> 50%, over = 2..4 epochs, every = 1 epoch), cubic(50% -> 90%, over = 4..6 epochs, every = 1 epoch)]"
    found, codes = sparsity(text, per_epoch=10)
    assert codes == []
    assert [step for step, _ in found] == [20, 30, 40, 50, 60]


def test_the_number_of_events_is_limited():
    assert MAX_EVENTS == 100_000
    found, codes = sparsity("linear(0% -> 90%, over = 0..25 epochs, every = 1 step)", per_epoch=4001)
    assert (found, codes) == ([], ["E063"])


# -------------------------------------------------------- what changes at every step
def test_a_learning_rate_is_read_at_the_start_of_its_step_and_ends_after_the_last_one():
    values, codes = rate("linear(1e-3 -> 1e-4, over = start..end)")
    assert (values[0], values[-1], len(values), codes) == (1e-3, pytest.approx(1.03e-4, rel=1e-14), 300, [])
    assert values == sorted(values, reverse=True)
    assert values == rate("linear(1e-3 -> 1e-4, over = start..end, ends = after)")[0]


@pytest.mark.parametrize("shape", ["linear", "cosine", "cubic"])
@pytest.mark.parametrize("rewind", ["", ", rewind = 2 epochs", ", rewind = 7 steps"])
def test_no_step_is_spent_at_a_rate_of_nought(shape, rewind):
    assert min(rate(f"{shape}(1e-3 -> 0, over = start..end{rewind})")[0]) > 0
    assert min(rate(f"{shape}(1e-3 -> 0, over = start..end{rewind}, ends = last)")[0]) == 0


def test_with_ends_last_a_learning_rate_ends_exactly_on_its_last_value():
    values, codes = rate("linear(1e-3 -> 1e-4, over = start..end, ends = last)")
    assert (values[0], values[-1], len(values), codes) == (1e-3, 1e-4, 300, [])
    assert values == sorted(values, reverse=True)


def test_a_rewound_rate_comes_to_b_after_each_cycle_where_it_begins_again_on_a():
    values, _ = rate("linear(8e-5 -> 8e-6, over = start..end, rewind = 2 epochs)")
    for cycle in range(0, 300, 20):
        expected = [8e-5 - k / 20 * (8e-5 - 8e-6) for k in range(20)]
        assert values[cycle : cycle + 20] == pytest.approx(expected, rel=1e-12)


def test_with_ends_last_a_rewound_rate_ends_each_cycle_on_b_and_begins_the_next_on_a():
    values, _ = rate("linear(8e-5 -> 8e-6, over = start..end, rewind = 2 epochs, ends = last)")
    assert [values[k] for k in range(19, 300, 20)] == [8e-6] * 15
    assert [values[k] for k in range(0, 300, 20)] == [8e-5] * 15
    assert values[10] == pytest.approx(8e-5 - 10 / 19 * (8e-5 - 8e-6), rel=1e-12)


@pytest.mark.parametrize(("ends", "length"), [("after", 20), ("last", 19)])
def test_a_shorter_last_cycle_is_rescaled_to_its_own_length(ends, length):
    values, _ = rate(f"linear(9e-5 -> 1e-5, over = start..end, rewind = 4 epochs, ends = {ends})")
    assert [values[280 + k] for k in range(20)] == pytest.approx(
        [9e-5 - k / length * 8e-5 for k in range(20)], rel=1e-12
    )


def test_cycles_that_are_no_whole_number_of_steps_begin_half_up():
    values, _ = rate("linear(9e-5 -> 1e-5, over = start..end, rewind = 0.25 epochs)", epochs=1)
    assert [k for k, v in enumerate(values) if v == 9e-5] == [0, 3, 5, 8]


@pytest.mark.parametrize("ends", ["after", "last"])
def test_a_cycle_of_one_step_has_the_first_value(ends):
    values, _ = rate(f"linear(9e-5 -> 1e-5, over = start..end, rewind = 1 step, ends = {ends})", epochs=1)
    assert values == [9e-5] * 10


@pytest.mark.parametrize("rewind", ["0.5 steps", "0.000001 epochs"])
def test_a_cycle_shorter_than_a_step_is_one_of_one_step(rewind):
    assert rate(f"linear(9e-5 -> 1e-5, over = start..end, rewind = {rewind})")[0] == [9e-5] * 300


def test_more_cycles_than_can_be_written_down_are_an_error():
    text = "linear(9e-5 -> 1e-5, over = start..end, rewind = 3 steps)"
    stage = recipe_of(sound((RATE, text))).stages[0]
    found = Diagnostics()
    assert segments(stage.learning_rate, 30 * 10**7, 10**7, None, found) == ()
    assert [d.code for d in found] == ["E063"]


@pytest.mark.parametrize(("ends", "value"), [("after", 9e-5), ("last", 1e-5)])
def test_a_window_of_one_step_has_its_first_value_or_with_ends_last_its_last(ends, value):
    text = f"[linear(9e-5 -> 1e-5, over = 0..1 step, ends = {ends}), linear(7e-5 -> 3e-5, over = 1 step..end)]"
    values, codes = rate(text, epochs=1)
    assert (values[:2], codes) == ([value, 7e-5], [])


def test_rewinds_count_from_the_beginning_of_their_window():
    text = "[linear(8e-5 -> 8e-6, over = 0..2 epochs), linear(6e-5 -> 6e-6, over = 2 epochs..end, rewind = 4 epochs)]"
    values, _ = rate(text)
    assert [k for k, v in enumerate(values) if v == 6e-5] == list(range(20, 300, 40))
    assert values[299] == pytest.approx(6e-6 + 54e-6 / 40, rel=1e-12)


def test_a_rate_that_jumps():
    values, codes = rate("step(1e-3 -> 1e-4, at = 15 epochs)")
    assert (values, codes) == ([1e-3] * 150 + [1e-4] * 150, [])


def test_a_plain_rate_covers_the_stage():
    assert rate("1e-4") == ([1e-4] * 300, [])


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("linear(1e-3 -> 0, over = 0..29 epochs)", ["E061"]),
        ("linear(1e-3 -> 0, over = 1..30 epochs)", ["E061"]),
        ("linear(1e-3 -> 0, over = 0..31 epochs)", ["E062"]),
        ("linear(1e-3 -> 0, over = end..start)", ["E062"]),
        ("step(1e-3 -> 0, at = 31 epochs)", ["E062"]),
        ("[linear(1e-3 -> 0, over = 0..5 epochs), linear(1e-3 -> 0, over = 5 epochs..end)]", []),
        ("[linear(1e-3 -> 0, over = 0..5 epochs), linear(1e-3 -> 0, over = 6 epochs..end)]", ["E061"]),
        ("[linear(1e-3 -> 0, over = 0..5 epochs), linear(1e-3 -> 0, over = 4 epochs..end)]", ["E060"]),
        ("[linear(1e-3 -> 0, over = 5 epochs..end), linear(1e-3 -> 0, over = 0..5 epochs)]", ["E061"]),
        ("[linear(1e-3 -> 0, over = 0..5 epochs), step(1e-3 -> 0, at = 6 epochs)]", ["E060"]),
        ("[step(1e-3 -> 0, at = 6 epochs), linear(1e-3 -> 0, over = 8 epochs..end)]", ["E060"]),
    ],
)
def test_a_learning_rate_covers_its_stage_without_gap_or_overlap(text, codes):
    assert rate(text)[1] == codes


def test_temperature_and_hardness_are_schedules_too():
    text = sound(("temperature = 5.5", "temperature = linear(8 -> 2, over = start..end)"))
    planned = segments(recipe_of(text).stages[0].distills[0].temperature, 300, 10, None, Diagnostics())
    assert [at(planned, k) for k in (0, 150, 299)] == [8.0, 5.0, 2.02]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("1e-4", "1e-4"),
        ("linear(8e-5 -> 8e-6, over = start..end)", "8e-5 -> 8e-6"),
        ("linear(8e-5 -> 8e-6, over = start..end, ends = last)", "8e-5 -> 8e-6, reached on the last step"),
        (f"{RATE[:-1]}, ends = last)", "8e-5 -> 8e-6, 15 cycles, reached on the last step"),
    ],
)
def test_the_plan_says_which_reading_it_has(text, shown):
    stage = recipe_of(sound((RATE, text))).stages[0]
    assert _ends(segments(stage.learning_rate, 300, 10, None, Diagnostics())) == shown


# -------------------------------------------------------- as transformers has them
WARMED = "[linear(0 -> 1e-4, over = start..{w} steps), {shape}(1e-4 -> {low}, over = {w} steps..end{more})]"


@pytest.mark.parametrize("steps", [30, 160])
@pytest.mark.parametrize("warm", [0, 1, 10])
@pytest.mark.parametrize(
    ("name", "shape", "low", "more", "kwargs"),
    [
        ("linear", "linear", "0", "", {}),
        ("cosine", "cosine", "0", "", {}),
        ("cosine_with_min_lr", "cosine", "1e-5", "", {"min_lr": 1e-5}),
        ("polynomial", "polynomial", "1e-7", ", power = 2", {"lr_end": 1e-7, "power": 2.0}),
        ("constant_with_warmup", "linear", "1e-4", "", {}),
    ],
)
def test_warm_up_and_decay_are_those_of_transformers(name, shape, low, more, kwargs, warm, steps):
    """To 1e-15 of the peak: its own formulas lose more than that of a value near nought."""
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1e-4)
    scheduler = get_scheduler(name, optimizer, warm, steps, scheduler_specific_kwargs=kwargs)
    text = WARMED.format(w=warm, shape=shape, low=low, more=more)
    text = text if warm else f"{shape}(1e-4 -> {low}, over = start..end{more})"
    stage = recipe_of(sound((RATE, text)), length="1 epoch").stages[0]
    planned = segments(stage.learning_rate, steps, steps, None, Diagnostics())
    for step in range(steps):
        theirs = optimizer.param_groups[0]["lr"]
        assert abs(at(planned, step) - theirs) <= 1e-15 * (theirs if name == "linear" else 1e-4), step
        optimizer.step()
        scheduler.step()


# --------------------------------------------------------------- how they are written
@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("cubic(0% -> 90%, over = start..end)", "E053"),
        ("cubic(0% -> 90%, every = 1 epoch)", "E053"),
        ("cubic(over = start..end, every = 1 epoch)", "E053"),
        ("step(0% -> 90%)", "E053"),
        ("polynomial(0% -> 90%, over = start..end, every = 1 epoch)", "E053"),
        ("polynomial(0% -> 90%, power = 0, over = start..end, every = 1 epoch)", "E024"),
        ("cubic(90%, over = start..end, every = 1 epoch)", "E024"),
        ("cubic(0% -> 90%, 1, over = start..end, every = 1 epoch)", "E024"),
        ("0% -> 90%", "E024"),
        ("cubic(0% -> 90%, over = 2..28, every = 1 epoch)", "E024"),
        ("cubic(0% -> 90%, over = 2 epochs, every = 1 epoch)", "E024"),
        ("cubic(0% -> 90%, over = start..end, every = 10)", "E024"),
        ("cubic(0% -> 90%, over = start..end, updates = 10)", "E024"),
        ("cubic(0% -> 90%, over = start..end, every = 0 epochs)", "E038"),
        ("cubic(0% -> 90%, over = start..end, every = 1 epoch, updates = 2 per epoch)", "E054"),
        ("cubic(0% -> 90%, over = start..end, at = 2 epochs, every = 1 epoch)", "E051"),
        ("step(0% -> 90%, at = 2 epochs, over = start..end)", "E054"),
        ("cubic(0% -> 90%, over = start..end, every = 1 epoch, every = 2 epochs)", "E026"),
        ("cubic(0% -> 90%, ovr = start..end, every = 1 epoch)", "E051"),
        ("cubic(0% -> 90%, over = start..end, every = 1 epoch, rewind = 2 epochs)", "E051"),
        ("cubic(0% -> 90%, over = start..end, every = 1 epoch, ends = last)", "E051"),
        ("cubc(0% -> 90%, over = start..end, every = 1 epoch)", "E022"),
        ("exponential(0% -> 90%, over = start..end, every = 1 epoch)", "E038"),
        ("cubic(0% -> 190%, over = start..end, every = 1 epoch)", "E038"),
        ("[90%, 95%]", "E024"),
        ("[]", "E024"),
        ("cubic", "E022"),
    ],
)
def test_a_sparsity_that_is_not_one(text, code):
    assert codes(sound((SPARSITY, text))) == [code]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("linear(1e-3 -> 0, over = start..end, every = 1 epoch)", "E051"),
        ("linear(1e-3 -> 0, over = start..end, updates = 1 per epoch)", "E051"),
        ("step(1e-3 -> 0, at = 2 epochs, rewind = 1 epoch)", "E051"),
        ("linear(1e-3 -> -1, over = start..end)", "E038"),
        ("linear(1e-3 -> 1 epoch, over = start..end)", "E024"),
        ('"fast"', "E024"),
    ],
)
def test_a_learning_rate_that_is_not_one(text, code):
    assert codes(sound((RATE, text))) == [code]


def test_a_misspelt_shape_is_named_where_it_stands():
    text = sound((SPARSITY, "cubc(0% -> 90%, over = start..end, every = 1 epoch)"))
    (found,) = checked(text).diagnostics
    assert text[found.primary.span.start : found.primary.span.end] == "cubc"
    assert found.fixes[0].edits[0].text == "cubic"

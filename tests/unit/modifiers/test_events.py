"""The six events, declared once: each is fired, and a method for another one is a slip."""

import pytest

from recipelang.modifiers.modifier import Event, Modifier, fire

NAMES = [f"on_{event.value}" for event in Event]


def test_a_modifier_is_called_at_the_events_that_it_has_methods_for():
    called: list[str] = []
    everything = type("All", (Modifier,), {name: lambda self, state, name=name: called.append(name) for name in NAMES})
    for event in Event:
        fire(event, [Modifier(), everything()], None)
    assert called == NAMES


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("on_step_strat", "did you mean `on_step_start`?"),
        ("on_gradient", "did you mean `on_gradients`?"),
        ("on_epoch_begin", "the events are on_start, on_step_start, on_loss, on_gradients, on_step_end, on_end"),
    ],
)
def test_a_method_for_no_event_is_refused_when_the_class_is_made(name, hint):
    with pytest.raises(TypeError) as wrong:
        type("Mine", (Modifier,), {name: lambda self, state: None})
    assert str(wrong.value) == f"`Mine.{name}` is called at no event; {hint}"


def test_what_a_class_inherits_and_names_of_its_own_are_no_slip():
    base = type("Base", (Modifier,), {"on_end": lambda self, state: None, "_on_any": 1, "ongoing": 2})
    assert type("Below", (base,), {}).on_end is base.on_end

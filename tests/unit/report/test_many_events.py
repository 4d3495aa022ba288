"""A page of a plan with very many events shows some of them, evenly."""

from recipelang.planning.prune_plan import PruneEvent, PrunePlan, Target
from recipelang.report.run import _EVENTS, _events, thinned


def block(n: int) -> PrunePlan:
    events = tuple(PruneEvent(i, i / max(1, n), (i,)) for i in range(n))
    return PrunePlan(name="a", method="magnitude", targets=(Target(name="w", shape=(n,)),), events=events)


def test_few_events_are_all_shown():
    assert thinned(block(_EVENTS).events) == block(_EVENTS).events
    assert "evenly" not in _events(block(3))


def test_of_many_events_the_first_and_the_last_are_shown():
    many = block(100 * _EVENTS).events
    shown = thinned(many)
    assert (len(shown), shown[0], shown[-1]) == (_EVENTS, many[0], many[-1])
    assert "1,000 of 100,000 events are shown, evenly spaced" in _events(block(100 * _EVENTS))

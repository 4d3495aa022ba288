"""Which signals ask a run to stop, and what a second one does."""

import os
import signal
from collections.abc import Iterator

import pytest

from recipelang.engine import interrupt
from recipelang.study.execute import Stop


@pytest.fixture(params=[interrupt.StopRequests, Stop])
def asked(request: pytest.FixtureRequest) -> Iterator[type]:
    before = signal.getsignal(signal.SIGHUP)
    yield request.param
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_is_noted_and_the_handlers_come_back(asked: type, number: int):
    before = signal.getsignal(number)
    with asked() as stop:
        os.kill(os.getpid(), number)
        assert stop.received == number
    assert signal.getsignal(number) == before


def test_a_closed_terminal_that_is_told_of_twice_stops_once(asked: type):
    """By the system, and by the shell: the checkpoint is still written."""
    with asked() as stop:
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGHUP)
        assert stop.received == signal.SIGHUP


def test_a_hang_up_that_is_ignored_stays_so(asked: type):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with asked() as stop:
        os.kill(os.getpid(), signal.SIGHUP)
        assert stop.received is None

"""A run that was interrupted, resumed and finished is verified like any other."""

import os
import signal

import pytest

from recipelang.modifiers.modifier import Modifier
from tests.cli.command import command
from tests.train.steps import also_acting


class _Stopping(Modifier):
    """Sends this process a signal once, after a number of steps."""

    left = 3

    def on_step_end(self, state: object) -> None:
        type(self).left -= 1
        if type(self).left == 0:
            os.kill(os.getpid(), signal.SIGTERM)


def test_claims_with_parameters_in_them(project, monkeypatch: pytest.MonkeyPatch):
    """The recipe of a resumed run is the one with every value written out; what it claims is the same."""
    with monkeypatch.context() as patched:
        also_acting(patched, lambda stage: _Stopping())
        assert command("run", "tiny.recipe", "-o", "out").code == 143
    ended = command("resume", "out")
    assert ended.code == 0, ended.err
    assert "W177" not in ended.err
    ended = command("verify", "out")
    assert ended.code == 0, ended.out + ended.err

"""One process that has imported the commands, for all tests of limits: a start takes longer than most of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.limits.server import Ended, commands


@pytest.fixture(scope="session")
def command_in() -> Iterator[Callable[..., Ended]]:
    with commands() as run:
        yield run


@pytest.fixture(scope="module")
def command(folder: Path, command_in: Callable[..., Ended]) -> Callable[..., Ended]:
    """`recipelang` with the arguments given, in the `folder` of the module."""
    return partial(command_in, folder)

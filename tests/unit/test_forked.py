"""What tests fork is what `tests.forked` says: a server that could not import it would be as slow as none, without a word."""

from importlib.util import find_spec

import pytest

from tests.forked import LOADED


@pytest.mark.parametrize("module", LOADED)
def test_what_children_have_loaded_is_there(module):
    assert find_spec(module) is not None

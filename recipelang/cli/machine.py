"""Failures that are those of the machine, told as such: no memory, names that are no text, a folder that is gone."""

from __future__ import annotations

import errno
import sys
import traceback

from recipelang.source import RecipeError, fail
from recipelang.source.names import not_utf8

#: how libraries say that they got no memory, where they have no class for it
_NO_MEMORY = ("DefaultCPUAllocator", "failed to map segment", "annot allocate memory", "can't start new thread")


def limit_of_the_machine(error: Exception) -> RecipeError | None:
    """The coded error for a failure that is no bug; none for any other."""
    if is_out_of_memory(error):
        traceback.clear_frames(error.__traceback__)  # they hold what filled the memory
        help = "give the process more memory (`ulimit -v` shows a limit), or ask for less at once"
        return fail("E081", "out of memory", help=help)
    if "surrogates not allowed" in str(error):  # of Python, of pydantic, of what is written in Rust
        return not_utf8(error.object if isinstance(error, UnicodeEncodeError) else "")
    if isinstance(error, FileNotFoundError) and error.filename is None:  # only of the working folder
        return fail("E046", "the folder that you are in is gone", help="change to another folder: `cd`")
    return None


def is_out_of_memory(error: BaseException) -> bool:
    return (
        isinstance(error, MemoryError)
        or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
        or any(words in str(error) for words in _NO_MEMORY)
    )


def has_docstrings() -> None:
    """E166 under `python -OO`: the help is made of them, and transformers loads no model without."""
    if sys.flags.optimize > 1:
        help = "unset PYTHONOPTIMIZE, or set it to 1; leave `-OO` out"
        raise fail("E166", "this Python runs without docstrings, so models cannot be loaded", help=help)

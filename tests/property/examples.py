"""How many examples of a property are tried: few in the ordinary run, many where `make fuzz` looks for others."""

from __future__ import annotations

import os

_TIMES = 20 if os.environ.get("RECIPELANG_SEARCH") else 1


def examples(few: int) -> int:
    return few * _TIMES

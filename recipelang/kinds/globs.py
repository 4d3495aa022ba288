"""Globs and regular expressions on names of tensors: bounded, and linear in the name.

They are read as soon as they are written, so that a wrong one is found without a model.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from recipelang.kinds.base import Mismatch

MAX_ALTERNATIVES = 1_000
MAX_STARS = 16
MAX_REGEX = 1_024


@lru_cache(maxsize=256)
def glob(pattern: str) -> Any:
    """`*` one segment, `**` any number, `{a,b}`, `{0..11}`; no nested repeats. By RE2: eight stars take linear time."""
    import re2

    if not pattern:
        raise Mismatch("E024", "an empty glob matches nothing")
    pieces: list[str] = []
    alternatives = 0
    for token in re.findall(r"\*\*|\*|\?|\{[^{}]*\}|[^*?{}]+|[{}]", pattern):
        if token == "**":
            pieces.append(".*")
        elif token == "*":
            pieces.append("[^.]*")
        elif token == "?":
            pieces.append("[^.]")
        elif token.startswith("{") and len(token) > 1:
            options = _alternatives(token[1:-1])
            alternatives += len(options)
            if alternatives > MAX_ALTERNATIVES:
                message = f"the glob `{_short(pattern)}` has more than {MAX_ALTERNATIVES:,} alternatives"
                raise Mismatch("E049", message, "write `*` for any name, or `layers(0..5)`")
            pieces.append("(?:" + "|".join(map(re.escape, options)) + ")")
        elif token in "{}":
            message = f"the glob `{_short(pattern)}` has an unmatched brace"
            raise Mismatch("E049", message, "write `{a,b}` or `{0..11}`, without nested braces")
        else:
            pieces.append(re.escape(token))
    if pieces.count(".*") + pieces.count("[^.]*") > MAX_STARS:
        message = f"the glob `{_short(pattern)}` has more than {MAX_STARS} stars"
        raise Mismatch("E049", message, "`**` matches any number of name parts")
    return re2.compile("".join(pieces))


def _alternatives(inner: str) -> list[str]:
    numbers = re.fullmatch(r"(\d{1,6})\.\.(\d{1,6})", inner)
    if not numbers:
        return inner.split(",")
    first, last = int(numbers[1]), int(numbers[2])
    return [str(i) for i in range(first, min(last, first + MAX_ALTERNATIVES) + 1)]


@lru_cache(maxsize=256)
def regex(pattern: str) -> Any:
    """Of the RE2 class: no look-around, no back-references, linear time."""
    import re2

    if len(pattern) > MAX_REGEX:
        message = f"a regular expression has at most {MAX_REGEX:,} characters"
        raise Mismatch("E049", message, "join roles with `&` and `|`")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 1 << 20
    try:
        return re2.compile(pattern, options=options)
    except re2.error as error:
        said = error.args[0] if error.args else str(error)
        reason = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        unknown = "perl operator" in reason or "escape" in reason
        help = "look-around and back-references are not supported; combine patterns with `&`, `|` and `except`"
        message = "this regular expression cannot be used"
        raise Mismatch("E049", message, help if unknown else None, notes=(reason[:160],)) from None


def _short(pattern: str) -> str:
    return pattern if len(pattern) <= 40 else pattern[:40] + "..."

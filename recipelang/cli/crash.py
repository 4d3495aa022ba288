"""A bug of ours: one line on the screen, the rest in a file to send."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import traceback
from contextlib import suppress

from recipelang.cli.exit_codes import Exit
from recipelang.version import __version__


def report(error: BaseException) -> Exit:
    """Whatever the error, and whatever else fails, the exit code says that it was a bug."""
    with suppress(Exception):
        where = _written(error) or "no report could be written"
        line = next(iter(str(error).splitlines()), "")
        print(f"recipelang: internal error: {type(error).__name__}: {line[:120]} ({where})", file=sys.stderr)
        sys.stderr.flush()
        return Exit.BUG
    with suppress(OSError):
        os.write(2, b"recipelang: internal error, and it could not be reported\n")
    return Exit.BUG


def _written(error: BaseException) -> str | None:
    """Where the report is; none without room for it."""
    try:
        text = "".join(traceback.format_exception(error))
        body = (
            f"recipelang {__version__}, Python {platform.python_version()}, {platform.platform()}\n"
            f"arguments: {' '.join(sys.argv[1:])}\n\n{text}"
        )
        with tempfile.NamedTemporaryFile(
            "wb", prefix="recipelang-crash-", suffix=".txt", delete=False
        ) as f:  # names of files may hold what is no text
            f.write(body.encode("utf-8", "backslashreplace"))
        return f"a report is in {f.name}"
    except Exception:
        return None

"""A bug of ours: one line on the screen, the rest in a file to send."""

from __future__ import annotations

import platform
import sys
import tempfile
import traceback

from recipelang import __version__
from recipelang.cli.exit_codes import Exit


def report(error: BaseException) -> Exit:
    text = "".join(traceback.format_exception(error))
    body = (
        f"recipelang {__version__}, Python {platform.python_version()}, {platform.platform()}\n"
        f"arguments: {' '.join(sys.argv[1:])}\n\n{text}"
    )
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="recipelang-crash-", suffix=".txt", delete=False, encoding="utf-8"
        ) as f:
            f.write(body)
        where = f"a report is in {f.name}"
    except OSError:
        where = "no report could be written"
    line = str(error).splitlines()[0] if str(error) else ""
    print(f"recipelang: internal error: {type(error).__name__}: {line[:120]} ({where})", file=sys.stderr)
    return Exit.BUG

"""The real command, in this process: arguments in, exit code and both streams out."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from recipelang.cli.main import main

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def codes(self) -> list[str]:
        """Codes of the findings shown, in their order."""
        return re.findall(r"^(?:error|warning)\[(\w+)\]", self.err, re.MULTILINE)


def command(*arguments: object, stdin: bytes = b"") -> Ended:
    """Run `recipelang` with these arguments. Whatever happens, no traceback reaches the user."""
    out, err = io.StringIO(), io.StringIO()
    before = sys.argv, sys.stdin
    sys.argv, sys.stdin = ["recipelang", *map(str, arguments)], io.TextIOWrapper(io.BytesIO(stdin))
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
        code: object = 0
    except SystemExit as stopped:
        code = stopped.code
    finally:
        sys.argv, sys.stdin = before
    ended = Ended(int(code or 0), out.getvalue(), err.getvalue())  # type: ignore[call-overload]
    assert "Traceback" not in ended.out + ended.err
    return ended


def environment(**more: str) -> dict[str, str]:
    """For a process of its own that finds this checkout, from any folder."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **more}


def process(*arguments: object, program: str | None = None, **options: object) -> subprocess.Popen[str]:
    """`recipelang` in a process of its own; `program` is Python to run instead of `-m recipelang`."""
    start = ["-c", program] if program else ["-m", "recipelang"]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": environment(), **options}
    return subprocess.Popen([sys.executable, *start, *map(str, arguments)], text=True, **options)  # type: ignore[call-overload]


def files(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}

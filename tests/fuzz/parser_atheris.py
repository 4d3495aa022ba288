"""Fuzzing guided by coverage: the parser, the formatter and the checks on bytes that atheris makes up.

    python -m pip install atheris
    python tests/fuzz/parser_atheris.py -max_total_time=60 [folder of texts to begin with]

Atheris is no dependency: it has no wheel for every Python. Without it this says so and stops.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))


def one(data: bytes) -> None:
    """One text: half of them begin as a recipe does, so that the rest is reached."""
    from tests.fuzz.promises import keep

    text = data[1:].decode("utf-8", "replace")
    keep('recipe 1 "x"\n' + text if data[:1] < b"\x80" else text)


def main() -> int:
    try:
        import atheris
    except ImportError:
        print("skipped: atheris is not installed (`python -m pip install atheris`)", file=sys.stderr)
        return 0
    with atheris.instrument_imports(include=["recipelang"]):
        import recipelang.cli.commands.validate
        import recipelang.syntax.fmt  # noqa: F401
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())

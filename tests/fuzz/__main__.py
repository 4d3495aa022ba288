"""Fuzz for a while: `python -m tests.fuzz --seconds 300`. A text that fails is shown, and written to a file."""

from __future__ import annotations

import argparse
import random
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

from tests.fuzz.promises import keep
from tests.fuzz.texts import any_text, broken, by_grammar, by_schema
from tests.reading import parsed

MAKERS = {"any text": any_text, "grammar": by_grammar, "schema": by_schema, "broken": broken}
#: a text that takes longer than this is a finding too
SLOW = 2.0


def one(kind: str, seed: int) -> str | None:
    """The complaint of one text, or nothing."""
    text = MAKERS[kind](random.Random(seed))
    start = time.process_time()
    try:
        if kind == "grammar":
            assert [d.message for d in parsed(text)[1]] == []
        keep(text)
        assert time.process_time() - start < SLOW, "slow"
    except Exception:
        file = Path(f"fuzz-{kind.replace(' ', '-')}-{seed}.recipe")
        file.write_text(text, "utf-8", "surrogatepass", newline="")
        return f"{file}\n{traceback.format_exc()}"
    return None


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    options = parser.parse_args()
    until, seed, done = time.monotonic() + options.seconds, options.seed, Counter[str]()
    failures = 0
    while time.monotonic() < until and failures < 10:
        for kind in MAKERS:
            complaint = one(kind, seed)
            done[kind] += 1
            if complaint:
                failures += 1
                print(f"seed {seed}, {kind}: {complaint}", file=sys.stderr)
        seed += 1
    print(f"seeds {options.seed}..{seed - 1}: {dict(done)}, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

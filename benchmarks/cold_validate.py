"""`recipelang validate` from a cold start, against importing the libraries it stands on.

    python benchmarks/cold_validate.py [--repeats 15]

Processes are started in turns, so that a busy moment of the machine meets both; byte
code is kept, as it is for anyone who has run the command once.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

RECIPE = Path(__file__).parents[1] / "recipes" / "quickstart.recipe"
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
FLOOR = [sys.executable, "-c", "import lark, pydantic, typer, rich.console"]
OURS = [str(Path(sys.executable).with_name("recipelang")), "validate", str(RECIPE)]


def timed(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=ENVIRONMENT)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=15)
    repeats = parser.parse_args().repeats
    for command in (FLOOR, OURS):
        timed(command)  # once to fill the disk cache
    times = [(timed(OURS), timed(FLOOR)) for _ in range(repeats)]
    ours, floor = (sorted(t) for t in zip(*times, strict=True))
    ratio = statistics.median(a / b for a, b in times)
    print(f"validate {statistics.median(ours) * 1e3:.0f} ms, imports alone {statistics.median(floor) * 1e3:.0f} ms")
    print(f"ratio {ratio:.2f} (median of {repeats} pairs); of the fastest of each {ours[0] / floor[0]:.2f}")


if __name__ == "__main__":
    main()

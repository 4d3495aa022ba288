"""The whole loop: `python -m tests.faults --kills 30 --seed 1`. Prints a table, and writes it into `docs/faults.md`."""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from tests.faults import others
from tests.faults.kills import Kill, kills
from tests.faults.process import processor
from tests.faults.runs import EVERY, RECIPES, Runs

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"
BEGIN, END = "<!-- measured -->", "<!-- end -->"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="put the tables into docs/faults.md")
    options = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        runs = Runs(Path(folder))
        runs.make()
        for name in RECIPES:
            runs.in_peace(name)
        done = list(kills(runs, options.kills, options.seed, lambda text: print(text, flush=True)))
        chance = random.Random(options.seed)
        found = [others.flipped_byte(runs, f"{part}", chance) for part in
                 ("model.safetensors", "state.safetensors", "state.json", "manifest.json")]  # fmt: skip
        found += [others.no_room(runs, chance), others.not_finite(runs, chance), others.no_memory(runs)]
    text = measured(done, found, options.kills, options.seed, time.monotonic() - began)
    print(text)
    if options.write:
        before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}", "utf-8")


def measured(done: list[Kill], found: list[others.Fault], wanted: int, seed: int, seconds: float) -> str:
    import torch

    machine = f"{os.cpu_count()} vCPU {processor()}, torch {torch.__version__}, {seconds / 60:.0f} minutes"
    rows = [("killed while", "signal", "kills", "ended with", "steps lost", "at most")]
    for moment, sent in sorted({(k.moment, k.sent) for k in done}):
        own = [k for k in done if (k.moment, k.sent) == (moment, sent)]
        ends = ", ".join(sorted({k.ended for k in own}))
        lost = [k.lost for k in own]
        rows.append((moment, sent, str(len(own)), ends, str(sum(lost)), str(max(lost))))
    total = sum(k.lost for k in done)
    rows.append(("**all**", "", f"**{len(done)}**", "", f"**{total}**", f"**{max(k.lost for k in done)}**"))
    others_rows = [("fault", "what is said", "and then"), *((f.what, f.told, f.then) for f in found)]
    return "\n".join(
        [
            f"`make faults KILLS={wanted} SEED={seed}`, measured on {machine}:",
            "",
            *_table(rows),
            "",
            f"Every killed run was resumed to its end: the same bytes each time. Checkpoints were {EVERY} steps apart.",
            "",
            *_table(others_rows),
        ]
    )


def _table(rows: list[tuple[str, ...]]) -> Iterable[str]:
    first, *rest = (f"| {' | '.join(row)} |" for row in rows)
    return [first, "|" + "---|" * len(rows[0]), *rest]


if __name__ == "__main__":
    main()

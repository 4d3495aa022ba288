"""The contract on two processes, as copies and in shards, as a table: `make distributed`.

Every method, pattern and scope that the plan does not refuse: zeros as many as with one process, and which share
of the positions is the same. Exit code 1 where a count differs or less than 99.9 % agree.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.cli.command import ROOT, environment
from tests.contract.test_contract import combinations, recipe
from tests.train.steps import run
from tests.train.test_pruning import targets

from ..conftest import make_data, make_model
from .test_scenarios import LAUNCH


def main() -> int:
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_model(folder / "model")
        make_data(folder / "train.json", 44)
        make_data(folder / "dev.json", 20, seed=1)
        command = [*LAUNCH, "-m", "tests.distributed.program", str(folder), "the_whole_contract"]
        subprocess.run(command, cwd=ROOT, env=environment(), check=True)
        print((folder / "results.json").read_text())
        print("| method | pattern | scope | copies | shards |\n|---|---|---|---|---|")
        for method, pattern, scope in combinations():
            run(recipe(folder, method, pattern, scope), folder / "one" / f"{method} {pattern} {scope}")
            one = targets(folder / "one" / f"{method} {pattern} {scope}")
            cells = [_cell(one, folder / f"{kind} {method} {pattern} {scope}") for kind in ("copies", "shards")]
            wrong += sum(cell.startswith("wrong") for cell in cells)
            print(f"| {method} | {pattern} | {scope} | {' | '.join(cells)} |", flush=True)
    return 1 if wrong else 0


def _cell(one: dict, out: Path) -> str:  # type: ignore[type-arg]
    if not (out / "model.safetensors").exists():
        return "refused"
    found = targets(out)
    counts = [sum(int((w == 0).sum()) for w in ws.values()) for ws in (one, found)]
    agree = sum(int(((one[n] == 0) == (found[n] == 0)).sum()) for n in one) / sum(w.numel() for w in one.values())
    return f"{'' if counts[0] == counts[1] and agree >= 0.999 else 'wrong: '}{counts[1]:,} zeros, {agree:.2%}"


if __name__ == "__main__":
    sys.exit(main())

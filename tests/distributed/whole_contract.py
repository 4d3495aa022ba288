"""The contract on two processes, as copies and in shards, beside the page: `make distributed`.

Every method, pattern and scope that the plan does not refuse: as many zeros as with one process, and which share of
the positions is the same. Exit code 1 where a count differs, less than 99.9 % agree, or the page says otherwise.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.cli.command import ROOT, environment
from tests.contract import shrinks
from tests.contract.shrinks import Row
from tests.contract.table import Combination, combinations, spread_on_the_page
from tests.contract.test_contract import recipe, refused
from tests.train.steps import run
from tests.train.test_pruning import targets

from ..conftest import make_data, make_model
from .test_command import LAUNCH


def measured(chosen: Sequence[Combination]) -> dict[Combination, tuple[str, str]]:
    """Cells of copies and of shards, told on the way; an `AssertionError` where two processes do something else."""
    found: dict[Combination, tuple[str, str]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_model(folder / "model")
        make_data(folder / "train.json", 44)
        make_data(folder / "dev.json", 20, seed=1)
        (folder / "chosen.json").write_text(json.dumps([(it.method, it.pattern, it.scope) for it in chosen]))
        command = [*LAUNCH, "-m", "tests.distributed.program", str(folder), "the_whole_contract"]
        subprocess.run(command, cwd=ROOT, env=environment(), check=True)
        assert "ok" in (folder / "results.json").read_text(), (folder / "results.json").read_text()
        for it in chosen:
            path = recipe(folder, it)
            if not refused(path):
                run(path, folder / f"one {it}")
                found[it] = (_cell(folder, "copies", it), _cell(folder, "shards", it))
    return found


def _cell(folder: Path, kind: str, it: Combination) -> str:
    if not (folder / f"{kind} {it}" / "model.safetensors").exists():
        print(f"{kind} {it}: refused", flush=True)
        return "-"
    one, found = targets(folder / f"one {it}"), targets(folder / f"{kind} {it}")
    counts = [sum(int((w == 0).sum()) for w in ws.values()) for ws in (one, found)]
    agree = sum(int(((one[n] == 0) == (found[n] == 0)).sum()) for n in one) / sum(w.numel() for w in one.values())
    print(f"{kind} {it}: {counts[1]:,} zeros, {agree:.2%} at the same places", flush=True)
    assert counts[0] == counts[1] and agree >= 0.999, f"{kind} {it}: one process has {counts[0]:,}"
    return "yes"


def shrunk(folder: Path, chosen: Sequence[Row]) -> dict[Row, str]:
    """Of rows of `shrink` the cell of copies, in a folder with `shrinks.make_models`; an `AssertionError` as above."""
    tried = [row for row in chosen if not refused(shrinks.recipe(folder, row, "at once"))]
    (folder / "rows.json").write_text(json.dumps([(row.model, row.axes, row.by) for row in tried]))
    command = [*LAUNCH, "-m", "tests.distributed.program", str(folder), "the_whole_contract_of_shrink"]
    subprocess.run(command, cwd=ROOT, env=environment(), check=True)
    assert "ok" in (folder / "results.json").read_text(), (folder / "results.json").read_text()
    both = json.loads((folder / "units.json").read_text())
    for row, how in itertools.product(tried, shrinks.HOW):
        with shrinks.watched(one := []):
            run(shrinks.recipe(folder, row, how), folder / f"one {row} {how}")
        assert json.loads(json.dumps(one)) == both[f"{row} {how}"], f"{row} {how}: other units stay"
        print(f"copies {row} {how}: the same units", flush=True)
    return dict.fromkeys(tried, "yes")


def main() -> int:
    page, here = spread_on_the_page(), measured(combinations())
    for it in sorted(page.keys() | here.keys(), key=str):
        if page.get(it) != here.get(it):
            print(f"{it}: the page has {page.get(it)}, two processes {here.get(it)}")
    with tempfile.TemporaryDirectory() as name:
        shrinks.make_models(Path(name))
        shrunk(Path(name), shrinks.rows())
    return 1 if page != here else 0


if __name__ == "__main__":
    sys.exit(main())

"""Two processes do what one does: every scenario of `program`, and its weights beside those of a single process."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path

import pytest

from recipelang.engine.records import Interrupted
from tests.contract.table import Combination
from tests.contract.test_contract import recipe
from tests.forked import ranks
from tests.train.steps import StopAt, run, same, weights
from tests.train.test_pruning import targets

from .program import COPIES, CUT_BY_ONE, SCENARIOS, SHARDS

PROGRAM = "import sys, pathlib, tests.distributed.program as it; it.main(pathlib.Path(sys.argv[1]), [])"
#: what two processes wrote -> method, pattern, scope
RUNS = {**COPIES, **SHARDS, "cut-by-one": CUT_BY_ONE}


@pytest.fixture(scope="module")
def folder(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where two processes have run every scenario, `results.json` says how they went."""
    folder = tmp_path_factory.mktemp("distributed")
    shutil.copytree(tiny, folder, dirs_exist_ok=True)
    with contextlib.suppress(Interrupted):
        run(recipe(folder, Combination(*CUT_BY_ONE)), folder / "cut-by-one", StopAt(5))
        raise AssertionError("nobody stopped")
    with ranks(folder, program=PROGRAM) as both:
        ended = [process.communicate(timeout=300) for process in both]
    assert (folder / "results.json").exists(), ended
    return folder


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(folder, name):
    results = json.loads((folder / "results.json").read_text())
    assert results.get(name, "not reached") == "ok"


@pytest.mark.parametrize("name", RUNS)
def test_counts_are_exact_and_positions_are_those_of_one_process(folder, name):
    """Sums are rounded in another order, so not the same bits: at least 99.9 % of positions."""
    method, pattern, scope = RUNS[name]
    one = folder / f"one-{method}-{pattern}-{scope}"
    if not one.exists():
        run(recipe(folder, Combination(method, pattern, scope)), one)
    a, b = targets(one), targets(folder / name)
    counts = [sum(int((w == 0).sum()) for w in found.values()) for found in (a, b)]
    agree = sum(int(((a[n] == 0) == (b[n] == 0)).sum()) for n in a)
    assert counts[0] == counts[1] > 0
    assert agree >= 0.999 * sum(w.numel() for w in a.values())
    assert not same(a, b), "the processes did not share a batch"


def test_interrupted_on_two_and_resumed_on_two_is_uninterrupted_bit_for_bit(folder):
    assert same(weights(folder / "cut"), weights(folder / "whole"))


def test_shards_interrupted_and_resumed_are_uninterrupted_bit_for_bit(folder):
    """From the newest checkpoint, and from the one before it where a process finds its part damaged."""
    assert same(weights(folder / "as-shards"), weights(folder / "whole-shards"))
    assert same(weights(folder / "damaged"), weights(folder / "whole-shards"))


def test_shards_resumed_as_copies_end_with_the_same_counts(folder):
    a, b = targets(folder / "cut-shards"), targets(folder / "whole")
    assert sum(int((w == 0).sum()) for w in a.values()) == sum(int((w == 0).sum()) for w in b.values()) > 0


def test_one_goes_on_where_two_stopped(folder):
    path = recipe(folder, Combination(*CUT_BY_ONE))
    run(path, folder / "cut-by-two", resume=True)
    a, b = targets(folder / "cut-by-two"), targets(folder / "copies-movement")
    assert sum(int((a[n] == 0).sum()) for n in a) == sum(int((b[n] == 0).sum()) for n in b)
    assert sum(int(((a[n] == 0) != (b[n] == 0)).sum()) for n in a) <= 0.001 * sum(w.numel() for w in a.values())


def test_record_says_how_many_processes_there_were(folder):
    seen = {n: json.loads((folder / n / "run.json").read_text())["environment"] for n in ("whole", "shards-snip")}
    assert [(e["processes"], e["shards"]) for e in seen.values()] == [(2, False), (2, True)]

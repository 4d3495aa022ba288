"""The clock of SparseML 1 against what was measured on it, value by value."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

import pytest

from recipelang.migrate.compat import Crash, Window, rates, sparsities

_SHARED = os.environ.get("RECIPELANG_SHARED", "")
GOLDEN = Path(_SHARED or "nowhere") / "golden" / "sparseml_schedules.tsv"
needs_golden = pytest.mark.skipif(not _SHARED, reason="RECIPELANG_SHARED does not name the folder of measured figures")

Rows = dict[str, list[tuple[int, str]]]


def measured() -> Rows:
    cases: Rows = defaultdict(list)
    for line in GOLDEN.read_text("utf-8").splitlines()[1:]:
        case, _, step, _, value = line.split("\t")
        cases[case].append((int(step), value))
    return cases


def given(case: str) -> list[tuple[int, float]]:
    """The same case, computed."""
    kind, shape, *rest = case.split("|")
    if kind == "sp":
        first, last = map(float, rest[0].split("-"))
        start, end = map(float, rest[1].split("-"))
        window = Window(start, end, float(rest[2].removeprefix("f")))
        per_epoch = int(rest[3].removeprefix("spe"))
        return sparsities(shape, first, last, window, per_epoch, 5 * per_epoch)
    start, end = map(float, rest[0].split("-"))
    cycle, per_epoch = float(rest[1].removeprefix("cycle")), int(rest[2].removeprefix("spe"))
    base = float(rest[3].removeprefix("base"))
    values = rates(shape, 1e-4, 1e-6, Window(start, end), per_epoch, 4 * per_epoch, base, cycle)
    return list(enumerate(values))


@needs_golden
def test_every_measured_schedule() -> None:
    wrong: list[tuple[str, object, object]] = []
    for case, rows in measured().items():
        crashed = [value for step, value in rows if step == -1]
        try:
            found: object = given(case)
        except Crash as crash:
            found = crash.exception
        if crashed:
            wrong += [(case, crashed[0], found)] if found != crashed[0] else []
            continue
        expected = [(step, float(value)) for step, value in rows]
        if not isinstance(found, list) or [s for s, _ in found] != [s for s, _ in expected]:
            wrong.append((case, expected[:6], found if isinstance(found, str) else found[:6]))
        elif any(abs(a - b) > 1e-12 for (_, a), (_, b) in zip(found, expected, strict=True)):
            wrong.append((case, expected, found))
    assert wrong == []

"""The contract as a page: what every combination promises, or why the plan refuses it.

A test checks the line of its own combination. `RECIPELANG_UPDATE_CONTRACT=1 pytest -n 0 tests/contract -k METHOD`
writes the lines of a method again from what it found, one process and two; without `-k` the whole page, in minutes.
`make distributed` compares what two processes do with the page, and every run of the tests does so with some of the
combinations.
"""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from pathlib import Path

from recipelang.methods import METHODS

PAGE = Path(__file__).parents[2] / "docs" / "contract.md"
UPDATE = "RECIPELANG_UPDATE_CONTRACT" in os.environ
PATTERNS = ("unstructured", "2:4", "block(2, 4)")

HEAD = """# The contract

What is guaranteed for every method, pattern and scope. `make test` runs every combination on a small model and checks this
page; `recipelang plan` refuses the combinations that are not supported:

```
recipelang plan lib://quickstart
```

- **exact**: after every step, the number of zeros is the planned one and the zeros follow the pattern; pruned weights,
  their gradients and their optimizer moments are 0.0. `redrawn_movement` keeps masked weights and their moments beside
  the model for their return, until the stage ends.
- **resumed**: an interrupted and resumed run equals an uninterrupted run, bit for bit on a CPU. So does a repeated run.
- **copies**, **shards**: two processes, each with a copy of the model or (`--shard`) a shard of it, end with as many zeros
  as one process, at least 99.9 % of them at the same positions. A `-` under shards is refused with `E055`.
- `recipelang plan` refuses an unsupported combination with a code, before anything runs.

`hold` and `release` do not rank weights, so they have neither pattern nor scope.

## While training

"""
IN_ONE_SHOT = """
## In one shot

With `mode = one_shot`, no step is taken. Counts are exact and a repeated run gives the same bits, on an encoder and on a
decoder. Methods that need steps are refused in one-shot stages; `wanda`, `sparsegpt` and `alps` outside of them (`E054`).
Only these three look at inputs, which `owl` needs: the others have no such scope (`E022`).

"""
#: where the part of `tests.contract.shrinks` begins
SHRINKING = "\n## Shrinking\n"
COLUMNS = ("method", "pattern", "scope", "exact", "resumed", "copies", "shards", "refused, or why it is so")
SHOT_COLUMNS = ("method", "pattern", "scope", "exact", "refused, or why it is so")


@dataclass(frozen=True)
class Combination:
    method: str
    pattern: str
    scope: str  # empty: the method has none
    one_shot: bool = False

    def __str__(self) -> str:
        return "-".join(filter(None, (self.method, self.pattern, self.scope)))


def scopes(method: str) -> tuple[str, ...]:
    """Every scope of the language, where the method takes one at all: what it does not take is refused. `owl` only of
    those that take it."""
    every = {s for m in METHODS.values() for a in m.arguments if a.name == "scope" for s in a.kind.symbols}
    own = {s for a in METHODS[method].arguments if a.name == "scope" for s in a.kind.symbols}
    owl = ("owl",) if "owl" in own else ()
    return (*(s for s in ("uniform", "global", "row", "erk") if s in every), *owl) if own else ("",)


def usual(method: str) -> str:
    """The scope of a method where none is written; empty where it has none."""
    return next((str(a.default) for a in METHODS[method].arguments if a.name == "scope"), "")


def combinations(one_shot: bool = False) -> list[Combination]:
    """Those of training, or those of one shot."""
    elsewhere = "steps" if one_shot else "inputs"
    methods = (
        m.name for m in METHODS.values() if m.scheduled and m.looks_at != elsewhere and not (one_shot and m.regrows)
    )
    return [Combination(m, p, s, one_shot) for m in methods for p, s in itertools.product(PATTERNS, scopes(m))]


def tried(one_shot: bool = False) -> list[Combination]:
    """Of every method each pattern and each scope once; `make contract` and an update of the page take all."""
    every = combinations(one_shot)
    if UPDATE or os.environ.get("RECIPELANG_WHOLE_CONTRACT"):
        return every
    patterns = list(PATTERNS)

    def covers(it: Combination) -> bool:
        p, s, n = patterns.index(it.pattern), scopes(it.method).index(it.scope), len(scopes(it.method))
        return p % n == s if len(patterns) >= n else s % len(patterns) == p

    return [it for it in every if covers(it)]


def line(
    it: Combination,
    *,
    exact: bool = False,
    resumed: bool = False,
    spread: tuple[str, str] = ("-", "-"),
    why: str = "",
) -> str:
    """`spread`: the cells of copies and of shards."""
    cells = [
        f"`{it.method}`",
        f"`{it.pattern}`",
        f"`{it.scope}`" if it.scope else "",
        yes(exact),
        *(() if it.one_shot else (yes(resumed), *spread)),
        why,
    ]
    return f"| {' | '.join(cells)} |"


def page(training: list[str], one_shot: list[str], shrinking: str) -> str:
    """`shrinking`: the part of `tests.contract.shrinks`, as it is on the page."""
    return HEAD + table(COLUMNS, training) + IN_ONE_SHOT + table(SHOT_COLUMNS, one_shot) + shrinking


def shrinking_on_the_page() -> str:
    found = PAGE.read_text("utf-8").partition(SHRINKING)
    return found[1] + found[2]


def lines_on_the_page() -> dict[Combination, str]:
    """Of every combination that the page has, its line."""
    training, _, one_shot = PAGE.read_text("utf-8").partition(SHRINKING)[0].partition(IN_ONE_SHOT)
    return {
        Combination(*(cell.strip("|` ") for cell in row.split(" | ")[:3]), shot): row
        for shot, text in ((False, training), (True, one_shot))
        for row in text.splitlines()
        if row.startswith("| `")
    }


def spread_on_the_page() -> dict[Combination, tuple[str, str]]:
    """Cells of copies and of shards, of what is not refused."""
    rows = ((it, row.split(" | ")) for it, row in lines_on_the_page().items() if not it.one_shot)
    return {it: (row[5], row[6]) for it, row in rows if row[3] == "yes"}


def table(columns: tuple[str, ...], lines: list[str]) -> str:
    return "\n".join([f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}", *lines]) + "\n"


def yes(kept: bool) -> str:
    return "yes" if kept else "-"

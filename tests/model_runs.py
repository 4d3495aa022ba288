"""`python -m tests.model_runs`: what `tests.model_table` checks, of every type and task, kept in `build/models`; then the page.

Rows that have an answer of the installed transformers are not run again: an interrupted run is continued, and
`build/models` is deleted for all of them. One row fails, hangs or dies in a process of its own. `KIND:TASK` or `KIND`
as arguments runs those, anew; rows that were not run here stay as the page has them.
"""

from __future__ import annotations

import contextlib
import gc
import json
import multiprocessing
import multiprocessing.connection
import os
import re
import sys
import tempfile
import textwrap
import time
import warnings
from pathlib import Path
from typing import Any

import pytest

from tests.model_configs import walk_here
from tests.model_heads import differing, heads
from tests.model_types import TYPES

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build" / "models"
#: seconds; most rows take a few
PATIENCE = 180
AT_ONCE = int(os.environ.get("RECIPELANG_WORKERS", "2"))


def rows() -> list[tuple[str, str]]:
    """Every type with a head for a task, language models first."""
    found = [(kind, task) for kind, tasks in heads().items() if kind in TYPES for task in tasks]
    return sorted(found, key=lambda row: row[1] not in ("causal_lm", "masked_lm", "text_to_text"))


def place(kind: str, task: str) -> Path:
    return BUILD / f"{kind}.{task}.json"


def result(kind: str, task: str) -> dict[str, Any] | None:
    import transformers

    with contextlib.suppress(OSError, ValueError):
        found = json.loads(place(kind, task).read_text("utf-8"))
        return found if found["transformers"] == transformers.__version__ else None
    return None


def try_row(kind: str, task: str) -> None:
    """In a process of its own."""
    import transformers

    from recipelang.engine.records import Interrupted
    from tests.model_table import Seen, checks

    log = os.open(BUILD / f"{kind}.{task}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    seen, passed, began = Seen(), [], time.monotonic()
    found: dict[str, Any] = {"transformers": transformers.__version__, "why": ""}
    try:
        with tempfile.TemporaryDirectory() as folder:
            for name in checks(Path(folder), kind, task, seen, whole=task == heads()[kind][0]):
                passed.append(name)
    except (KeyboardInterrupt, SystemExit, Interrupted):
        return
    except BaseException as error:
        import traceback

        traceback.print_exc()
        text = re.sub(r"/\S*/", "", str(error)) or type(error).__name__
        found["why"] = textwrap.shorten(f"{type(error).__name__}: {text}", 300)
    found |= {
        "passed": passed, "seconds": round(time.monotonic() - began, 1), "chained": seen.chained,
        "unseen": sorted(seen.unseen),
    }  # fmt: skip
    place(kind, task).write_text(json.dumps(found), "utf-8")


def run(wanted: list[tuple[str, str]]) -> None:
    """At most `AT_ONCE` processes, each forked with everything loaded."""
    import torch
    import transformers

    from tests.model_table import checks

    torch.set_num_threads(1)
    BUILD.mkdir(parents=True, exist_ok=True)
    os.environ["RECIPELANG_CACHE"] = str(BUILD / "cache")
    walk_here(pytest.MonkeyPatch())
    with tempfile.TemporaryDirectory() as folder:  # loads what every row needs, which takes longer than a row
        list(checks(Path(folder), "bert", "masked_lm"))
    gc.collect()
    gc.freeze()
    fork = multiprocessing.get_context("fork")
    running: dict[tuple[str, str], tuple[Any, float]] = {}
    waiting, of = list(reversed(wanted)), len(wanted)
    while waiting or running:
        while waiting and len(running) < AT_ONCE:
            row = waiting.pop()
            place(*row).unlink(missing_ok=True)
            process = fork.Process(target=try_row, args=row)
            process.start()
            running[row] = (process, time.monotonic())
        multiprocessing.connection.wait([p.sentinel for p, _ in running.values()], timeout=5)
        for row, (process, began) in list(running.items()):
            late = time.monotonic() - began > PATIENCE
            if process.is_alive() and not late:
                continue
            process.kill()
            process.join()
            del running[row]
            if not place(*row).exists():
                why = f"it took more than {PATIENCE} seconds" if late else f"its process ended with {process.exitcode}"
                lost = {"passed": [], "why": why, "seconds": PATIENCE, "chained": True, "unseen": []}
                place(*row).write_text(json.dumps(lost | {"transformers": transformers.__version__}), "utf-8")
            found = result(*row) or {}
            done = of - len(waiting) - len(running)
            print(f"{done}/{of}", *row, found["seconds"], found["why"] or "ok", flush=True)


def main() -> int:
    os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    if odd := differing(heads()):
        print("recipelang/tasks/config_defaults.py differs from transformers:", odd)
        return 1
    every = rows()
    named = [a for a in sys.argv[1:] if not a.startswith("--")]
    if named:
        run([r for r in every if r[0] in named or f"{r[0]}:{r[1]}" in named])
    else:
        run([r for r in every if result(*r) is None])
    from tests.model_page import write

    write()
    return 0


if __name__ == "__main__":
    sys.exit(main())

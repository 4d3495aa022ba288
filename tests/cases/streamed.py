"""Circumstances of streams."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest


def _written(count: int = 24) -> None:
    Path("data").mkdir()
    Path("dev.jsonl").write_text('{"sentence": "the gold", "label": 0}\n{"sentence": "of peru", "label": 1}\n', "utf-8")
    for name in ("part-0", "part-1"):
        rows = (f'{{"sentence": "the gold of peru {i:02d}", "label": {i % 2}}}\n' for i in range(count))
        Path("data", f"{name}.jsonl").write_text("".join(rows), "utf-8")


def stream(monkeypatch: pytest.MonkeyPatch) -> None:
    _written()


def stalls(monkeypatch: pytest.MonkeyPatch) -> None:
    from recipelang.engine import streaming

    class Stalled(streaming.Pass):
        def take(self, *rest: Any) -> Any:
            time.sleep(1)
            return super().take(*rest)

    _written()
    monkeypatch.setattr(streaming, "Pass", Stalled)
    monkeypatch.setattr(streaming, "STALLED", 0.01)


def changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a checkpoint inside the stage, where its digest does not look."""
    from recipelang.engine.streaming import Stream
    from tests.cases.test_diagnostics import execute

    _written()
    monkeypatch.setattr("recipelang.planning.contents._BEGINNING", 0)
    batch = Stream.batch

    def interrupts(self: Stream, step: int) -> Any:
        if step == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return batch(self, step)

    with monkeypatch.context() as patched:
        patched.setattr(Stream, "batch", interrupts)
        execute(["run", "a.recipe", "-o", "out"], patched)
    for path in Path("data").iterdir():
        path.write_text(path.read_text("utf-8").replace("gold", "peru"), "utf-8")


def one_large_value(monkeypatch: pytest.MonkeyPatch) -> None:
    _written()
    monkeypatch.setattr("recipelang.tasks.streams._WHOLE", 2**10)
    lines = Path("data/part-0.jsonl").read_text("utf-8").splitlines()
    Path("data/all.json").write_text(f"[{', '.join(lines)}]", "utf-8")


STREAMED = {
    "a stream in `data`": stream,
    "a stream in `data` that stalls": stalls,
    "a stream in `data` that changes after a checkpoint": changes,
    "a large file `data/all.json`": one_large_value,
}

"""Splits as they are written, each read once for all that one plan asks of them: what they mean, their classes, their rows.

A split is held from its first reading to the end of the plan, and only if its digest, taken again behind the reading, is
the one that the plan names. What is large of it lies in files without names (`tasks.rows`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from recipelang.planning.contents import split_digest
from recipelang.planning.data_plan import SplitPlan
from recipelang.planning.streamed import head
from recipelang.tasks import hub, task_of
from recipelang.tasks.meaning import Meaning

_HELD: ContextVar[dict[object, Any] | None] = ContextVar("held", default=None)


@contextmanager
def read_once() -> Iterator[None]:
    """What is read inside is read once."""
    token = _HELD.set({})
    try:
        yield
    finally:
        _HELD.reset(token)


def read_split(task: str, split: SplitPlan, columns: Mapping[str, str], config: str | None) -> Any:
    """Of a stream how it begins."""
    held = _HELD.get()
    config = split.config or config
    key = task, split, tuple(columns.items()), config
    if held is not None and key in held:
        return held[key]
    if split.stream is not None:
        found = head(task, split, columns, config)
    else:
        found = task_of(task).read(split.reference, split.split, columns, config)
    if held is not None and is_as_planned(split):
        held[key] = found
    return found


def commit_now(reference: str) -> str:
    """The commit that a reference of the Hub means now, asked for once; empty where nobody knows."""
    held = _HELD.get()
    if held is not None and reference in held:
        return str(held[reference])
    found = hub.commit_of(reference.removeprefix("hf://"))
    if held is not None:
        held[reference] = found
    return found


def open_split(task: str, split: SplitPlan, columns: Mapping[str, str], config: str | None, meaning: Meaning) -> Any:
    """The examples of a split."""
    read = {split.split: read_split(task, split, columns, config)}
    return task_of(task).made_of(read, split.reference, columns, meaning)


def is_as_planned(split: SplitPlan) -> bool:
    """Whether a local file still holds what the plan names."""
    return not split.digest or split_digest(split) == split.digest

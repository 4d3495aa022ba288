"""Model inputs of many examples, made by several processes: the rows are those of one process, in the same order.

Examples are cut into pieces of one size whatever the number of processes; process k of n makes every n-th piece from the
k-th, and the pieces are joined in their order. The processes are forks, which read the same rows from where they lie.
Where one of them fails, whatever the cause, all is made again by this process alone: its findings name the record.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields
from typing import Any

import numpy as np

from recipelang.storage.growing import release
from recipelang.storage.pieces import Pieces
from recipelang.tasks.task import Features, Task

#: the environment variable that says how many
VARIABLE = "RECIPELANG_PROCESSES"
MOST = 1024
#: examples for which one more process is worth its start
WORTH = 50_000
PIECE = 16_384


def asked() -> int | None:
    """How many processes the environment asks for; none where it does not. `ValueError` for what is no number of them."""
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return None
    if not text.isdecimal() or not 1 <= int(text) <= MOST:
        raise ValueError(text)
    return int(text)


def processes_for(examples: int) -> int:
    """One for every 50,000 examples, as many as there are processors for this process at most."""
    if sys.platform != "linux" or threading.active_count() > 1:
        return 1  # a fork of several threads may wait forever for a lock that another one held
    with suppress(ValueError):
        if (wanted := asked()) is not None:
            return max(1, min(wanted, -(-examples // PIECE)))
    return max(1, min(len(os.sched_getaffinity(0)), examples // WORTH))


def featurized(
    task: Task[Any, Any, Any, Any],
    examples: Sequence[Any],
    tokenizer: Any,
    length: int,
    stride: int,
    names: Sequence[str],
) -> Any:
    """As the task's `featurize`."""

    def make(some: Sequence[Any]) -> Any:
        return task.featurize(some, tokenizer, length, stride, names)

    form = task.forms[0]
    if not hasattr(form, "joined") or (count := processes_for(len(examples))) == 1:
        return make(examples)
    found = _made(examples, make, form, count)
    return make(examples) if found is None else found


def _made(examples: Sequence[Any], make: Callable[[Sequence[Any]], Any], form: type[Any], count: int) -> Any | None:
    starts = range(0, len(examples), PIECE)
    files = [Pieces() for _ in range(count)]
    children: list[int] = []
    try:
        with _quiet():
            for k, file in enumerate(files):
                child = os.fork()
                if child == 0:
                    _work(file, (make(examples[at : at + PIECE]) for at in starts[k::count]))
                children.append(child)
        ended = [os.waitpid(child, 0)[1] for child in children]
        children.clear()
        if any(ended):
            return None
        each: list[Iterator[Any]] = [iter(file) for file in files]
        return form.joined((_again(form, *next(each[n % count])) for n in range(len(starts))), PIECE)
    except OSError:  # no process or no file can be made
        return None
    finally:
        for child in children:
            with suppress(OSError):
                os.kill(child, 9)
                os.waitpid(child, 0)
        for file in files:
            file.close()


def _work(file: Pieces, pieces: Iterator[Any]) -> None:
    """In the forked process, which ends here."""
    code = 1
    try:
        for features in pieces:
            own = {f.name: getattr(features, f.name) for f in fields(features)}
            arrays = {name: value for name, value in own.items() if isinstance(value, np.ndarray)}
            file.add({name: value for name, value in own.items() if name not in arrays}, arrays)
            release(arrays.values())
        code = 0
    finally:
        os._exit(code)


def _again(form: type[Any], told: dict[str, Any], arrays: dict[str, np.ndarray]) -> Features:
    return form(**arrays, **{k: tuple(v) if isinstance(v, list) else v for k, v in told.items()})  # type: ignore[no-any-return]


@contextmanager
def _quiet() -> Iterator[None]:
    """Every process has one thread to encode with, and the tokenizers' library need not say so."""
    name = "TOKENIZERS_PARALLELISM"
    before = os.environ.get(name)
    os.environ[name] = "false"
    try:
        yield
    finally:
        os.environ.pop(name) if before is None else os.environ.__setitem__(name, before)

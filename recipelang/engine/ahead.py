"""Batches made by a thread while the step before them runs. Which rows a step draws is decided before, and by the step
alone, so what comes is the same, in the same order, as if each were made when it is asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

#: batches that are made before they are asked for
DEPTH = 2


def ahead(rows: Iterable[T], make: Callable[[T], R]) -> Generator[tuple[T, R]]:
    """Each of `rows` with what `make` gives for it; an error of `make` comes when its batch is asked for."""
    each = iter(rows)
    with ThreadPoolExecutor(1, "batches") as pool:
        waiting: deque[tuple[T, Future[R]]] = deque((some, pool.submit(make, some)) for some in islice(each, DEPTH))
        while waiting:
            some, made = waiting.popleft()
            found = made.result()
            waiting.extend((following, pool.submit(make, following)) for following in islice(each, 1))
            yield some, found

"""Rows of a table in little memory: read a portion at a time, and kept as Arrow between two readings.

What comes back is what went in, value for value and type for type; a portion that Arrow would change is kept as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from itertools import chain, islice
from typing import Any, Self, TypeVar, overload

from recipelang.storage.pages import Pages

E = TypeVar("E")

#: rows of a portion
PORTION = 4096


class Portions(Sequence[Any]):
    """`count` rows, of which `read` gives those from one number up to before another."""

    def __init__(self, count: int, read: Callable[[int, int], Sequence[Any]]) -> None:
        self._count = count
        self._read = read
        self._at: tuple[int, Sequence[Any]] = (-1, ())

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, at: int) -> Any: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Any]: ...
    def __getitem__(self, at: int | slice) -> Any:
        if isinstance(at, slice):
            return [self[i] for i in range(*at.indices(self._count))]
        at = at + self._count if at < 0 else at
        if not 0 <= at < self._count:
            raise IndexError(at)
        number, inside = divmod(at, PORTION)
        if self._at[0] != number:
            self._at = number, self._portion(number)
        return self._at[1][inside]

    def __iter__(self) -> Iterator[Any]:
        for number in range(-(-self._count // PORTION)):
            yield from self._portion(number)

    def _portion(self, number: int) -> Sequence[Any]:
        first = number * PORTION
        return self._read(first, min(first + PORTION, self._count))


class Made(Sequence[E]):
    """What `make` gives for each of some rows: at once where they are few, else whenever it is asked for."""

    def __init__(self, make: Callable[[int], E], rows: Sequence[int]) -> None:
        self._make = make
        self._rows = rows
        self._made = tuple(map(make, rows)) if len(rows) <= PORTION else None

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, at: int) -> E: ...
    @overload
    def __getitem__(self, at: slice) -> Self: ...
    def __getitem__(self, at: int | slice) -> E | Self:
        if isinstance(at, slice):
            some = copy(self)
            some._rows, some._made = self._rows[at], None if self._made is None else self._made[at]
            return some
        return self._make(self._rows[at]) if self._made is None else self._made[at]

    def __iter__(self) -> Iterator[E]:
        return map(self._make, self._rows) if self._made is None else iter(self._made)


def stored(rows: Iterable[Any]) -> Sequence[Any]:
    """All rows: a list where they are few."""
    each = iter(rows)
    first = list(islice(each, PORTION))
    if len(first) < PORTION:
        return first
    pages = Pages()
    as_they_are: dict[int, list[Any]] = {}
    count = number = 0
    some = first
    while some:
        packed = _packed(some)
        if packed is None:
            as_they_are[number] = some
        pages.add(packed or b"")
        count, number = count + len(some), number + 1
        some = list(islice(each, PORTION))

    def read(first: int, behind: int) -> Sequence[Any]:
        number = first // PORTION
        return as_they_are[number] if number in as_they_are else _unpacked(pages[number])

    return Portions(count, read)


def chained(parts: Sequence[Sequence[Any]]) -> Sequence[Any]:
    """Several one behind the other."""
    return stored(chain.from_iterable(parts))


def _packed(rows: Sequence[Any]) -> bytes | None:
    """None where Arrow cannot hold them as they are."""
    import pyarrow

    first = rows[0]
    if not isinstance(first, Mapping) or not first:
        return None
    keys = list(first)
    if any(type(row) is not dict or list(row) != keys for row in rows) or not all(isinstance(key, str) for key in keys):
        return None
    try:
        columns = [_column([row[key] for row in rows]) for key in keys]
        if any(column is None for column in columns):
            return None
        batch = pyarrow.record_batch(columns, names=keys)
    except (pyarrow.ArrowException, ValueError, OverflowError):  # half a character, a number of more than 64 bits
        return None
    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())


def _column(values: Sequence[Any]) -> Any:
    import pyarrow

    kind = _kind(values)
    if kind == "list":
        inner = _kind([each for value in values if value is not None for each in value])
        of = None if inner in (None, "list") else pyarrow.list_(_arrow_type(inner))
    else:
        of = None if kind is None else _arrow_type(kind)
    return None if of is None else pyarrow.array(values, of)


def _kind(values: Iterable[Any]) -> str | None:
    """The type of all values that are there; none where they are of several, or of another."""
    kinds = set(map(type, values)) - {type(None)}
    if not kinds:
        return "null"
    name = kinds.pop().__name__
    return name if not kinds and name in ("str", "int", "float", "bool", "list") else None


def _arrow_type(kind: str) -> Any:
    import pyarrow

    return {
        "str": pyarrow.large_string(),
        "int": pyarrow.int64(),
        "float": pyarrow.float64(),
        "bool": pyarrow.bool_(),
        "null": pyarrow.null(),
    }[kind]


def _unpacked(page: bytes) -> list[Any]:
    import pyarrow

    with pyarrow.ipc.open_stream(page) as reader:
        return reader.read_all().to_pylist()  # type: ignore[no-any-return]

"""Rows of a table in little memory: read a portion at a time, and kept as Arrow between two readings.

What comes back is what went in, value for value and type for type; a portion that Arrow would change is kept as it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from itertools import chain, islice, repeat, tee
from typing import Any, Self, TypeVar, overload

from recipelang.storage.pages import Pages

E = TypeVar("E")

#: rows of a portion
PORTION = 4096


class Portions(Sequence[Any]):
    """`count` rows, of which `read` gives those from one number up to before another.

    `arrow` gives the same rows as a table of Arrow, or none where they are held otherwise: one column of it is read in
    a fraction of the time that whole rows take.
    """

    def __init__(
        self,
        count: int,
        read: Callable[[int, int], Sequence[Any]],
        arrow: Callable[[int, int], Any] = lambda first, behind: None,
    ) -> None:
        self._count = count
        self._read = read
        self._arrow = arrow
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

    def values(self, column: str) -> Iterator[Any]:
        """Of a column in every row, in which it may be missing; each row is an object."""
        for first, behind in self._bounds():
            table = self._arrow(first, behind)
            if table is None:
                yield from (row.get(column) for row in self._read(first, behind))
            elif column in table.schema.names:
                yield from listed(table.column(column))
            else:
                yield from repeat(None, behind - first)

    def keys(self) -> dict[Any, None]:
        """Columns that any row has, in their order; each row is an object."""
        found: dict[Any, None] = {}
        for first, behind in self._bounds():
            table = self._arrow(first, behind)
            if table is not None:
                found |= dict.fromkeys(table.schema.names)
            else:
                found |= dict.fromkeys(key for row in self._read(first, behind) for key in row)
        return found

    def strange(self) -> int | None:
        """The first row that is no object."""
        for first, behind in self._bounds():
            if self._arrow(first, behind) is None:
                rows = enumerate(self._read(first, behind), first)
                if (found := next((at for at, row in rows if not isinstance(row, Mapping)), None)) is not None:
                    return found
        return None

    def _bounds(self) -> Iterator[tuple[int, int]]:
        return ((first, min(first + PORTION, self._count)) for first in range(0, self._count, PORTION))

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

    def arrow(first: int, behind: int) -> Any:
        number = first // PORTION
        return None if number in as_they_are else _unpacked(pages[number])

    def read(first: int, behind: int) -> Sequence[Any]:
        table = arrow(first, behind)
        return as_they_are[first // PORTION] if table is None else as_rows(table)

    return Portions(count, read, arrow)


def values_of(rows: Sequence[Any], column: str) -> Iterator[Any]:
    """Of a column in every row; none where a row lacks it."""
    return rows.values(column) if isinstance(rows, Portions) else (row.get(column) for row in rows)


def counts_of(values: Iterable[Any]) -> Counter[tuple[type, Any]]:
    """How often each value occurs: 1, 1.0 and true are three. `TypeError` for what cannot be counted, as lists."""
    several, types = tee(values)
    return Counter(zip(map(type, types), several, strict=True))


def keys_of(rows: Sequence[Any]) -> dict[Any, None]:
    """Columns that any row has, in their order."""
    return rows.keys() if isinstance(rows, Portions) else dict.fromkeys(key for row in rows for key in row)


def strange_in(rows: Sequence[Any]) -> int | None:
    """The first row that is no object."""
    if isinstance(rows, Portions):
        return rows.strange()
    return next((at for at, row in enumerate(rows) if not isinstance(row, Mapping)), None)


def tables(schema: Any, batches: Iterable[Any]) -> tuple[int, bool, Callable[[int], Any]]:
    """Batches of Arrow, cut into portions and kept: how many rows, whether reading them cannot fail, and what gives the
    portion that begins at a row."""
    import pyarrow

    pages = Pages()
    count, plain = 0, is_plain(schema.empty_table())
    held: list[Any] = []
    waiting = 0

    def keep(whole: Any) -> None:
        sink = pyarrow.BufferOutputStream()
        with pyarrow.ipc.new_stream(sink, schema) as writer:
            writer.write_table(whole)
        pages.add(bytes(sink.getvalue()))

    for batch in batches:
        plain = plain and is_plain(batch)
        held.append(batch)
        count, waiting = count + len(batch), waiting + len(batch)
        while waiting >= PORTION:
            whole = pyarrow.Table.from_batches(held, schema)
            keep(whole.slice(0, PORTION))
            held, waiting = whole.slice(PORTION).to_batches(), waiting - PORTION
    if waiting:
        keep(pyarrow.Table.from_batches(held, schema))
    return count, plain, lambda first: _unpacked(pages[first // PORTION])


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
    if set(map(type, rows)) != {dict} or not all(isinstance(key, str) for key in keys):
        return None
    if set(map(tuple, rows)) != {tuple(keys)}:
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


def _unpacked(page: bytes) -> Any:
    import pyarrow

    with pyarrow.ipc.open_stream(page) as reader:
        return reader.read_all()


def as_rows(table: Any) -> list[dict[str, Any]]:
    """What `to_pylist` of the same table gives, in a third of the time. `ValueError` for what cannot be read."""
    if not table.num_columns:
        return [{} for _ in range(table.num_rows)]
    names = table.schema.names
    columns = [listed(table.column(at)) for at in range(len(names))]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def listed(column: Any) -> list[Any]:
    """What `to_pylist` of the same column gives; plain types by way of numpy."""
    import pyarrow

    kind = column.type
    if pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind):
        return column.to_numpy(zero_copy_only=False).tolist()  # type: ignore[no-any-return]
    plain = pyarrow.types.is_integer(kind) or kind in (pyarrow.float64(), pyarrow.float32(), pyarrow.bool_())
    if plain and not column.null_count:
        return column.to_numpy(zero_copy_only=False).tolist()  # type: ignore[no-any-return]
    return column.to_pylist()  # type: ignore[no-any-return]


def is_plain(table: Any) -> bool:
    """Whether reading any value of it cannot fail."""
    import pyarrow

    of = pyarrow.types
    known = (of.is_integer, of.is_floating, of.is_boolean, of.is_string, of.is_large_string)
    if not all(any(is_kind(f.type) for is_kind in known) for f in table.schema):
        return False
    try:
        table.validate(full=True)
    except pyarrow.ArrowException:  # text that is not UTF-8
        return False
    return True

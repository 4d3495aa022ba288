"""Data sets that are read from one end to the other, a portion at a time, however large they are. E074, E211, E218.

A stream is shards: files, or those of a data set of the Hub, which `datasets` streams. A pass goes through all of them
once, in some order; where it stands is the shard and the record. Records are the same, and mistakes in them are found
in the same words, as where a file is read whole: `datasets` makes a time of a text such as `2020-01-01 00:00:00`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from recipelang.source import fail
from recipelang.source.words import limit_text
from recipelang.storage.reading import Unreadable, open_regular
from recipelang.tasks import reading, records
from recipelang.tasks.hub_stream import hub_stream
from recipelang.tasks.shards import COMPRESSED, ENDINGS, ending, files
from recipelang.tasks.table import Table

_FORMATS = "a stream is lines of `.jsonl`, rows of `.csv` or `.tsv`, parquet or Arrow, in one file or many"
#: bytes of a file that can only be read whole
_WHOLE = 2**30
#: characters of a portion: long records make it end sooner
_CHARACTERS = 2**26
#: records of Arrow that are made into Python's at a time, and that are told of at a time
_AT_ONCE = 256

Classes = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Place:
    """In a pass: a number in its order of the shards, and a record of that shard."""

    shard: int = 0
    record: int = 0


@dataclass(frozen=True)
class Shards:
    """`read` gives the records of a shard from one on."""

    name: str
    names: tuple[str, ...]
    read: Callable[[int, int], Iterator[Any]]
    classes: Classes
    unclear: frozenset[str] = frozenset()


class Pass:
    """One way through the shards, in an `order`, from a place on."""

    def __init__(self, shards: Shards, order: Sequence[int], at: Place) -> None:
        self.shards, self.order, self.place = shards, order, at
        self.ended = False
        self._each = self._records()

    def _records(self) -> Iterator[tuple[int, int, Any]]:
        first = self.place
        for number in range(first.shard, len(self.order)):
            at = first.record if number == first.shard else 0
            for record, row in enumerate(self.shards.read(self.order[number], at), at):
                yield number, record, row

    def take(self, most: int, heard: Callable[[], object] = lambda: None) -> Table:
        """The next records, as many as there are up to `most`; `ended` behind the last. `heard` is called as they come."""
        rows: list[Any] = []
        parts: list[tuple[int, str]] = []
        size, begun = 0, -1
        while len(rows) < most and size < _CHARACTERS:
            found = next(self._each, None)
            if found is None:
                self.ended = True
                break
            number, record, row = found
            if number != begun:
                begun = number
                parts.append((len(rows) - record, self.shards.names[self.order[number]]))
            rows.append(row)
            size += _characters(row)
            if len(rows) % _AT_ONCE == 1:
                heard()
        if rows:
            self.place = Place(number, record + 1)
        return Table(self.shards.name, rows, self.shards.classes, self.shards.unclear, tuple(parts))


def _characters(value: object) -> int:
    match value:
        case str():
            return len(value)
        case Mapping():
            return sum(map(_characters, value.values()))
        case list():
            return sum(map(_characters, value))
    return 1


def open_stream(reference: str, split: str, columns: Mapping[str, str], config: str | None, *, texts: bool) -> Shards:
    """`texts`: a `.txt` file is one text, else it is a table with tabs."""
    scheme, separator, rest = reference.partition("://")
    if not separator:
        return _of_files(Path(reference), columns, texts)
    if scheme == "hf":
        names, read, classes = hub_stream(rest, split, config)
        return Shards(reference, names, read, classes)
    raise fail("E047", f"`{scheme}://` cannot be read as a stream", help="use `hf://owner/name`, or name files")


def _of_files(path: Path, columns: Mapping[str, str], texts: bool) -> Shards:
    there = files(path)
    classes, unclear = _carried(there[0])

    def read(number: int, first: int) -> Iterator[Any]:
        file = there[number]
        if number and _carried(file) != (classes, unclear):
            help = "write them anew from one data set, or name the classes: `classes = [...]` in `data`"
            message = f"`{file.name[:40]}` and `{there[0].name[:40]}` carry different class names"
            raise fail("E211", message, help=help)
        return _records(file, columns, texts, first)

    return Shards(path.name, tuple(file.name for file in there), read, classes, frozenset(unclear))


def _records(path: Path, columns: Mapping[str, str], texts: bool, first: int) -> Iterator[Any]:
    kind = ending(path)
    if kind == ".jsonl":
        lines = enumerate(reading.stream_lines(path, ENDINGS, _FORMATS))
        each = ((before, line) for before, line in lines if not line.isspace())
        return (reading.json_line(line, path, before) for before, line in islice(each, first, None))
    if kind in (".csv", ".tsv") or (kind == ".txt" and not texts):
        return islice(records.separated(path, columns, reading.stream_lines), first, None)
    if kind in (".parquet", ".arrow") and path.suffix not in COMPRESSED:
        return _arrow(path, first)
    return iter(_whole(path, columns, texts)[first:])


def _whole(path: Path, columns: Mapping[str, str], texts: bool) -> Sequence[Any]:
    """One JSON value, one text, or what is packed and cannot be read in parts. E218 where it is large."""
    if path.is_file() and path.stat().st_size > _WHOLE:
        what = "is one text" if ending(path) == ".txt" else "is one value" if ending(path) == ".json" else "is packed"
        notes = [f"such a file {what}, and is read whole; at most {limit_text(_WHOLE)} are"]
        raise fail("E218", f"`{path.name}` cannot be read in parts", help=_FORMATS, notes=notes)
    if ending(path) == ".txt":
        return [reading.read_text(path, ENDINGS, _FORMATS)]
    if not texts or ending(path) != ".json":
        return records.read_file(path, columns).rows
    found = reading.read_json(path, ENDINGS, _FORMATS)
    if not isinstance(found, list):
        raise fail("E074", f"`{path.name}` is not a list of records", help=_FORMATS)
    return found


# ------------------------------------------------------------------------------------------------------------- Arrow
def _carried(path: Path) -> tuple[dict[str, tuple[str, ...]], set[str]]:
    """Names of numbered classes that a file carries."""
    if ending(path) not in (".parquet", ".arrow") or path.suffix in COMPRESSED:
        return {}, set()
    with _arrow_errors(path), open_regular(path) as file:
        return records.carried(_schema(path, file))


def _schema(path: Path, file: Any) -> Any:
    import pyarrow
    from pyarrow import parquet

    if ending(path) == ".parquet":
        schema = parquet.read_schema(file)
    else:
        with _ipc(file) as opened:
            schema = opened.schema
    records.differ(schema.names, path)
    assert isinstance(schema, pyarrow.Schema)
    return schema


def _ipc(file: Any) -> Any:
    import pyarrow

    of_file = file.read(6) == b"ARROW1"
    file.seek(0)
    return (pyarrow.ipc.open_file if of_file else pyarrow.ipc.open_stream)(file)


def _arrow(path: Path, first: int) -> Iterator[Any]:
    """A batch at a time; row groups and batches before `first` are passed over unread."""
    batches = _batches(path, first)
    while True:
        with _arrow_errors(path):
            batch = next(batches, None)
            rows = None if batch is None else batch.to_pylist()
        if rows is None:
            return
        yield from rows


def _batches(path: Path, first: int) -> Iterator[Any]:
    with open_regular(path) as file:
        _schema(path, file)
        file.seek(0)
        for batch in _all_batches(path, file, first):
            batch.validate(full=True)
            for at in range(0, batch.num_rows, _AT_ONCE):
                yield batch.slice(at, _AT_ONCE)


def _all_batches(path: Path, file: Any, first: int) -> Iterator[Any]:
    from pyarrow import parquet

    if ending(path) == ".parquet":
        opened = parquet.ParquetFile(file)
        sizes = [opened.metadata.row_group(i).num_rows for i in range(opened.num_row_groups)]
        groups = [*range(len(sizes))]
        while groups and sizes[groups[0]] <= first:
            first -= sizes[groups.pop(0)]
        each = opened.iter_batches(_AT_ONCE, row_groups=groups) if groups else iter(())
    else:
        opened = _ipc(file)
        each = (
            (opened.get_batch(i) for i in range(opened.num_record_batches)) if hasattr(opened, "get_batch") else opened
        )
    for batch in each:
        if first >= batch.num_rows:
            first -= batch.num_rows
            continue
        yield batch.slice(first)
        first = 0


@contextmanager
def _arrow_errors(path: Path) -> Iterator[None]:
    """What pyarrow and the system say of a file, as E074."""
    import pyarrow

    try:
        yield
    except Unreadable as error:
        raise error.coded("E074", help="name a file in it") from None
    except (pyarrow.ArrowException, ValueError, OSError) as error:
        what = "an Arrow" if ending(path) == ".arrow" else "a parquet"
        lines = str(error).splitlines() or [type(error).__name__]
        raise fail("E074", f"`{path.name}` is not {what} file", notes=[lines[0][:160]]) from None

"""Data sets as tables of records: `hf://owner/name`, or files in JSON, JSONL, CSV, TSV, parquet or
Arrow. E047, E074.

A column may hold numbers of classes whose names the data set carries: on the Hub, and in parquet files that came
from there. A table without a header has its columns named by their numbers, from 1, in the recipe's `columns`.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

from recipelang.source import fail
from recipelang.source.words import plural
from recipelang.storage.strict_json import parse_json
from recipelang.tasks import hub, reading
from recipelang.tasks.rows import PORTION, Portions, as_rows, stored, strange_in, tables
from recipelang.tasks.shards import ENDINGS, ending, files
from recipelang.tasks.table import TABBED, Table, joined

_FORMATS = "records are a JSON list, lines of `.jsonl`, rows of a `.csv` or `.tsv` file with a header, parquet or Arrow"
_LARGEST_CELL = 1 << 27


def read_table(reference: str, split: str, columns: Mapping[str, str] | None, config: str | None) -> Table:
    scheme, separator, rest = reference.partition("://")
    if not separator:
        return _checked(read_file(Path(reference), columns or {}))
    if scheme == "hf":
        rows, classes = hub.hub_table(rest, split, config)
        return _checked(Table(reference, rows, classes))
    raise fail("E047", f"data cannot be read from `{scheme}://`", help="use `hf://owner/name` or a file")


def _checked(table: Table) -> Table:
    if not table.rows:
        raise fail("E074", f"`{table.name}` holds no records", help=_FORMATS)
    if (strange := strange_in(table.rows)) is not None:
        raise fail("E074", f"{table.record(strange)} is not an object", help=_FORMATS)
    return table


def read_file(path: Path, columns: Mapping[str, str] = MappingProxyType({})) -> Table:
    """Of a file, a folder of shards, or those that a pattern names."""
    return joined(path.name, [_read_one(file, columns) for file in files(path)])


def _read_one(path: Path, columns: Mapping[str, str]) -> Table:
    match ending(path):
        case ".parquet" | ".arrow":
            return _arrow(path)
        case ".csv" | ".tsv" | ".txt":
            return Table(path.name, stored(separated(path, columns)))
    found = reading.read_json(path, ENDINGS, _FORMATS)
    if isinstance(found, Mapping) and isinstance(found.get("data"), list):
        found = found["data"]
    if not isinstance(found, list | Portions):
        raise fail("E074", f"`{path.name}` is not a list of records", help=_FORMATS)
    return Table(path.name, found)


def separated(
    path: Path, columns: Mapping[str, str], read_lines: Callable[..., Iterator[str]] = reading.read_lines
) -> Iterator[dict[str, Any]]:
    """Rows of a `.csv` file, quoted as usual, or of one with tabs, where a quote is a character like any other.

    `read_lines`: as the one of `tasks.reading`.
    """
    numbered = _cells(path, read_lines)
    first = next(numbered)
    header = first[1]
    numbers = [str(n + 1) for n in range(len(header))]
    if columns and set(columns.values()) <= set(numbers) - set(header):
        header, numbered = numbers, chain([first], numbered)
    differ(header, path)
    for at, line in numbered:
        if len(line) != len(header):
            cells = plural(len(line), "cell")
            notes = [f"the record that ends on line {at} has {cells}, the first line has {len(header)}"]
            help = "give every record all cells; in a `.csv` file, quote cells that contain a comma or a line end"
            if ending(path) in TABBED:
                help = "give every record all cells: no text may contain a tab or a line end"
            raise fail("E074", f"records of `{path.name}` have different numbers of cells", help=help, notes=notes)
        yield dict(zip(header, line, strict=True))


def _cells(path: Path, read_lines: Callable[..., Iterator[str]]) -> Iterator[tuple[int, list[str]]]:
    """The line that a record ends on, and its cells."""
    if ending(path) in TABBED:  # line ends as they come, and nothing else: a text may hold any other character
        for number, line in enumerate(read_lines(path, ENDINGS, _FORMATS), 1):
            if line.strip():
                yield number, line.removesuffix("\n").removesuffix("\r").split("\t")
        return
    csv.field_size_limit(_LARGEST_CELL)
    reader = csv.reader(read_lines(path, ENDINGS, _FORMATS, ""), strict=True)
    try:
        for cells in reader:
            if cells:
                yield reader.line_num, cells
    except csv.Error as error:
        raise fail("E074", f"`{path.name}` is not CSV", help=_FORMATS, notes=[str(error)]) from None


def differ(header: Sequence[str], path: Path) -> None:
    if len(set(header)) < len(header):
        twice = next(c for c in header if header.count(c) > 1)
        raise fail("E074", f"`{path.name}` has two columns `{twice[:40]}`", help="give every column its own name")


def _arrow(path: Path) -> Table:
    """Read a part at a time, and held outside of memory."""
    import pyarrow
    from pyarrow import parquet

    kind = "an Arrow" if ending(path) == ".arrow" else "a parquet"
    with reading.opened(path, ENDINGS) as file:
        try:
            if ending(path) == ".arrow":
                schema, batches = _ipc(file)
            else:
                source = parquet.ParquetFile(pyarrow.PythonFile(file, "r"))
                schema, batches = source.schema_arrow, source.iter_batches(PORTION)
            differ(schema.names, path)
            count, plain, portion = tables(schema, batches)
        except pyarrow.ArrowException as error:
            raise fail("E074", f"`{path.name}` is not {kind} file", notes=[str(error).splitlines()[0][:160]]) from None

    def read(first: int, behind: int) -> list[Any]:
        try:
            return as_rows(portion(first))
        except ValueError as error:  # a field of a struct that is there twice
            raise fail("E074", f"`{path.name}` cannot be read", notes=[str(error).splitlines()[0][:160]]) from None

    rows: Sequence[Any] = Portions(count, read, lambda first, behind: portion(first) if plain else None)
    rows = rows if len(rows) > PORTION else list(rows)
    classes, unclear = carried(schema)
    return Table(path.name, rows, classes, unclear)


def _ipc(file: BinaryIO) -> tuple[Any, Iterator[Any]]:
    """A file of Arrow's, or a stream, which `datasets` writes under the same ending."""
    import pyarrow

    is_file = file.read(6) == b"ARROW1"
    file.seek(0)
    source = pyarrow.PythonFile(file, "r")
    reader = pyarrow.ipc.open_file(source) if is_file else pyarrow.ipc.open_stream(source)

    def batches() -> Iterator[Any]:
        for batch in map(reader.get_batch, range(reader.num_record_batches)) if is_file else reader:
            batch.validate(full=True)
            yield batch

    return reader.schema, batches()


def carried(schema: Any) -> tuple[dict[str, tuple[str, ...]], set[str]]:
    """Column -> names of its classes, as `datasets` writes them into parquet files; columns of which it is not clear."""
    columns = [f.name for f in schema if "int" in str(f.type)]
    metadata = (schema.metadata or {}).get(b"huggingface")
    if metadata is None:
        return {}, set()
    try:
        described = parse_json(metadata)
        features = described.get("info", {}).get("features") or {}
        found = {c: _classes(features[c]) for c in columns if c in features}
    except (ValueError, TypeError, AttributeError):
        return {}, set(columns)
    return {c: names for c, names in found.items() if names}, {c for c, names in found.items() if names is None}


def _classes(feature: Any) -> tuple[str, ...] | None:
    """Names in what is written of a column: of single numbers, or of lists of them. None where their form is unknown."""
    while isinstance(feature, Mapping) and "feature" in feature:
        feature = feature["feature"]
    while isinstance(feature, list) and len(feature) == 1:  # of older releases: a list of what is in brackets
        feature = feature[0]
    if not isinstance(feature, Mapping) or feature.get("_type") != "ClassLabel":
        return ()
    names = feature.get("names")
    if isinstance(names, Mapping) and list(names) == [str(i) for i in range(len(names))]:
        names = list(names.values())
    sound = isinstance(names, list) and names and all(isinstance(n, str) for n in names)
    return tuple(names) if sound else None  # type: ignore[arg-type]

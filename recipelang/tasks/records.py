"""Data sets as tables of records: `hf://owner/name`, or a file in JSON, JSONL, CSV, TSV or parquet. E047, E074.

A column may hold numbers of classes whose names the data set carries: on the Hub, and in parquet files that came
from there. A table without a header has its columns named by their numbers, from 1, in the recipe's `columns`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn, TypeVar

from recipelang.source import fail
from recipelang.source.suggest import closest
from recipelang.storage.strict_json import parse_json
from recipelang.tasks import hub, reading
from recipelang.tasks.meaning import Meaning

R = TypeVar("R")  # what a task reads of a split
E = TypeVar("E")  # its examples

ENDINGS = (".json", ".jsonl", ".csv", ".tsv", ".txt", ".parquet")
_FORMATS = "records are a JSON list, lines of `.jsonl`, rows of a `.csv` or `.tsv` file with a header, or parquet"
_TABBED = (".tsv", ".txt")  # SNLI's and MNLI's own tables are `.txt`
_LARGEST_CELL = 1 << 27


@dataclass(frozen=True)
class Table:
    name: str  # for messages: a file's own, or the reference
    rows: Sequence[Mapping[str, Any]]
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # column -> names of its numbers
    unclear: Collection[str] = ()  # columns whose names of numbers the data set carries in a form that nobody knows

    def names(self, column: str) -> tuple[str, ...]:
        """Of its numbers, where the data set carries them. E074."""
        if column in self.unclear:
            message = f"the class names of `{column[:40]}` in `{self.name}` cannot be read"
            help = "list the names in the order of their numbers: `classes = [...]` in `data`"
            notes = ["the file carries them in its `huggingface` metadata, in another form than `datasets` writes"]
            raise fail("E074", message, help=help, notes=notes)
        return self.classes.get(column, ())

    def columns(self) -> tuple[str, ...]:
        return tuple(self.rows[0])

    def lacks(self, column: str, asked: str, usual: Sequence[str] = ()) -> NoReturn:
        """E074: `column` is not there; `asked` is what the recipe calls it."""
        there = self.columns()
        if any(column in row for row in self.rows):
            lacking = next(i for i, row in enumerate(self.rows) if column not in row)
            message = f"record {lacking} of `{self.name}` has no `{column}`, and others have"
            raise fail("E074", message, help="give it to every record, or take such records out")
        near = closest(column, there)
        known = {name.casefold() for name in usual}
        meant = next((c for c in there if c.strip().casefold() in known), "...")
        help = f'say which one it is: `columns {{ {asked} = "{meant}" }}` in `data`'
        notes = [f"its columns are {_listed(there)}"]
        if usual:
            notes.append(f"it would be found as {_listed(usual)}")
        if self.name.endswith(".csv") and len(there) == 1 and any(c in there[0] for c in ";\t|"):
            notes.append("a `.csv` file has commas between its cells; one with tabs is named `.tsv`")
        elif self.name.endswith((".csv", *_TABBED)) and (column.isdecimal() or any(" " in c.strip() for c in there)):
            notes.append('where the first line is no header, columns have numbers: `"1"` is the first')
        if near and column != asked:
            help = f"did you mean `{near}`?"
        raise fail("E074", f"`{self.name}` has no column `{column}`", help=help, notes=notes)

    def text(self, row: int, column: str) -> str:
        """A cell that must hold text. E075."""
        return sound_text(self.rows[row].get(column), f"`{column}` of record {row}", self.name)

    def needs(self, columns: Mapping[str, str], named: Mapping[str, str], usual: Mapping[str, Sequence[str]]) -> None:
        """E074 where a field's column is not there. `named`: those that the recipe names; `usual`: names of the others."""
        for asked, column in columns.items():
            if column not in self.columns():
                self.lacks(column, asked, () if asked in named else usual.get(asked, ()))


def opener(
    read: Callable[[str, str, Mapping[str, str] | None, str | None], R],
    decide: Callable[[Mapping[str, R], Meaning], Meaning],
    examples: Callable[[R, Meaning, Mapping[str, str], str], E],
    needs: Sequence[str] = (),
) -> Callable[..., E]:
    """A task's `open_split`: what is read becomes examples, by what was decided over all splits, else over this one.

    `examples` is given what was read, its meaning, the columns that the recipe names, and the reference. `needs` are
    fields whose columns a meaning must tell: one that was read back from a file may not.
    """

    def open_split(
        reference: str,
        split: str,
        columns: Mapping[str, str] | None = None,
        config: str | None = None,
        decided: Meaning | None = None,
    ) -> E:
        found, named = read(reference, split, columns, config), dict(columns or {})
        if decided is None or not decided.tells(*needs):
            decided = decide({split: found}, Meaning(columns=named))
        return examples(found, decided, named, reference)

    return open_split


def sound_text(value: object, what: str, name: str) -> str:
    if isinstance(value, str) and reading.is_text(value):
        return value
    found = "null" if value is None else "broken text" if isinstance(value, str) else type(value).__name__
    raise fail("E075", f"{what} of `{name}` is not text", help=f"it is {found}: make it a string, or take it out")


def _listed(names: Iterable[str]) -> str:
    shown = [f"`{n[:40]}`" for n in names]
    return ", ".join(shown[:12]) + (f" and {len(shown) - 12} more" if len(shown) > 12 else "")


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
    for index, row in enumerate(table.rows):
        if not isinstance(row, Mapping):
            raise fail("E074", f"record {index} of `{table.name}` is not an object", help=_FORMATS)
    return table


def read_file(path: Path, columns: Mapping[str, str] = MappingProxyType({})) -> Table:
    match path.suffix:
        case ".parquet":
            return _parquet(path)
        case ".csv" | ".tsv" | ".txt":
            return Table(path.name, _separated(path, columns))
    found = reading.read_json(reading.read_text(path, ENDINGS, _FORMATS), path)
    if isinstance(found, Mapping) and isinstance(found.get("data"), list):
        found = found["data"]
    if not isinstance(found, list):
        raise fail("E074", f"`{path.name}` is not a list of records", help=_FORMATS)
    return Table(path.name, found)


def _separated(path: Path, columns: Mapping[str, str]) -> list[Mapping[str, Any]]:
    """Rows of a `.csv` file, quoted as usual, or of one with tabs, where a quote is a character like any other."""
    text = reading.read_text(path, ENDINGS, _FORMATS)
    csv.field_size_limit(_LARGEST_CELL)
    numbered: list[tuple[int, list[str]]] = []  # the line that a record ends on, and its cells
    if path.suffix in _TABBED:  # line ends as they come, and nothing else: a text may hold any other character
        each = enumerate(text.split("\n"), 1)
        numbered = [(n, line.removesuffix("\r").split("\t")) for n, line in each if line.strip()]
    else:
        try:
            reader = csv.reader(io.StringIO(text, newline=""), strict=True)
            numbered = [(reader.line_num, line) for line in reader if line]
        except csv.Error as error:
            raise fail("E074", f"`{path.name}` is not CSV", help=_FORMATS, notes=[str(error)]) from None
    lines = [line for _, line in numbered]
    header = lines[0]
    numbers = [str(n + 1) for n in range(len(header))]
    if columns and set(columns.values()) <= set(numbers) - set(header):
        header, body = numbers, lines
    else:
        body = lines[1:]
    _differ(header, path)
    for index, line in enumerate(body):
        if len(line) != len(header):
            at = numbered[index + len(lines) - len(body)][0]
            cells = f"{len(line)} cell{'s' * (len(line) != 1)}"
            notes = [f"the record that ends on line {at} has {cells}, the first line has {len(header)}"]
            help = "give every record all cells; in a `.csv` file, quote cells that hold a comma or a line end"
            if path.suffix in _TABBED:
                help = "give every record all cells: no text may hold a tab or a line end"
            raise fail("E074", f"records of `{path.name}` have different numbers of cells", help=help, notes=notes)
    return [dict(zip(header, line, strict=True)) for line in body]


def _differ(header: Sequence[str], path: Path) -> None:
    if len(set(header)) < len(header):
        twice = next(c for c in header if header.count(c) > 1)
        raise fail("E074", f"`{path.name}` has two columns `{twice[:40]}`", help="give every column a name of its own")


def _parquet(path: Path) -> Table:
    reading.read_bytes(path, ENDINGS)
    import pyarrow
    from pyarrow import parquet

    try:
        _differ(parquet.read_schema(path).names, path)  # type: ignore[no-untyped-call]
        table = parquet.read_table(path)  # type: ignore[no-untyped-call]
    except pyarrow.ArrowException as error:
        raise fail("E074", f"`{path.name}` is not a parquet file", notes=[str(error).splitlines()[0][:160]]) from None
    try:
        rows = table.to_pylist()
    except ValueError as error:  # a field of a struct that is there twice
        raise fail("E074", f"`{path.name}` cannot be read", notes=[str(error).splitlines()[0][:160]]) from None
    numbered = [f.name for f in table.schema if "int" in str(f.type)]
    classes, unclear = _carried((table.schema.metadata or {}).get(b"huggingface"), numbered)
    return Table(path.name, rows, classes, unclear)


def _carried(metadata: bytes | None, columns: Sequence[str]) -> tuple[dict[str, tuple[str, ...]], set[str]]:
    """Column -> names of its classes, as `datasets` writes them into parquet files; columns of which it is not clear."""
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

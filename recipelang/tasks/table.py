"""A data set as a table of records, with what is said of a column or a cell that is not as it must be. E074, E075."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from recipelang.source import fail
from recipelang.source.suggest import closest
from recipelang.source.words import listed
from recipelang.tasks import reading
from recipelang.tasks.rows import chained, keys_of

TABBED = (".tsv", ".txt")  # SNLI's and MNLI's own tables are `.txt`


@dataclass(frozen=True)
class Table:
    name: str  # for messages: a file's own, or the reference
    rows: Sequence[Mapping[str, Any]]
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # column -> names of its numbers
    unclear: Collection[str] = ()  # columns whose names of numbers the data set carries in a form that nobody knows

    #: of shards, where each begins in `rows` and what it is called
    parts: tuple[tuple[int, str], ...] = ()

    def record(self, row: int) -> str:
        """For messages: its number in the file that it is in."""
        first, name = (
            self.parts[bisect_right(self.parts, row, key=lambda p: p[0]) - 1] if self.parts else (0, self.name)
        )
        return f"record {row - first} of `{name}`"

    def names(self, column: str) -> tuple[str, ...]:
        """Of its numbers, where the data set carries them. E074."""
        if column in self.unclear:
            message = f"the class names of `{column[:40]}` in `{self.name}` cannot be read"
            help = "list the names in the order of their numbers: `classes = [...]` in `data`"
            notes = ["its `huggingface` metadata does not have the form that `datasets` writes"]
            raise fail("E074", message, help=help, notes=notes)
        return self.classes.get(column, ())

    def columns(self) -> tuple[str, ...]:
        return tuple(self.rows[0])

    def lacks(self, column: str, asked: str, usual: Sequence[str] = ()) -> NoReturn:
        """E074: `column` is not there; `asked` is what the recipe calls it."""
        there = self.columns()
        if column in keys_of(self.rows):
            lacking = next(i for i, row in enumerate(self.rows) if column not in row)
            message = f"{self.record(lacking)} lacks `{column}`, which others have"
            raise fail("E074", message, help="add it to every record, or remove these records")
        near = closest(column, there)
        known = {name.casefold() for name in usual}
        meant = next((c for c in there if c.strip().casefold() in known), "...")
        help = f'name it: `columns {{ {asked} = "{meant}" }}` in `data`'
        notes = [f"its columns are {listed(there, longest=40)}"]
        if usual:
            notes.append(f"names recognised on their own: {listed(usual, longest=40)}")
        if self.name.endswith(".csv") and len(there) == 1 and any(c in there[0] for c in ";\t|"):
            notes.append("a `.csv` file separates cells with commas; name a file with tabs `.tsv`")
        elif self.name.endswith((".csv", *TABBED)) and (column.isdecimal() or any(" " in c.strip() for c in there)):
            notes.append('without a header line, columns are numbered: `"1"` is the first')
        if near and column != asked:
            help = f"did you mean `{near}`?"
        raise fail("E074", f"`{self.name}` has no column `{column}`", help=help, notes=notes)

    def text(self, row: int, column: str) -> str:
        """A cell that must hold text. E075."""
        return self.text_of(self.rows[row].get(column), row, column)

    def text_of(self, value: object, row: int, column: str) -> str:
        """As `text`, of a cell that is read already."""
        if isinstance(value, str) and reading.is_text(value):  # of millions: no message is made for them
            return value
        return sound_text(value, f"`{column}` of {self.record(row)}")

    def needs(self, columns: Mapping[str, str], named: Mapping[str, str], usual: Mapping[str, Sequence[str]]) -> None:
        """E074 where a field's column is not there. `named`: those that the recipe names; `usual`: names of the others."""
        for asked, column in columns.items():
            if column not in self.columns():
                self.lacks(column, asked, () if asked in named else usual.get(asked, ()))


def objects(table: Table, columns: Mapping[str, str] | None = None) -> Table:
    """A portion of a stream whose records have columns. E074."""
    for index, row in enumerate(table.rows):
        if not isinstance(row, Mapping):
            raise fail("E074", f"{table.record(index)} is not an object", help="a record has columns, each with a name")
    return table


def joined(name: str, tables: Sequence[Table]) -> Table:
    """Shards as one table. E211 where they name their classes in different ways."""
    if len(tables) == 1:
        return tables[0]
    first, parts = 0, []
    for table in tables:
        parts.append((first, table.name))
        first += len(table.rows)
        if table.classes != tables[0].classes:
            help = "write them anew from one data set, or name the classes: `classes = [...]` in `data`"
            message = f"`{table.name[:40]}` and `{tables[0].name[:40]}` carry different class names"
            raise fail("E211", message, help=help)
    rows = chained([table.rows for table in tables])
    unclear = {column for table in tables for column in table.unclear}
    return Table(name, rows, tables[0].classes, unclear, tuple(parts))


def sound_text(value: object, what: str) -> str:
    if isinstance(value, str) and reading.is_text(value):
        return value
    found = "null" if value is None else "broken text" if isinstance(value, str) else type(value).__name__
    raise fail("E075", f"{what} is not text", help=f"it is {found}: make it a string, or remove it")

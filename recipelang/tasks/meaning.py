"""What columns, labels and answers mean: decided once over all splits of a data set, shown and kept by the plan."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from recipelang.tasks.rows import counts_of, keys_of, values_of as values_of_rows

if TYPE_CHECKING:
    from recipelang.tasks.table import Table

#: how an answer names its choice
Answers = Literal["key", "letter", "text", "place", "number"]


class Meaning(BaseModel):
    """Of one data set. What a recipe sets is filled in before, all else by a task's `decide`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    columns: dict[str, str] = Field(default={}, description="field -> the column it is read from")
    unused: tuple[str, ...] = Field(default=(), description="columns that are ignored")
    classes: tuple[str, ...] = Field(default=(), description="names of numbered classes, from 0, that the recipe gives")
    unlabelled: tuple[str, ...] = Field(default=(), description="labels that mean no label: their examples are skipped")
    unmatched: tuple[str, ...] = Field(default=(), description="labels of the recipe's `unlabelled` that do not occur")
    left_out: dict[str, int] = Field(default={}, description="split -> examples skipped for their label")
    labels: dict[str, Literal["names", "numbers", "both"]] = Field(
        default={}, description="split -> how its labels are written"
    )
    answers: Answers | None = Field(default=None, description="how an answer names its choice")
    before: str = Field(default="", description="the column that stands before every choice")
    choices: tuple[int, int] | None = Field(
        default=None, description="fewest and most choices of a question, where they differ"
    )
    causes: bool = Field(default=False, description="questions are the words `cause` and `effect`")
    unanswerable: dict[str, int] = Field(default={}, description="split -> questions without an answer, where some are")

    max_score: float | None = Field(
        default=None,
        allow_inf_nan=False,
        gt=0,
        description="the highest possible score, by which scores are divided; none: 1",
    )

    prefix: str = Field(default="", description="text before every source")
    source_language: str = Field(
        default="", description="code of the sources' language; the recipe's until it is decided"
    )
    target_language: str = Field(default="", description="code of the targets' language")
    frames: dict[str, tuple[str, ...]] = Field(
        default={}, description="field -> tokens around its text (`$A`), of a tokenizer that names languages"
    )

    def tells(self, *fields: str) -> bool:
        """Whether the columns of these fields are decided: a plan that was read back may have been changed."""
        return self.columns.keys() >= set(fields)

    def told(self) -> dict[str, object]:
        """What there is to say, for a record."""
        return {name: value for name, value in self.model_dump(mode="json").items() if value}

    @property
    def has_unanswerable(self) -> bool:
        return any(self.unanswerable.values())


def common(tables: Iterable[Table]) -> tuple[str, ...]:
    """Columns of every split, in the order of the first."""
    first, *others = [table.columns() for table in tables]
    return tuple(c for c in first if all(c in there for there in others))


def found(tables: Iterable[Table], usual: Sequence[str]) -> str | None:
    """The first usual name that is in all splits, else in the first split: the others are then refused for its lack."""
    several = list(tables)
    shared, first = common(several), several[0].columns()
    return next((c for there in (shared, first) for c in usual if c in there), None)


def two(
    tables: Sequence[Table], named: Mapping[str, str], fields: tuple[str, str], usual: Iterable[tuple[str, str]]
) -> tuple[str, str]:
    """The columns of two fields that a recipe may name, else the first usual pair that is there, as of `found`."""
    own = [named.get(field) for field in fields]
    for there in (common(tables), tables[0].columns()):
        for pair in usual:
            first, second = (mine or other for mine, other in zip(own, pair, strict=True))
            if first in there and second in there and first != second:
                return first, second
    return own[0] or fields[0], own[1] or fields[1]


def unused(tables: Iterable[Table], read: Iterable[str]) -> tuple[str, ...]:
    """Columns of any record that are not read, in their order."""
    known = set(read)
    keys = dict.fromkeys(key for table in tables for key in keys_of(table.rows))
    return tuple(str(key) for key in keys if key not in known)


def without(table: Table, column: str, values: Sequence[str]) -> Sequence[int]:
    """Places of the records whose value is none of these."""
    if not values:
        return range(len(table.rows))
    refused = set(values)
    return array("q", (i for i, value in enumerate(_written(table, column)) if value not in refused))


def values_of(tables: Mapping[str, Table], column: str) -> dict[str, Counter[str]]:
    """Split -> what is written in a column, and how often."""
    return {name: _counted(table, column) for name, table in tables.items()}


def _counted(table: Table, column: str) -> Counter[str]:
    """Each different value is looked at once."""
    found: Counter[str] = Counter()
    try:
        for (_, value), count in counts_of(values_of_rows(table.rows, column)).items():
            found[written(value)] += count
    except TypeError:  # lists and the like
        return Counter(_written(table, column))
    return found


def _written(table: Table, column: str) -> Iterator[str]:
    return (written(value) for value in values_of_rows(table.rows, column))


def left_out(values: Mapping[str, Counter[str]], unlabelled: Collection[str]) -> dict[str, int]:
    """Split -> examples whose label is one of these, where there are any."""
    return counted({name: sum(n for value, n in each.items() if value in unlabelled) for name, each in values.items()})


def written(value: object) -> str:
    """A value as a recipe would name it."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case float() if value.is_integer():
            return str(int(value))
    text = str(value).strip()
    return text[:-2] if text.endswith(".0") and text[:-2].removeprefix("-").isdecimal() else text


def unmatched(labels: Iterable[str], values: Iterable[Iterable[str]]) -> tuple[str, ...]:
    """Of these labels those that no split has."""
    there = {value for each in values for value in each}
    return tuple(label for label in labels if label not in there)


def counted(left: Mapping[str, int]) -> dict[str, int]:
    return {name: n for name, n in left.items() if n}

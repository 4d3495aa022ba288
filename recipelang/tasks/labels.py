"""Names of classes: in the order of the head's outputs, and which of them a label of the data means.

A label is text here; a number of a class is its name where the data set carries names, and else its digits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from recipelang.source import fail
from recipelang.source.suggest import closest
from recipelang.tasks.records import Table

_MOST = 1000  # a column of free text, or of measured numbers, is not one of labels


def label_text(table: Table, column: str, value: object, record: int) -> str:
    """E075 for what is no label; -1 is what public test sets hold instead."""
    names = table.classes.get(column, ())
    match value:
        case bool():
            return str(value).lower()
        case int() if names and 0 <= value < len(names):
            return names[value]
        case int() if value >= 0:
            return str(value)
        case str() if value.strip() and value.strip() != "-1":
            return value.strip()
        case float() if value.is_integer() and value >= 0:
            return str(int(value))
    shown = "null" if value is None else f"`{str(value)[:40]}`"
    help = "a split without labels cannot be trained or measured on: name another, or take such records out"
    if isinstance(value, float) or (isinstance(value, str) and value.strip()[:1].isdigit()):
        help = "labels are names or whole numbers: measured values are not in this release"
    raise fail("E075", f"record {record} of `{table.name}` has no label", help=help, notes=[f"`{column}` is {shown}"])


def names_of(labels: Iterable[str], known: Sequence[str], name: str) -> tuple[str, ...]:
    """Of all labels that occur; `known` are names that the data set carries. E074 where they make no classes."""
    found = set(labels)
    if known and found <= set(known):
        return tuple(known)
    numbers = all(label.isdecimal() for label in found)
    if len(found) < 2:
        raise fail(
            "E074", f"`{name}` has one label only: `{next(iter(found))[:40]}`", help="two are needed to tell apart"
        )
    if len(found) > _MOST:
        raise fail(
            "E074",
            f"`{name}` has {len(found):,} different labels",
            help='name their column: `columns { label = "..." }`',
        )
    return tuple(sorted(found, key=lambda n: (int(n), n) if numbers else n))  # type: ignore[arg-type, return-value]


def fits(label: str, names: Sequence[str]) -> int | None:
    """The class that a label means: by its name, whatever the case, or by its number where names are no numbers."""
    if label in names:
        return list(names).index(label)
    folded = [n.casefold() for n in names]
    if label.casefold() in folded:
        return folded.index(label.casefold())
    if label.isdecimal() and int(label) < len(names) and not any(n.isdecimal() for n in names):
        return int(label)
    return None


class Classes:
    """Labels to numbers, each asked for once."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self.known: dict[str, int | None] = {}

    def number(self, label: str, where: Any) -> int:
        if label not in self.known:
            self.known[label] = fits(label, self.names)
        found = self.known[label]
        if found is None:
            near = closest(label, self.names)
            shown = ", ".join(f"`{n}`" for n in self.names[:12]) + (" ..." if len(self.names) > 12 else "")
            help = f"did you mean `{near}`?" if near else "take such records out, or train on data that has the label"
            raise fail(
                "E075", f"`{label[:40]}` is none of the model's labels", help=help, notes=[f"they are {shown}", where]
            )
        return found

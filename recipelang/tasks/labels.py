"""Names of classes: in the order of the head's outputs, which of them a label of the data means, which one F1 counts.

A label is text here; a number of a class is its name where the data set or the recipe gives names, and else its digits.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from itertools import islice
from typing import Any, Literal, TypeVar

from recipelang.source import RecipeError, fail
from recipelang.source.suggest import closest
from recipelang.source.words import listed
from recipelang.tasks.meaning import written
from recipelang.tasks.rows import Made, counts_of
from recipelang.tasks.table import Table

E = TypeVar("E")

MOST = 1000  # a column of free text is not one of labels
_NUMBER = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?")
_UNSEEN = re.compile("[\u00ad\u200b\u2060\ufeff]")  # of no width, and no part of any word
_MISSING = {"null", "none", "na", "n/a", "#n/a", "<na>"}  # as tables of text write that there is nothing
_NO_CONSENSUS = "-"  # of SNLI and MNLI: those who were asked did not agree


class Labelled(Made[E]):
    """Examples, with the name of the data, of the column of labels, and of the classes that it carries, in order."""

    name: str = ""
    column: str = ""
    known: tuple[str, ...] = ()
    #: the column, where no record is left out, and the label that a value is
    values: Callable[[], Iterator[Any]] | None = None
    label_of: Callable[[Any, int], str]

    def counts(self) -> dict[str, int]:
        """How often each label occurs, by its first; each different value of a column is looked at once."""
        whole = self._made is None and isinstance(self._rows, range) and self._rows.start == 0
        if whole and self.values is not None:
            with suppress(TypeError, RecipeError):  # what is wrong is told of the first record that has it
                found: Counter[str] = Counter()
                for (_, value), count in counts_of(islice(self.values(), len(self))).items():
                    found[self.label_of(value, 0)] += count
                return dict(found)
        return dict(Counter(example.label for example in self))  # type: ignore[attr-defined]


def label_text(
    table: Table, column: str, value: object, record: int, classes: Sequence[str] = (), *, of_word: bool = False
) -> str:
    """E075 for what is no label, -1 among it: public test sets hold it. E149 for a measured value, in every format.

    `classes` are those of the recipe: names of numbers from 0; where one is a number itself, labels are what is written.
    `of_word`: it is the tag of a word, for which no recipe can leave the word out.
    """
    if classes and written(value) in classes:
        return written(value)
    names = tuple(classes) or table.names(column)
    number = _number(value)
    if isinstance(number, float) and not number.is_integer():
        notes = [f"record {record} has `{value}`"]
        help = "to predict the scores, write `task = regression`; to predict classes, name another column"
        if of_word:
            help = "name the column of tags"
        raise fail("E149", f"`{column}` of `{table.name}` holds scores, not classes", help=help, notes=notes)
    if isinstance(value, bool):
        return str(value).lower()
    if number is not None and number >= 0:
        text = value.strip() if isinstance(value, str) and value.strip().isdecimal() else str(int(number))
        if not names:
            return text
        if any(name.isdecimal() for name in classes):
            return _named(text, classes, table.record(record))
        if number < len(names):
            return names[int(number)]
        help = f"name a class for every number: `classes` has {len(names)}"
        raise fail("E075", f"{table.record(record)} has a label beyond the named classes", help=help)
    if number is None and isinstance(value, str) and value.strip():
        return value.strip() if not classes else _named(value.strip(), classes, table.record(record))
    shown = "null" if value is None else f"`{str(value)[:40]}`"
    if not isinstance(value, str | int | float | Decimal | None):
        help = "a label is a single word or whole number"
        raise fail("E075", f"{table.record(record)} has no single label", help=help, notes=[f"it is {shown}"])
    help = f'name another split, or skip these examples: `unlabelled = ["{written(value)[:40]}"]` in `data`'
    if of_word:
        help = "give the word a tag, or remove it"
    notes = [f"`{column}` is {shown}"]
    if number is not None and written(value).startswith("-"):
        notes.append("in public test sets a negative number means no label")
        notes.append(f'if it is a class, list every class: `classes = ["{written(value)[:40]}", ...]` in `data`')
    raise fail("E075", f"{table.record(record)} has no label", help=help, notes=notes)


def _named(label: str, classes: Sequence[str], where: str) -> str:
    """As the recipe writes it, whatever the case."""
    if label in classes:
        return label
    place = next((i for i, name in enumerate(classes) if fold(name) == fold(label)), None)
    if place is None:
        near = closest(label, classes)
        help = f"did you mean `{near}`?" if near else "name every class in `classes`, or remove `classes`"
        raise fail("E075", f"`{label[:40]}` is not in `classes`", help=help, notes=[f"{where} has it"])
    return classes[place]


def _number(value: object) -> int | float | None:
    """Of numbers, and of text that is one; a decimal comma makes a fraction of it, whatever comes behind."""
    if isinstance(value, Decimal):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else -1
    text = value.strip()
    if text.casefold() == "nan":  # as a number of JSON or parquet is read
        return -1
    if text.isdecimal():
        return int(text) if len(text) < 300 else None
    if not _NUMBER.fullmatch(text):
        return None
    found = 0.5 if "," in text else float(text)
    return found if math.isfinite(found) else -1


def form(texts: Iterable[str]) -> Literal["names", "numbers", "both"]:
    """How the labels of a split are written."""
    kinds = {text.isdecimal() for text in texts}
    return "both" if len(kinds) == 2 else "numbers" if True in kinds else "names"


def stand_for_none(values: Iterable[str]) -> tuple[str, ...]:
    """`-` is no label among words and numbers, as in SNLI's own files; beside other signs, as `+`, it is one."""
    there = set(values)
    others = there - {_NO_CONSENSUS}
    named = others and all(any(c.isalnum() for c in value) for value in others)
    return (_NO_CONSENSUS,) if _NO_CONSENSUS in there and named else ()


def names_of(labels: Iterable[str], known: Sequence[str] = ()) -> tuple[str, ...]:
    """Of all labels that occur, by number or alphabet; `known` are names that the data set carries, in its order."""
    found = set(labels)
    if known and found <= set(known):
        return tuple(known)
    numbers = all(label.isdecimal() for label in found)
    return tuple(sorted(found, key=lambda n: (int(n), n) if numbers else n))  # type: ignore[arg-type, return-value]


def fold(name: str) -> str:
    """What two spellings of a name have in common: case, blanks, how accents are stored and what is unseen aside."""
    return " ".join(
        _UNSEEN.sub("", unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())).split()
    )


def differ(names: Sequence[str]) -> None:
    """E151 where two of the names are one but for case, or look alike."""
    folded: dict[str, str] = {}
    for name in names:
        twin = folded.setdefault(fold(name), name)
        if twin != name:
            shown = ", ".join(f'"{n}"' for n in names[:6])
            help = f"use one spelling everywhere, or list them as two classes: `classes = [{shown}]` in `data`"
            if name.casefold() == twin.casefold():
                raise fail("E151", f"labels differ only in case: `{twin[:40]}`, `{name[:40]}`", help=help)
            notes = [f"they are {twin[:40]!a} and {name[:40]!a}"]
            raise fail("E151", f"labels look alike: `{twin[:40]}`, `{name[:40]}`", help=help, notes=notes)


def make_classes(names: Sequence[str], what: str, field: str, column: str, known: Sequence[str]) -> None:
    """E074 where names make no classes. `known` are those that the data set or the recipe gives: these may be many."""
    if len(names) < 2:
        label = f": `{names[0][:40]}`" if names else ""
        raise fail("E074", f"{what} has only one label{label}", help="a classifier needs at least two labels")
    if len(names) > MOST and not known:
        help = f'if they are in another column, name it: `columns {{ {field} = "..." }}` in `data`'
        notes = [
            f"they are read from `{column[:40]}`, as {', '.join(f'`{n[:40]}`' for n in names[:3])}",
            f"more than {MOST:,} are accepted only where the data set or `classes` lists them",
        ]
        raise fail("E074", f"{what} has {len(names):,} different labels", help=help, notes=notes)


def fits(label: str, names: Sequence[str]) -> int | None:
    """The class that a label means: by its name, whatever the case, or by its number where names are no numbers."""
    if label in names:
        return list(names).index(label)
    folded = [fold(n) for n in names]
    if fold(label) in folded:
        return folded.index(fold(label))
    if label.isdecimal() and int(label) < len(names) and not any(n.isdecimal() for n in names):
        return int(label)
    return None


def looks_missing(names: Iterable[str]) -> str | None:
    """A class that is likely none: what tables of text hold where there was no value."""
    return next((name for name in names if fold(name) in _MISSING), None)


def say_nothing(names: Sequence[str]) -> bool:
    """`LABEL_0` and the like: what transformers calls classes that nobody named."""
    return all(re.fullmatch(r"LABEL_\d+", name) for name in names)


#: words of which the first denies the second
_DENIALS = {("no", "yes"), ("n", "y"), ("false", "true"), ("f", "t"), ("negative", "positive"), ("neg", "pos")}
_PREFIXES = ("not", "non", "no", "un", "in")


def positive(names: Sequence[str], counts: Mapping[str, int], *, ordered: bool) -> tuple[str, bool]:
    """Of two classes the one whose F1 is meant, and whether names or their order say so.

    That which the other denies (`hate` of `nothate`, `yes` of `no`); else the second of an order that is given, by
    numbers, by the data set, or by the model; else that of fewer training examples, or of as many the second.
    """
    first, second = names
    for one, other in ((first, second), (second, first)):
        if _denies(one, other):
            return other, True
    if ordered or (first.isdecimal() and second.isdecimal()) or say_nothing(names):
        return second, True
    return (first if counts.get(first, 0) < counts.get(second, 0) else second), False


def _denies(one: str, other: str) -> bool:
    a, b = (re.sub(r"[\s_-]+", "", name.casefold()) for name in (one, other))
    return (a, b) in _DENIALS or any(a == prefix + b for prefix in _PREFIXES)


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
            help = f"did you mean `{near}`?" if near else "remove these records, or train on data that has the label"
            raise fail(
                "E075",
                f"`{label[:40]}` is not one of the model's labels",
                help=help,
                notes=[f"they are {listed(self.names)}", where],
            )
        return found

"""Numbers of a data set: a cell that must hold one, in whatever format the data are. E075."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from numbers import Real

from recipelang.source import fail
from recipelang.tasks.table import Table

#: as written in tables of text; no `nan`, no `inf`, no blanks or underscores inside
_WRITTEN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_COMMA = re.compile(r"[+-]?\d+,\d+", re.ASCII)
#: the largest number in single precision, in which a model is trained
LARGEST = (2 - 2.0**-23) * 2.0**127


def number(table: Table, row: int, column: str, *, left_out: str = "") -> float:
    """The number in a cell. A text that is one is read as one, since tables of text hold nothing else.

    E075 for anything else: no value, a Boolean, another text, NaN, infinity, more than single precision holds.
    `left_out`: how a recipe leaves the record out, for the help.
    """
    value = table.rows[row].get(column)
    where = f"`{column[:40]}` of {table.record(row)}"
    found = as_number(value)
    if found is None:
        help = "write a number"
        if isinstance(value, str) and _COMMA.fullmatch(value.strip()):
            help = f"write a decimal point: `{value.strip()[:40].replace(',', '.')}`"
        elif left_out and (value is None or isinstance(value, str)):
            help = f"write a number, or skip such records: {left_out}"
        raise fail("E075", f"{where} is not a number", help=help, notes=[f"it is {_shown(value)}"])
    if not math.isfinite(found) or abs(found) > LARGEST:
        size = "is not finite" if not math.isfinite(_float(value)) else "is too large"
        notes = [f"it is {str(value).strip()[:40]}"]
        if size == "is too large":
            notes.append(f"single precision holds numbers up to {LARGEST:.3g}")
        raise fail("E075", f"{where} {size}", help="correct it, or remove the record", notes=notes)
    return found


def as_number(value: object) -> float | None:
    """None for what is no number; it may be infinite, or NaN."""
    if isinstance(value, str):
        text = value.strip()
        return _float(text) if _WRITTEN.fullmatch(text) or text.lower().lstrip("+-") in _NOT_FINITE else None
    if isinstance(value, bool) or not isinstance(value, Real | Decimal):
        return None
    return _float(value)


_NOT_FINITE = ("nan", "inf", "infinity")


def _float(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except OverflowError:  # a whole number of hundreds of digits
        return LARGEST * 2


def _shown(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return f"the Boolean `{str(value).lower()}`"
        case str() if not value.strip():
            return "blank"
        case str():
            return f"the text `{value.strip()[:40]}`"
    return f"a {type(value).__name__}"

"""Plurals, articles, sizes and times in the texts that people read. They are decided here and nowhere else."""

from __future__ import annotations

import re
from collections.abc import Sequence

#: letters said one by one, of which the first sounds like a vowel: `F1`, `N:M`, `MLM`
_SPELT = re.compile(r"[AEFHILMNORSX](?:[A-Z]*[0-9:]|[A-Z]+\b|\b)|[fhlmnrsx](?:p?[0-9]|\b)")
_AN = re.compile(r"[aeiou]|hour|honest|hf\b", re.IGNORECASE)
#: a vowel on paper, a consonant when said
_A = re.compile(r"uni(?!n|m)|us[aeiu]|eu|one\b|once\b|ubi", re.IGNORECASE)
_MANY = {"matrix": "matrices", "index": "indices", "epoch": "epochs"}


def many(noun: str) -> str:
    """The plural of a noun, or of a phrase that ends in one."""
    head, _, last = noun.rpartition(" ")
    if last not in _MANY:
        ending = "ies" if re.search(r"[^aeiou]y$", last) else "es" if re.search(r"(s|x|ch|sh)$", last) else "s"
        return noun.removesuffix("y" if ending == "ies" else "") + ending
    return f"{head} {_MANY[last]}".strip()


def plural(n: int, noun: str) -> str:
    """`1 step`, `2 steps`, `1,234 steps`."""
    return f"{n:,} {noun if n == 1 else many(noun)}"


def first_n(n: int, noun: str) -> str:
    """`the first step`, `the first 20 steps`."""
    return f"the first {noun if n == 1 else plural(n, noun)}"


def an(noun: str) -> str:
    """The noun with its article: `a model`, `an optimizer`, `an N:M pattern`. Marks before the word do not count."""
    word = noun.lstrip("`'\"*_(")
    vowel = _SPELT.match(word) or (_AN.match(word) and not _A.match(word))
    return f"{'an' if vowel else 'a'} {noun}"


def listed(names: Sequence[str], most: int = 12, *, mark: str = "`", longest: int = 100) -> str:
    """The first of some names, each between marks, and how many more there are: "`a`, `b` and 3 more"."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(f"{mark}{n[:longest]}{mark}" for n in names[:most]) + more


def both(names: Sequence[str]) -> str:
    """All of some names: "`a`", "`a` and `b`", "`a`, `b` and `c`"."""
    *first, last = (f"`{n}`" for n in names)
    return f"{', '.join(first)} and {last}" if first else last


def _three_digits(value: float) -> str:
    return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f}"


def size_text(n: float) -> str:
    """Bytes: `1.24 GB`, `45.2 MB`, `512 bytes`."""
    for unit, of in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n >= of * 0.9995:
            return f"{_three_digits(n / of)} {unit}"
    return plural(round(n), "byte")


def limit_text(n: int) -> str:
    """A limit of bytes, which is a power of two: `64 KiB`, `16 MiB`."""
    return f"{n // 2**20:,} MiB" if n >= 2**20 else f"{n // 1024:,} KiB" if n >= 1024 else plural(n, "byte")


def amount(n: float) -> str:
    """Weights, parameters: `1.24 B`, `45.2 M`, `7.68 k`, `768`."""
    for unit, of in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if n >= of * 0.9995:
            return f"{_three_digits(n / of)} {unit}"
    return f"{n:,.0f}"


def duration(seconds: float) -> str:
    """`24 s`, `4 min 24 s`, `3 h 5 min`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def short_time(seconds: float) -> str:
    """Of what takes little: `0.45 ms`, `12.3 ms`, `1.24 s`."""
    return f"{_three_digits(seconds)} s" if seconds >= 0.9995 else f"{_three_digits(seconds * 1000)} ms"

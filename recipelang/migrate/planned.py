"""A migrated recipe is whole when a model of its family could follow it: it is planned on the usual one of the family."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from recipelang.migrate import names
from recipelang.migrate.layouts import LAYOUTS
from recipelang.planning.imagined import Imagined, resolve_imagined
from recipelang.source import Diagnostic, Diagnostics, Source
from recipelang.spec.check import check
from recipelang.spec.params import Given

#: what any recipe can be given, by the type of a parameter
_BY_TYPE = {"model": "hf://a/model", "dataset": "hf://a/set", "int": "16", "number": "0.00005"}
_PARAM = re.compile(r"^param (\w+): ([a-z_]+)([^=\n]*)(=?)", re.MULTILINE)
_WORD = re.compile(r"\w+")
_BLOCK = re.compile(r"  (prune|freeze|distill|drop|learning_rate)\b ?(\w*)")
#: a stage of a length that the file does not tell, in epochs
_LENGTH = 30


@dataclass(frozen=True)
class Planned:
    """`values` are those that were made up for what the recipe asks for; `plan` none: `wrong` says why."""

    plan: Imagined | None
    wrong: tuple[Diagnostic, ...] = ()
    values: Mapping[str, Fraction] = field(default_factory=dict)


def planned(text: str, family: str, named: Sequence[str]) -> Planned:
    """The first way to fill in what the recipe asks for that can be planned, else what is wrong with the best."""
    tries: list[tuple[Diagnostic, ...]] = []
    config = names.config_of(family, named)
    tensors = names.reference(family, named, "causal_lm") if family in LAYOUTS else ()
    for values in _values(text, family):
        given = {name: Given(value, f"-p {name}") for name, value in values.items()}
        checked = check(Source("migrated.recipe", text), given, complete=True)
        found = Diagnostics()
        if checked.recipe is None or checked.diagnostics.errors:
            tries.append(tuple(checked.diagnostics.errors))
        elif (plan := resolve_imagined(checked.recipe, dict(config), found, tensors)) is not None:
            return Planned(plan, (), _numbers(values))
        else:
            tries.append(tuple(found.errors))
    return Planned(None, min(tries, key=len))


def _values(text: str, family: str) -> Iterator[dict[str, str]]:
    asked = [(name, kind) for name, kind, _, default in _PARAM.findall(text) if not default]
    offered = {word for _, kind, words, _ in _PARAM.findall(text) if kind == "one_of" for word in _WORD.findall(words)}
    fixed = {name: _BY_TYPE[kind] for name, kind in asked if kind in _BY_TYPE}
    fixed |= {name: "5%" if "init" in name else "50%" for name, kind in asked if kind == "ratio"}
    usual = names.usual_task(family)
    tasks = (
        [usual, *sorted(names.TASKS_OF[family] & offered - {usual})]
        if any(kind == "one_of" for _, kind in asked)
        else [""]
    )
    told = [int(n) for n in re.findall(r"^  length += (\d+) epochs?$", text, re.MULTILINE)]
    length = min([_LENGTH, *(n for n in told if n > 0)])
    spans = [name for name, kind in asked if kind == "span"]
    for task in tasks:
        chosen = {name: task for name, kind in asked if kind == "one_of"}
        for times in _times(spans, length):
            yield {**fixed, **chosen, **{name: f"{time} epochs" for name, time in zip(spans, times, strict=True)}}


def _times(spans: Sequence[str], length: int) -> Iterator[list[int]]:
    """Times that fit by their names; then growing, falling, and all alike."""
    if not spans:
        yield []
        return
    yield [_by_name(name, length) for name in spans]
    growing = [length * (i + 1) // (len(spans) + 1) for i in range(len(spans))]
    yield from (growing, growing[::-1], [length] * len(spans), [1] * len(spans))


def _by_name(name: str, length: int) -> int:
    if name.startswith("length") or "num" in name or name.endswith("epochs"):
        return length
    if "end" in name:
        return max(length - 10, length // 2, 1)
    return min(2, length) if "start" in name else 1


def _numbers(values: Mapping[str, str]) -> dict[str, Fraction]:
    """Of ratios, times and plain numbers."""
    found: dict[str, Fraction] = {}
    for name, value in values.items():
        if match := re.fullmatch(r"([\d.]+)(%?)(?: epochs)?", value):
            found[name] = Fraction(match[1]) / (100 if match[2] else 1)
    return found


def place(text: str, offset: int) -> tuple[str, str, str]:
    """The stage, the kind and the name of the block that holds a place of the new text."""
    stage = kind = name = ""
    for line in text[: text.find("\n", offset) + 1].splitlines():
        if found := re.match(r"stage (\w+) \{", line):
            stage, kind, name = found[1], "", ""
        elif found := _BLOCK.match(line):
            kind, name = found[1], found[2] if found[1] in ("prune", "freeze") else ""
        elif line.startswith("}"):
            stage = kind = name = ""
        elif re.match(r"  \w", line):
            kind = name = ""
    return stage, kind, name

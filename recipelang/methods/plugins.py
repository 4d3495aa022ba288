"""Methods of other distributions. What they are is data, and nothing of their code is imported to read it.

A distribution has an entry point of the group `recipelang.methods` for each method, `acme.topk = "acme_prune:TopK"`,
and among its files one `recipelang-methods.toml` with a table of the same name.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from fractions import Fraction
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Literal

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from pydantic import Field, TypeAdapter, ValidationError

from recipelang.kinds.base import Kind, Mismatch
from recipelang.kinds.choice import Argument
from recipelang.kinds.plain import Boolean, Number, OneOf, Ratio
from recipelang.methods.declaration import PATTERNS, Memory, Method, Pattern, Scope, layerwise, scope
from recipelang.storage.forms import Count, Form
from recipelang.storage.reading import Unreadable, read_text

GROUP, FILE = "recipelang.methods", "recipelang-methods.toml"
MAX_BYTES = 64 * 1024
NAME = re.compile(r"(?!stage\.)[A-Za-z_][A-Za-z0-9_]*\.[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_Word = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
_Bound = int | Fraction | None


class _Argument(Form):
    type: Literal["int", "number", "ratio", "bool", "name"]
    default: bool | int | Fraction | str
    doc: str = Field(min_length=1)
    at_least: _Bound = None
    at_most: _Bound = None
    names: list[_Word] = []

    def declared(self, name: str) -> Argument:
        kind: Kind = {
            "int": Number(self.at_least, self.at_most, whole=True),
            "number": Number(self.at_least, self.at_most),
            "ratio": Ratio(),
            "bool": Boolean(),
            "name": OneOf(*self.names),
        }[self.type]
        number = self.type in ("number", "ratio") and isinstance(self.default, int | Fraction)
        default = Fraction(self.default) if number and not isinstance(self.default, bool) else self.default
        try:
            kind.check(default)
        except Mismatch as mismatch:
            raise ValueError(f"the default of `{name}`: {mismatch.message}") from None
        return Argument(name, kind, default, self.doc)


class _Memory(Form):
    weight: Count = 0
    input: Count = 0
    pair: Count = 0


class _Method(Form):
    doc: str = Field(min_length=1)
    sources: list[str] = []
    looks_at: Literal["weights", "steps", "gradients", "inputs"] = "weights"
    scopes: Annotated[list[Scope], Field(min_length=1)] = ["uniform"]
    patterns: Annotated[list[Pattern], Field(min_length=1)] = list(PATTERNS)
    compensates: bool = False
    shards: bool = False
    memory: _Memory = _Memory()
    arguments: dict[_Word, _Argument] = {}

    def declared(self, name: str, code: str, distribution: metadata.Distribution) -> Method:
        if "scope" in self.arguments:
            raise ValueError("`scope` is declared by `scopes`")
        if self.looks_at == "inputs" and "global" in self.scopes:
            raise ValueError("a method that looks at inputs prunes layer by layer, and ranks in no `global` scope")
        ranked = (
            layerwise(*self.scopes)
            if self.looks_at == "inputs"
            else Argument("scope", OneOf(*self.scopes), self.scopes[0], scope("uniform").doc)
        )
        return Method(
            name,
            self.doc,
            (*(a.declared(n) for n, a in self.arguments.items()), ranked),
            implementation=code,
            sources=tuple(self.sources),
            looks_at=self.looks_at,
            patterns=tuple(self.patterns),
            compensates=self.compensates,
            shards=self.shards,
            memory=Memory(**self.memory.model_dump()),
            distribution=distribution.name,
            version=distribution.version,
        )


_FILE = TypeAdapter(dict[str, _Method])


def names() -> tuple[str, ...]:
    """Methods of what is installed, whether they can be read or not."""
    return tuple(sorted(_entries(tuple(sys.path))))


def find(name: str) -> Method | None:
    """The declaration of a method `NAMESPACE.NAME`; none where nothing installed has it.

    Raises:
        Mismatch: E205 where it cannot be read.
    """
    return _declared(tuple(sys.path), name) if NAME.fullmatch(name) else None


@lru_cache(maxsize=64)
def _declared(path: tuple[str, ...], name: str) -> Method | None:
    found = _entries(path).get(name, ())
    if len({_dist(e).name for e in found}) > 1:
        both = " and ".join(sorted({f"`{_dist(e).name}`" for e in found}))
        raise Mismatch("E205", f"{both} both declare `{name}`", "uninstall one of them", subject=name)
    return _read(found[0]) if found else None


def unmet(requirement: str) -> str | None:
    """Why a requirement such as `acme-prune >= 2, < 3` is not met here, if it is not.

    Raises:
        ValueError: it is no name with versions.
    """
    try:
        wanted = Requirement(requirement)
    except InvalidRequirement as error:
        raise ValueError(str(error).partition("\n")[0]) from None
    if wanted.url or wanted.marker or wanted.extras:
        raise ValueError("only a name and versions")
    try:
        have = metadata.version(wanted.name)
    except metadata.PackageNotFoundError:
        return f"`{wanted.name}` is not installed"
    return None if wanted.specifier.contains(have, prereleases=True) else f"`{wanted.name}` {have} is installed"


def named(requirements: Iterable[str]) -> set[str]:
    """The distributions of requirements, by their normalised names."""
    return {canonicalize_name(Requirement(r).name) for r in requirements}


@lru_cache(maxsize=4)
def _entries(path: tuple[str, ...]) -> Mapping[str, tuple[metadata.EntryPoint, ...]]:
    found: dict[str, list[metadata.EntryPoint]] = defaultdict(list)
    for entry in metadata.entry_points(group=GROUP):
        if NAME.fullmatch(entry.name) and entry.dist is not None:
            found[entry.name].append(entry)
    return {name: tuple(entries) for name, entries in found.items()}


def _dist(entry: metadata.EntryPoint) -> metadata.Distribution:
    assert entry.dist is not None
    return entry.dist


def _read(entry: metadata.EntryPoint) -> Method:
    distribution = _dist(entry)
    path = next((f for f in distribution.files or () if f.name == FILE), None)
    try:
        if path is None:
            raise ValueError(f"`{FILE}` is not among its files")
        text = read_text(Path(str(distribution.locate_file(path))), MAX_BYTES)
        tables: Any = tomllib.loads(text, parse_float=Fraction)
        if entry.name not in tables:
            raise ValueError(f'`{FILE}` has no table ["{entry.name}"]')
        form = _FILE.validate_python({entry.name: tables[entry.name]})[entry.name]
        return form.declared(entry.name, entry.value, distribution)
    except Unreadable as error:
        why = error.reason or f"`{FILE}` is {error.why.value}"
    except ValidationError as error:
        first = error.errors()[0]
        why = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    except (ValueError, RecursionError) as error:
        why = str(error)
    message = f"the declaration of `{entry.name}` in `{distribution.name}` cannot be read"
    help = f"install another version of `{distribution.name}`: {why[:200]}"
    raise Mismatch("E205", message, help, subject=entry.name)

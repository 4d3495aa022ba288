"""`FILE.lock`: everything that a recipe refers to, by digest or commit. Reading and writing it, and comparing two.

JSON, sorted, one entry a line, no times: made to be committed and to be read in a diff.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version
from pydantic import Field, field_validator

from recipelang.source import RecipeError, fail
from recipelang.storage.forms import Count, Digest, Form, Hex, MaybeDigest
from recipelang.storage.reading import Unreadable, Why, read_bytes
from recipelang.storage.strict_json import parse_model
from recipelang.storage.writing import write_text
from recipelang.version import __version__

MAX_BYTES = 2**20
Entry = Mapping[str, Any]


@dataclass(frozen=True)
class Lock:
    """`refs`: reference as written -> what it was. `spec` is empty where a value was still missing."""

    recipe: str
    spec: str = ""
    refs: Mapping[str, Entry] = field(default_factory=dict)
    tools: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Entry] = field(default_factory=dict)

    def text(self) -> str:
        head = ['"lock": 1', *(f'"{k}": {_line(v)}' for k, v in (("recipe", self.recipe), ("spec", self.spec)))]
        return (
            "{" + ", ".join(head) + ",\n"
            f' "refs": {_entries(self.refs)},\n "tools": {_line(self.tools)},\n "metrics": {_entries(self.metrics)}}}\n'
        )

    @property
    def contents(self) -> dict[str, str]:
        """Of models and data named by a path, the digest of what was there."""
        return {
            r: e["contents"] for r, e in self.refs.items() if "://" not in r.removeprefix("file://") and "contents" in e
        }

    @property
    def revisions(self) -> dict[str, str]:
        """Of models and data on the Hub, the commit."""
        found = ((r, e) for r, e in self.refs.items() if e["kind"] != "recipe" and r.startswith("hf://"))
        return {r: e["revision"] for r, e in found if "revision" in e}

    @property
    def recipes(self) -> dict[str, str]:
        """Of recipes elsewhere, the digest of the manifest."""
        return {r: e["manifest"] for r, e in self.refs.items() if e["kind"] == "recipe" and "manifest" in e}


class FileForm(Form):
    """A file of the Hub: a large one by sha256, a small one by git's own digest."""

    sha256: Hex = ""
    git: str | None = None
    size: Count | None = None


class EntryForm(Form):
    kind: Literal["recipe", "model", "dataset"]
    manifest: Digest = ""
    contents: Digest = ""
    sha256: Digest = ""
    spec: MaybeDigest = ""
    revision: str = ""
    asked: str = ""
    version: str = ""
    files: dict[str, FileForm] = {}


class MetricForm(Form):
    impl: str
    sha256: Digest


class ToolsForm(Form):
    recipelang: str = ""
    plugins: dict[str, str] = {}

    @field_validator("recipelang")
    @classmethod
    def _is_of_releases(cls, text: str) -> str:
        try:
            SpecifierSet(text)
        except InvalidSpecifier:
            raise ValueError("not release specifiers such as `>= 0.1, < 1`") from None
        return text


class LockForm(Form):
    """A lock as it is written."""

    lock: Annotated[int, Field(ge=1, le=1)]
    recipe: str
    spec: MaybeDigest = ""
    refs: dict[str, EntryForm] = {}
    tools: ToolsForm = ToolsForm()
    metrics: dict[str, MetricForm] = {}


def lock_path(file: str) -> Path:
    """`squad.recipe` has `squad.recipe.lock`; what a run keeps has `recipe.lock`."""
    path = Path(file)
    return path.with_name("recipe.lock") if path.name == "effective.recipe" else path.with_name(f"{path.name}.lock")


def read_lock(path: Path) -> Lock | None:
    """None where there is no file. E134 for one that is no lock."""
    try:
        data = read_bytes(path, MAX_BYTES)
    except Unreadable as error:
        if error.why is Why.MISSING:
            return None
        raise damaged(path.name, error.reason or f"it is {error.why.value}") from None
    return parse_lock(data, path.name)


def parse_lock(data: bytes, name: str) -> Lock:
    try:
        form = parse_model(data, LockForm, MAX_BYTES)
    except (ValueError, RecursionError) as error:
        raise damaged(name, str(error)) from None
    return Lock(**form.model_dump(exclude_unset=True, exclude={"lock"}))


def write_lock(lock: Lock, path: Path) -> None:
    """E084 when it cannot be written."""
    write_text(path, lock.text())


def differences(locked: Lock, found: Lock, *, varied: bool, strict: bool = True) -> list[str]:
    """What is not as it was locked, in words.

    `varied`: values were given on the command line, so the spec may differ. Unless `strict`, only what is in both is
    compared: a recipe that is being written changes, and what it refers to should not.
    """
    told = []
    for reference, entry in found.refs.items():
        if reference not in locked.refs:
            told += [f"`{reference}` is not in the lock"] if strict else []
        elif dict(locked.refs[reference]) != dict(entry):
            told.append(f"`{reference}` has changed")
    told += [
        f"`{r}` is in the lock but not in the recipe"
        for r in locked.refs
        if r not in found.refs and not varied and strict
    ]
    for metric, entry in found.metrics.items():
        if metric in locked.metrics and dict(locked.metrics[metric]) != dict(entry):
            told.append(f"the code of `{metric}` has changed")
    before: Mapping[str, str] = locked.tools.get("plugins", {})
    for plugin, version in found.tools.get("plugins", {}).items():
        if before.get(plugin, "" if strict else version) != version:
            then = f"locked is {before[plugin]}" if plugin in before else "it is not in the lock"
            told.append(f"`{plugin}` {version} is installed, and {then}")
    releases = str(locked.tools.get("recipelang", ""))
    if strict and Version(__version__).base_version not in SpecifierSet(releases):  # a candidate counts as its release
        told.append(f"the lock is for recipelang {releases}, this is {__version__}")
    if strict and not varied and not told and found.spec != locked.spec:
        told.append("the recipe has changed")
    return told


def stale(name: str, told: list[str], file: str = "FILE") -> RecipeError:
    return fail("E132", f"`{name}` no longer matches this recipe", notes=told[:6], help=_RENEW.format(file))


def missing(name: str, file: str) -> RecipeError:
    return fail("E132", f"there is no `{name}`", help=f"create it with `recipelang lock {file}`")


_RENEW = "`recipelang lock {}` renews it, if the change is intended"


def damaged(name: str, why: str) -> RecipeError:
    return fail("E134", f"`{name}` is not a lock", notes=[why], help="restore it, or delete it and lock again")


def _entries(entries: Mapping[str, Entry]) -> str:
    if not entries:
        return "{}"
    lines = (f"  {_line(name)}: {_line(entries[name])}" for name in sorted(entries))
    return "{\n" + ",\n".join(lines) + "}"


def _line(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=dict)

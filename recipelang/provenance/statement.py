"""A run statement read back from a folder, each part checked for its type before anything believes it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipelang.engine.statement import PREDICATE_TYPE, STATEMENT, STATEMENT_TYPE
from recipelang.provenance.safe_json import parse_object, read_bytes
from recipelang.source import RecipeError, fail
from recipelang.source.render import line_of

_HEX = re.compile(r"[0-9a-f]{64}")
#: beside the statement
SIGNATURE = "statement.sigstore.json"
#: files that one statement may name
MAX_FILES = 10_000


@dataclass(frozen=True)
class Statement:
    raw: bytes  # what a signature is of
    subjects: Mapping[str, str]  # file of the model -> sha256
    predicate: Mapping[str, Any]

    @property
    def files(self) -> dict[str, str]:
        """Everything it names: the model's files, then the others."""
        return {**self.subjects, **self.predicate.get("files", {})}

    @property
    def digests(self) -> Mapping[str, Any]:
        return self.predicate["digests"]


def statement_path(folder: Path) -> Path:
    return folder / "recipe" / STATEMENT


def read_statement(folder: Path) -> Statement:
    """E135 when there is none, E137 when it is damaged, E139 for a link in its place."""
    path = statement_path(folder)
    if os.path.islink(folder / "recipe"):
        raise fail("E139", "`recipe` is a symbolic link", help="copy the folder itself")
    if not os.path.lexists(path):
        help = "name the output folder of a finished `recipelang run`"
        raise fail("E135", f"`{line_of(str(folder))}` holds no run statement", help=help)
    return parse_statement(read_bytes(path))


def parse_statement(data: bytes) -> Statement:
    found = parse_object(data, STATEMENT)
    if found.get("_type") != STATEMENT_TYPE or found.get("predicateType") != PREDICATE_TYPE:
        raise _damaged("it is not the statement of a run")
    predicate, subjects = found.get("predicate"), found.get("subject")
    if not isinstance(predicate, dict) or not isinstance(subjects, list) or not subjects:
        raise _damaged("it has no subjects, or says nothing of them")
    named: dict[str, str] = {}
    for subject in subjects:
        digest = subject.get("digest") if isinstance(subject, dict) else None
        name = subject.get("name") if isinstance(subject, dict) else None
        if not isinstance(digest, dict) or not isinstance(name, str) or name in named:
            raise _damaged("a subject has no name of its own, or no digest")
        if digest.keys() - {"sha256"}:
            raise _damaged(f"`{line_of(name[:60])}` has more digests than the sha256, and no run writes them")
        named[name] = digest.get("sha256")  # type: ignore[assignment]
    _check(predicate)
    for name, digest in (*named.items(), *predicate["files"].items()):
        if not isinstance(digest, str) or not _HEX.fullmatch(digest):
            raise _damaged(f"`{line_of(name[:60])}` has no sha256")
        if name in named and name in predicate["files"]:
            raise _damaged(f"it names `{line_of(name[:60])}` twice")
        if not plain(name):
            raise fail("E139", f"the statement names `{line_of(name[:60])}`, which leads out of the folder")
    if len(named) + len(predicate["files"]) > MAX_FILES:
        raise _damaged(f"it names more than {MAX_FILES:,} files")
    return Statement(data, named, predicate)


def plain(name: str) -> bool:
    """A relative path that stays below where it starts, on every system."""
    parts = name.split("/")
    return not re.search(r"[\\:\0]", name) and all(p not in ("", ".", "..") for p in parts) and len(name) < 1024


def _check(predicate: dict[str, Any]) -> None:
    """Types of all that is used; numbers within what they count."""
    if predicate.get("format_version") != "1.0":
        raise _damaged("it is of another format, or does not say of which")
    for key in ("digests", "parameters", "contents", "environment", "metrics", "tensors", "patterns", "never", "files"):
        if not isinstance(predicate.get(key), dict):
            raise _damaged(f"`{key}` is missing")
    if not isinstance(predicate.get("claims"), list) or not all(isinstance(c, dict) for c in predicate["claims"]):
        raise _damaged("`claims` is no list of claims")
    if not isinstance(predicate.get("name"), str) or not isinstance(predicate.get("status"), str):
        raise _damaged("`name` or `status` is missing")
    if (steps := predicate.get("rehearsal")) is not None and not (_count(steps) and steps):
        raise _damaged("`rehearsal` is not a number of steps")
    if not all(isinstance(predicate["digests"].get(k), str) for k in ("spec", "behaviour", "run")):
        raise _damaged("it lacks a digest")
    if not all(isinstance(v, int | float) and not isinstance(v, bool) for v in predicate["metrics"].values()):
        raise _damaged("a metric is no number")
    if not all(isinstance(v, str) for v in predicate["contents"].values()):
        raise _damaged("a digest of `contents` is no text")
    for counted in predicate["tensors"].values():
        if not isinstance(counted, dict) or not all(_count(counted.get(k)) for k in ("zeros", "size")):
            raise _damaged("the zeros of a tensor are no number")
    if not all(_count(v) for v in predicate["never"].values()):
        raise _damaged("the zeros of a protected tensor are no number")
    if not all(isinstance(v, list) and all(isinstance(p, str) for p in v) for v in predicate["patterns"].values()):
        raise _damaged("a pattern is no text")


def _count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53


def _damaged(why: str) -> RecipeError:
    help = "copy or download it again, from where the run was published"
    return fail("E137", "the run statement cannot be used", notes=[why], help=help)

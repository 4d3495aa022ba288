"""A run statement read back from a folder: a model, so that each part is checked before anything believes it."""

from __future__ import annotations

import collections
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from recipelang.engine.record_form import ClaimForm, Environment
from recipelang.engine.statement import STATEMENT, InToto, OfRun
from recipelang.provenance.safe_json import read_bytes
from recipelang.source import RecipeError, fail
from recipelang.source.render import line_of
from recipelang.storage.forms import Count, Digest, Form, Hex, OpenForm, Some
from recipelang.storage.strict_json import parse_model

#: beside the statement
SIGNATURE = "statement.sigstore.json"
#: files that one statement may name
MAX_FILES = 10_000


#: of weights
Weights = Annotated[Count, Field(lt=2**53)]


class Sha256(Form):
    """No run writes other digests beside it, and nobody would compare them."""

    sha256: Hex


class Subject(OpenForm):
    name: str
    digest: Sha256


class Counted(OpenForm):
    zeros: Weights
    size: Weights

    @model_validator(mode="after")
    def _holds_its_zeros(self) -> Self:
        if self.zeros > self.size:
            raise ValueError("`zeros` are more than its `size`")
        return self


class DigestsForm(OpenForm):
    spec: Digest
    behaviour: Digest
    run: Digest
    model: str = ""
    lock: Digest | None = None
    event_log: str = ""


class PredicateForm(OpenForm):
    format_version: Literal["1.0"]
    name: str
    version: str | None = None
    status: str
    rehearsal: Some | None = None
    digests: DigestsForm
    seed: int = 0
    stage_seeds: dict[str, int] = {}
    parameters: dict[str, str]
    references: dict[str, str] = {}
    contents: dict[str, Digest]
    environment: Environment
    time: str = ""
    metrics: dict[str, float]
    claims: list[ClaimForm]
    figures: dict[str, Annotated[float, Field(ge=0)]] = {}
    tensors: dict[str, Counted]
    patterns: dict[str, list[str]]
    never: dict[str, Weights]
    files: dict[str, Hex]


class StatementForm(OpenForm):
    type: InToto = Field(alias="_type")
    predicateType: OfRun
    subject: Annotated[list[Subject], Field(min_length=1)]
    predicate: PredicateForm

    def named(self) -> list[str]:
        return [*(s.name for s in self.subject), *self.predicate.files]

    @model_validator(mode="after")
    def _names_each_once(self) -> Self:
        names = self.named()
        if len(names) > MAX_FILES:
            raise ValueError(f"it names more than {MAX_FILES:,} files")
        if twice := next((n for n, times in collections.Counter(names).items() if times > 1), None):
            raise ValueError(f"it names `{line_of(twice[:60])}` twice")
        return self


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
    try:
        form = parse_model(data, StatementForm)
    except ValueError as error:
        raise _damaged(str(error)) from None
    for name in form.named():
        if not plain(name):
            raise fail("E139", f"the statement names `{line_of(name[:60])}`, which is outside the folder")
    subjects = {s.name: s.digest.sha256 for s in form.subject}
    return Statement(data, subjects, form.predicate.model_dump(exclude_unset=True))


def plain(name: str) -> bool:
    """A relative path that stays below where it starts, on every system."""
    parts = name.split("/")
    return not re.search(r"[\\:\0]", name) and all(p not in ("", ".", "..") for p in parts) and len(name) < 1024


def _damaged(why: str) -> RecipeError:
    help = "copy or download it again from where the run was published"
    return fail("E137", "the run statement cannot be used", notes=[why], help=help)

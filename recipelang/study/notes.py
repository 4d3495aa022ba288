"""Which job of a cluster a run of a study is, for the study that is repeated. Loads no torch: `--plan` reads them too."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from recipelang.storage.forms import Form, MaybeDigest
from recipelang.storage.reading import Unreadable, Why, read_model
from recipelang.storage.writing import remove


class NoteForm(Form):
    """`jobs/VARIANT.json`: which job a run is, and of what."""

    format_version: Literal["1.0"] = "1.0"
    job: Annotated[str, Field(pattern=r"^[0-9A-Za-z_]{1,40}$")]
    spec: MaybeDigest


def note_of(out: Path, name: str) -> Path:
    return out / "jobs" / f"{name}.json"


def read_note(out: Path, name: str) -> NoteForm | None:
    """E137 for one that is none of ours."""
    try:
        return read_model(note_of(out, name), NoteForm, inside=out)
    except Unreadable as error:
        if error.why is Why.MISSING:
            return None
        raise error.coded("E137", help="remove it; `squeue --me` lists your jobs") from None


def forget(out: Path, name: str) -> None:
    remove(note_of(out, name), inside=out)

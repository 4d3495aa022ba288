"""What was pulled, kept on this machine: blobs by digest, what tags named, what was run. Reading needs no network."""

from __future__ import annotations

from pathlib import Path

from recipelang.artifact import manifest as m
from recipelang.artifact.address import Reference
from recipelang.artifact.contents import Artifact, unpack
from recipelang.planning.remembered import cache_folder
from recipelang.source import RecipeError
from recipelang.storage.forms import Digest, Form
from recipelang.storage.reading import Unreadable, read_bytes, read_model
from recipelang.storage.strict_json import canonical_json
from recipelang.storage.writing import make_folder, write_bytes

#: a reference and a digest
_MAX_NOTE = 4096
_ELSEWHERE = "set `RECIPELANG_CACHE` to a folder with free space"


class Note(Form):
    """What a reference named when it was pulled."""

    reference: str
    manifest: Digest


def keep(artifact: Artifact, *references: Reference) -> None:
    """Keep an artifact, and that these references name it. The manifest comes last: with it the rest is there."""
    for digest, data in artifact.blobs.items():
        put(digest, data)
    put(artifact.digest, artifact.data)
    for reference in references:
        if not reference.digest:
            _write(_note(reference), canonical_json({"reference": str(reference), "manifest": artifact.digest}))


def put(digest: str, data: bytes) -> None:
    if get(digest) is None:  # a damaged one is written again
        _write(_blob(digest), data)


def get(digest: str) -> bytes | None:
    """The bytes of a blob, if they are here and whole."""
    try:
        data = read_bytes(_blob(digest), m.MAX_BLOB)
    except Unreadable:
        return None
    return data if m.sha256(data) == digest else None


def stored(digest: str) -> Artifact | None:
    """An artifact by the digest of its manifest; none when a part is missing or damaged."""
    data = get(digest)
    if data is None or len(data) > m.MAX_MANIFEST:
        return None
    try:
        return unpack(data, digest, lambda d: get(d.digest) or b"")
    except RecipeError as error:
        if all(d.code == "E125" for d in error.diagnostics):
            return None
        raise


def named(reference: Reference) -> str:
    """The digest of the manifest that a reference named when it was pulled; empty when it never was."""
    if reference.digest:
        return reference.digest
    try:
        note = read_model(_note(reference), Note, _MAX_NOTE)
    except Unreadable:
        return ""
    return note.manifest if note.reference == str(reference) else ""


def known() -> list[str]:
    """Every reference that was pulled or pushed here, as it was typed."""
    found = []
    for note in sorted((_root() / "names").glob("*")):
        try:
            found.append(read_model(note, Note, _MAX_NOTE).reference)
        except Unreadable:
            continue
    return sorted(found)


def was_run(digest: str) -> bool:
    return _seen(digest).exists()


def note_run(digest: str) -> None:
    _write(_seen(digest), b"")


def _root() -> Path:
    return cache_folder() / "artifacts"


def _blob(digest: str) -> Path:
    return _root() / "blobs" / "sha256" / digest.removeprefix("sha256:")


def _seen(digest: str) -> Path:
    return _root() / "run" / digest.removeprefix("sha256:")


def _note(reference: Reference) -> Path:
    return _root() / "names" / m.sha256(str(reference).encode()).removeprefix("sha256:")


def _write(path: Path, data: bytes) -> None:
    make_folder(path.parent, elsewhere=_ELSEWHERE)
    write_bytes(path, data, elsewhere=_ELSEWHERE)

"""An OCI image layout: a folder with `oci-layout`, `index.json` and blobs by their digest."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from recipelang.artifact import manifest as m
from recipelang.artifact.address import DIGEST
from recipelang.artifact.contents import Artifact, not_the_same, unpack
from recipelang.artifact.referrers import BUNDLE, MOST, STATEMENT, Referrer, read_referrer, write_referrer
from recipelang.engine.files import only_one
from recipelang.source import RecipeError, fail
from recipelang.storage.forms import OpenForm
from recipelang.storage.reading import Unreadable, Why, open_regular
from recipelang.storage.strict_json import canonical_json
from recipelang.storage.writing import write_bytes

_MARK = "oci-layout"
_NAME = "org.opencontainers.image.ref.name"
_MAX_INDEX = 2**20
_ELSEWHERE = "choose another folder"


class Mark(OpenForm):
    imageLayoutVersion: Literal["1.0.0"]


def is_layout(folder: Path) -> bool:
    return os.path.isfile(folder / _MARK)  # `Path` fails for a name that is too long, or a folder that is closed


def write_layout(artifact: Artifact, folder: Path, tag: str) -> bool:
    """Add a recipe to a layout, or begin one; whether it was new. E124 when the tag names other content, E085
    when the folder holds something else.

    Blobs first and the index last: what is cut off in between leaves a layout that does not know of it.
    Others may push into the same folder: one waits for the other, or the index would lose a version. E085 when one
    is at it.
    """
    if os.path.lexists(folder) and not is_layout(folder) and not is_empty(folder):
        raise fail("E085", f"`{folder}` is not empty and is not a layout of recipes", help="name a new or empty folder")
    with only_one(folder, _ELSEWHERE):
        entries = _entries(folder) if is_layout(folder) else []
        for entry in entries:
            if tag and _tag(entry) == tag and entry.digest != artifact.digest:
                raise published(f"`{folder}`", tag)
        _write(
            folder, folder / _MARK, canonical_json({"imageLayoutVersion": "1.0.0"})
        )  # first: what is cut off can be gone on with
        return _add(folder, entries, artifact.data, artifact.blobs, m.RECIPE, tag)


def is_empty(folder: Path) -> bool:
    try:
        return not any(folder.iterdir())
    except OSError:
        return False  # a file, or closed to us


def attach(subject: Artifact, folder: Path, referrer: Referrer) -> None:
    """Put something that speaks of a recipe beside it."""
    data, blobs = write_referrer(subject, referrer)
    with only_one(folder, _ELSEWHERE):
        _add(folder, _entries(folder), data, blobs, referrer.artifact_type, "")


def referrers(folder: Path, subject: str) -> list[Referrer]:
    """What speaks of a manifest, of the types that we know. E122, E123, E125."""
    found = []
    for digest in [e.digest for e in _entries(folder) if e.artifactType in (STATEMENT, BUNDLE)][:MOST]:
        if not DIGEST.fullmatch(digest):
            raise m.not_a_recipe("the index lists an entry without a sha256 digest")
        data = _read(folder, _blob(folder, digest), m.MAX_MANIFEST)
        if m.sha256(data) != digest:
            raise not_the_same("a referrer", digest, m.sha256(data))
        found.append(read_referrer(data, subject, lambda d: _read(folder, _blob(folder, d.digest), d.size)))
    return [r for r in found if r is not None and r.artifact_type in (STATEMENT, BUNDLE)]


def _is_recipe(entry: m.Entry) -> bool:
    """Other tools leave the type out of the index; the manifest itself is asked when it is read."""
    return entry.mediaType == m.MANIFEST and entry.artifactType in (None, m.RECIPE)


def _add(folder: Path, entries: list[m.Entry], data: bytes, blobs: Mapping[str, bytes], kind: str, tag: str) -> bool:
    """Whether it was new. An entry of this content that tells another type or size than it has gives way."""
    new = m.entry(data, kind, {_NAME: tag} if tag else None)
    for name, blob in {**blobs, new.digest: data}.items():
        _write(folder, _blob(folder, name), blob)
    same = [e for e in entries if _tag(e) == tag and e.digest == new.digest]
    told = (new.mediaType, kind, new.size)
    true = [e for e in same if (e.mediaType, e.artifactType or kind, e.size) == told]
    if true and len(true) == len(same):
        return False
    index = m.Index(schemaVersion=2, manifests=[*(e for e in entries if e not in same), new])
    _write(folder, folder / "index.json", index.text())
    return True


def read_layout(folder: Path, tag: str = "") -> Artifact:
    """The recipe of this tag or digest; without one the only recipe there is. E122, E123, E125, E130."""
    entries = [e for e in _entries(folder) if _is_recipe(e)]
    found = [e for e in entries if not tag or tag in (_tag(e), e.digest)]
    digests = list(dict.fromkeys(e.digest for e in found))
    if len(digests) != 1:
        there = ", ".join(f"`{_tag(e) or e.digest}`"[:90] for e in entries[:8]) or "nothing"
        many = f"{len(digests)} recipes" if digests else "no recipe"
        message = f"`{folder}` holds no recipe `{tag}`" if tag else f"`{folder}` holds {many}"
        named = f"{folder}:{_tag(entries[0])}" if entries and _tag(entries[0]) else f"{folder}@sha256:..."
        help = (
            f"name one, as in `{named}`" if entries else "publish one there with `recipelang push FILE` and this folder"
        )
        raise fail("E130", message, help=help, notes=[f"it holds {there}"])
    if not DIGEST.fullmatch(digests[0]):
        raise m.not_a_recipe("the index lists an entry without a sha256 digest")
    data = _read(folder, _blob(folder, digests[0]), m.MAX_MANIFEST)
    if any(e.size != len(data) for e in found):
        raise m.not_a_recipe(f"its manifest has {len(data):,} bytes, but the index gives another size")
    return unpack(data, digests[0], lambda d: _read(folder, _blob(folder, d.digest), d.size))


def versions(folder: Path) -> list[str]:
    """Tags of the recipes in a layout, or digests where they have none; each recipe once, in the order of the index."""
    found = {entry.digest: _tag(entry) or entry.digest for entry in _entries(folder) if _is_recipe(entry)}
    return list(found.values())


def published(where: str, version: str) -> RecipeError:
    return fail(
        "E124",
        f"{where} already has a different recipe as `{version}`",
        help="raise `version` in `meta`: published versions do not change",
        notes=["others may have pinned it and rely on it"],
    )


def _entries(folder: Path) -> list[m.Entry]:
    _form(folder, _MARK, Mark)
    if not os.path.lexists(folder / "index.json"):
        return []  # begun, and cut off
    return _form(folder, "index.json", m.Index).manifests


def _form(folder: Path, name: str, form: type[m.M]) -> m.M:
    return m.sound(_read(folder, folder / name, _MAX_INDEX), form, f"`{name}` of `{folder}`", _MAX_INDEX)


def _tag(entry: m.Entry) -> str:
    return (entry.annotations or {}).get(_NAME, "")


def _blob(folder: Path, digest: str) -> Path:
    return folder / "blobs" / "sha256" / digest.removeprefix("sha256:")


def _write(folder: Path, path: Path, data: bytes) -> None:
    write_bytes(path, data, inside=folder, elsewhere=_ELSEWHERE)


def _read(folder: Path, path: Path, limit: int) -> bytes:
    """A regular file; one byte more than `limit` tells a longer one. E123 for a link or pipe, E125 without one."""
    try:
        with open_regular(path, inside=folder) as file:
            return file.read(limit + 1)
    except Unreadable as error:
        if error.why in (Why.LINK, Why.IRREGULAR, Why.FOLDER):
            raise fail("E123", f"`{path.name[:19]}` of the layout is a link or not a regular file") from None
        raise fail(
            "E125",
            f"`{path.name[:19]}` of the layout does not exist",
            notes=[error.reason or "no such file or directory"],
        ) from None

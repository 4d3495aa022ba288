"""The manifest of a recipe: an OCI image manifest 1.1 that names each file by its digest."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from recipelang.artifact.address import DIGEST
from recipelang.artifact.titles import check_titles
from recipelang.source import RecipeError, fail
from recipelang.storage.strict_json import canonical_json, parse_json

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
RECIPE = "application/vnd.recipelang.recipe.v1"
SPEC = "application/vnd.recipelang.spec.v1+json"
SOURCE = "application/vnd.recipelang.source.v1"
LIBRARY = "application/vnd.recipelang.library.v1"
LOCK = "application/vnd.recipelang.lock.v1+json"
README = "text/markdown"
EMPTY = "application/vnd.oci.empty.v1+json"
LAYERS = (SOURCE, LIBRARY, LOCK, README)

TITLE = "org.opencontainers.image.title"

#: of what is read from elsewhere
MAX_MANIFEST = 256 * 1024
MAX_LAYERS = 48
MAX_BLOB = 2 * 2**20
MAX_TOTAL = 8 * 2**20

_NOTHING: Mapping[str, str] = MappingProxyType({})


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class Descriptor:
    """What a manifest says of one blob."""

    media_type: str
    digest: str
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return self.annotations.get(TITLE, "")

    def form(self) -> dict[str, object]:
        form: dict[str, object] = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        return {**form, "annotations": dict(self.annotations)} if self.annotations else form


@dataclass(frozen=True)
class Manifest:
    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: Mapping[str, str]

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """Every blob once, the config first."""
        return tuple({d.digest: d for d in (self.config, *self.layers)}.values())


def describe(media_type: str, data: bytes, title: str = "") -> Descriptor:
    return Descriptor(media_type, sha256(data), len(data), {TITLE: title} if title else _NOTHING)


def write_manifest(config: Descriptor, layers: Sequence[Descriptor], annotations: Mapping[str, str]) -> bytes:
    form = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": RECIPE,
        "config": config.form(),
        "layers": [layer.form() for layer in layers],
        "annotations": dict(annotations),
    }
    return canonical_json(form)


def read_manifest(data: bytes) -> Manifest:
    """E122 for what is no recipe, or larger than recipes are; E123 for names of files that are not safe."""
    try:
        form = parse_json(data, MAX_MANIFEST)
    except (ValueError, RecursionError) as error:
        raise not_a_recipe(f"its manifest cannot be read: {_reason(error)}") from None
    if not isinstance(form, dict) or form.get("schemaVersion") != 2:
        raise not_a_recipe("its manifest is not an OCI image manifest")
    for key, wanted in (("mediaType", MANIFEST), ("artifactType", RECIPE)):
        if form.get(key) != wanted:
            raise not_a_recipe(f"its `{key}` is `{str(form.get(key))[:80]}`, a recipe's is `{wanted}`")
    config = _descriptor(form.get("config"), (SPEC, EMPTY))
    layers = form.get("layers")
    if not isinstance(layers, list) or not 0 < len(layers) <= MAX_LAYERS:
        raise not_a_recipe(f"it has no files, or more than {MAX_LAYERS}")
    read = tuple(_descriptor(layer, LAYERS) for layer in layers)
    if read[0].media_type != SOURCE:
        raise not_a_recipe("its first file is not a recipe")
    if sum(d.media_type == LOCK for d in read) > 1:
        raise not_a_recipe("it has two locks")
    if config.size + sum(d.size for d in read) > MAX_TOTAL:
        raise not_a_recipe(f"its files are larger than {MAX_TOTAL // 2**20} MiB together")
    check_titles(d.title for d in read)
    return Manifest(config, read, _strings(form.get("annotations", {})))


def not_a_recipe(why: str) -> RecipeError:
    help = "ask who published it; `recipelang push` makes one"
    return fail("E122", "this artifact is not a sound recipe", notes=[why], help=help)


def read_descriptor(form: Any) -> Descriptor:
    """Of any type, as what speaks of a recipe has."""
    if not isinstance(form, dict) or not isinstance(form.get("mediaType"), str):
        raise not_a_recipe("a part of its manifest is missing")
    return _descriptor(form, (form["mediaType"],))


def _descriptor(form: Any, types: tuple[str, ...]) -> Descriptor:
    if not isinstance(form, dict):
        raise not_a_recipe("a part of its manifest is missing")
    media_type, digest, size = (form.get(key) for key in ("mediaType", "digest", "size"))
    if media_type not in types:
        raise not_a_recipe(f"it holds a file of the type `{str(media_type)[:80]}`")
    if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
        raise not_a_recipe("a file in it has no sha256 digest")
    if type(size) is not int or not 0 <= size <= MAX_BLOB:
        raise not_a_recipe(f"a file in it has no size, or more than {MAX_BLOB // 2**20} MiB")
    if "urls" in form or "data" in form:
        raise not_a_recipe("it takes a file from elsewhere")
    return Descriptor(str(media_type), digest, size, _strings(form.get("annotations", {})))


def _strings(form: Any) -> dict[str, str]:
    if not isinstance(form, dict) or not all(isinstance(v, str) for v in form.values()):
        raise not_a_recipe("its annotations are not texts")
    return form


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)[:120]

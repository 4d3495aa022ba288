"""The manifest of a recipe: an OCI image manifest 1.1 that names each file by its digest."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Self, TypeVar

from pydantic import Field, ValidationError, model_validator

from recipelang.artifact.titles import check_titles
from recipelang.source import RecipeError, fail
from recipelang.source.words import limit_text
from recipelang.storage.forms import Count, Digest, OpenForm, known
from recipelang.storage.strict_json import canonical_json, first_wrong, parse_model

M = TypeVar("M", bound=OpenForm)

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


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Descriptor(OpenForm):
    """What a manifest says of one blob."""

    media_type: str = Field(alias="mediaType")
    digest: Digest
    size: Annotated[Count, Field(le=MAX_BLOB)]
    annotations: dict[str, str] = {}

    @property
    def title(self) -> str:
        return self.annotations.get(TITLE, "")

    def form(self) -> dict[str, object]:
        return self.model_dump(by_alias=True, exclude_defaults=True)

    @model_validator(mode="after")
    def _is_here(self) -> Self:
        if self.model_extra and self.model_extra.keys() & {"urls", "data"}:
            raise ValueError("it uses a file from outside the artifact")
        return self


class Meaning(Descriptor):
    media_type: Annotated[str, known(SPEC, EMPTY)] = Field(alias="mediaType")


class Layer(Descriptor):
    media_type: Annotated[str, known(*LAYERS)] = Field(alias="mediaType")


class Manifest(OpenForm):
    schemaVersion: Literal[2]
    mediaType: Annotated[str, known(MANIFEST)]
    artifactType: Annotated[str, known(RECIPE)]
    config: Meaning
    layers: Annotated[tuple[Layer, ...], Field(min_length=1, max_length=MAX_LAYERS)]
    annotations: dict[str, str] = {}

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """Every blob once, the config first."""
        return tuple({d.digest: d for d in (self.config, *self.layers)}.values())

    @model_validator(mode="after")
    def _is_of_a_recipe(self) -> Self:
        if self.layers[0].media_type != SOURCE:
            raise ValueError("its first file is not a recipe")
        if sum(d.media_type == LOCK for d in self.layers) > 1:
            raise ValueError("it has two locks")
        if self.config.size + sum(d.size for d in self.layers) > MAX_TOTAL:
            raise ValueError(f"its files are larger than {limit_text(MAX_TOTAL)} together")
        return self


class Listed(OpenForm):
    """What a registry must say of a manifest that speaks of another."""

    digest: Annotated[str, Field(pattern=r"^[a-z0-9+._-]+:[A-Za-z0-9=_-]+$")]
    artifactType: str | None = None


class Listing(OpenForm):
    manifests: list[Listed]


class Entry(Listed):
    """What an index says of a manifest, also of one that is none of ours."""

    mediaType: str
    size: int | str | None = None  # what it lies about is told where the manifest is read, and mended by a push
    annotations: dict[str, str] | None = None


class Index(OpenForm):
    schemaVersion: Literal[2]
    mediaType: Annotated[str, known(INDEX)] = INDEX
    manifests: list[Entry]

    def text(self) -> bytes:
        return canonical_json({**self.model_dump(exclude_unset=True), "mediaType": INDEX})


def describe(media_type: str, data: bytes, title: str = "") -> Descriptor:
    """E122 for what is larger than its readers take."""
    form = {"mediaType": media_type, "digest": sha256(data), "size": len(data)}
    try:
        return Descriptor.model_validate({**form, "annotations": {TITLE: title} if title else {}})
    except ValidationError as error:
        raise not_a_recipe(f"`{title or media_type}` cannot be a part of it: {first_wrong(error)}") from None


def entry(data: bytes, artifact_type: str, annotations: Mapping[str, str] | None = None) -> Entry:
    """What an index says of a manifest of ours."""
    form = {"mediaType": MANIFEST, "artifactType": artifact_type, "digest": sha256(data), "size": len(data)}
    return Entry.model_validate({**form, **({"annotations": dict(annotations)} if annotations else {})})


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
    found = sound(data, Manifest, "its manifest")
    check_titles(d.title for d in found.layers)
    return found


def sound(data: bytes, form: type[M], what: str, limit: int = MAX_MANIFEST) -> M:
    """E122 names the field that is wrong."""
    try:
        return parse_model(data, form, limit)
    except (ValueError, RecursionError) as error:
        raise not_a_recipe(f"{what} cannot be used: {error}") from None


def not_a_recipe(why: str) -> RecipeError:
    help = "ask the publisher; `recipelang push` creates a valid artifact"
    return fail("E122", "this artifact is not a valid recipe", notes=[why], help=help)

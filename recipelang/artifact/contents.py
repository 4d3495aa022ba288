"""A recipe as one thing: its files, what they mean, and the manifest over both. Every digest is checked on reading."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from recipelang.artifact import manifest as m
from recipelang.source import RecipeError, fail
from recipelang.source.words import limit_text

#: gives the bytes of a blob
Fetch = Callable[[m.Descriptor], bytes]


@dataclass(frozen=True)
class Artifact:
    """`data` is the manifest as it was written; `blobs` are by digest."""

    data: bytes = field(repr=False)
    manifest: m.Manifest
    blobs: Mapping[str, bytes] = field(repr=False)

    @property
    def digest(self) -> str:
        return m.sha256(self.data)

    @property
    def spec(self) -> str:
        """The digest of what the recipe says; empty of a base or library, which says nothing by itself yet."""
        return self.manifest.config.digest if self.manifest.config.media_type == m.SPEC else ""

    @property
    def version(self) -> str:
        return self.manifest.annotations.get("org.opencontainers.image.version", "")

    @property
    def name(self) -> str:
        return self.manifest.annotations.get(m.TITLE, "")

    @property
    def entry(self) -> str:
        """The title of the recipe itself; the others are what it builds on."""
        return self.manifest.layers[0].title

    @property
    def lock(self) -> bytes | None:
        found = next((d for d in self.manifest.layers if d.media_type == m.LOCK), None)
        return None if found is None else self.blobs[found.digest]

    def files(self, *types: str) -> dict[str, bytes]:
        """Title -> bytes, of these media types or of all."""
        layers = (d for d in self.manifest.layers if not types or d.media_type in types)
        return {d.title: self.blobs[d.digest] for d in layers}


@dataclass(frozen=True)
class File:
    title: str
    data: bytes = field(repr=False)
    media_type: str = m.SOURCE


def pack(files: Sequence[File], config: bytes | None, annotations: Mapping[str, str]) -> Artifact:
    """`config` is the canonical spec; none of a recipe that lacks values. The same files give the same digest."""
    meaning = b"{}" if config is None else config
    head = m.describe(m.EMPTY if config is None else m.SPEC, meaning)
    layers = [m.describe(f.media_type, f.data, f.title) for f in files]
    data = m.write_manifest(head, layers, annotations)
    blobs = {head.digest: meaning, **{d.digest: f.data for d, f in zip(layers, files, strict=True)}}
    return Artifact(data, m.read_manifest(data), blobs)  # held to what a reader demands


def unpack(data: bytes, wanted: str, fetch: Fetch) -> Artifact:
    """From a manifest and a place that has the blobs. E122, E123, E125. `wanted`: the digest asked for, or empty."""
    if len(data) > m.MAX_MANIFEST:
        raise m.not_a_recipe(f"its manifest is larger than {limit_text(m.MAX_MANIFEST)}")
    if wanted and m.sha256(data) != wanted:
        raise not_the_same("the manifest", wanted, m.sha256(data))
    manifest = m.read_manifest(data)
    return Artifact(data, manifest, {d.digest: checked(d, fetch(d)) for d in manifest.blobs})


def checked(wanted: m.Descriptor, data: bytes) -> bytes:
    if len(data) != wanted.size or m.sha256(data) != wanted.digest:
        what, more = f"`{wanted.title}`" if wanted.title else "the spec", len(data) > wanted.size
        sizes = f"expected {wanted.size:,} bytes, found {'more' if more else f'{len(data):,}'}"
        raise not_the_same(what, wanted.digest, m.sha256(data), sizes if len(data) != wanted.size else "")
    return data


def not_the_same(what: str, wanted: str, found: str, sizes: str = "") -> RecipeError:
    """`sizes`: of one that is longer only the beginning was read, so that its digest says nothing."""
    return fail(
        "E125",
        f"{what} does not match its digest",
        notes=[sizes or f"expected {wanted[:19]}, found {found[:19]}"],
        help="it was damaged or changed in transit; nothing of it is used",
    )

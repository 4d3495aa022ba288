"""Where a recipe is pushed to: a folder, a registry, the Hub."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from recipelang.artifact import cache, hub
from recipelang.artifact.contents import Artifact
from recipelang.artifact.fetch import Fetching
from recipelang.artifact.layout import is_layout, read_layout, write_layout
from recipelang.artifact.packing import tag_of
from recipelang.artifact.reference import is_remote, parse_reference
from recipelang.artifact.registry import Referrer, Registry
from recipelang.source import fail

#: of a statement of how a run went, as in-toto defines them
STATEMENT = "application/vnd.in-toto+json"


@dataclass(frozen=True)
class Pushed:
    where: str  # a reference for others to type
    pinned: str  # the same by digest
    new: bool


def push(
    artifact: Artifact, target: str, allowed: frozenset[str] = frozenset(), statement: bytes | None = None
) -> Pushed:
    """`target`: `FOLDER`, `oci://host/name[:tag]`, `hf://owner/name`. E120 to E130."""
    tag = tag_of(artifact)
    if not is_remote(target):
        folder = Path(target)
        return Pushed(f"{folder}" + (f":{tag}" if tag else ""), artifact.digest, write_layout(artifact, folder, tag))
    reference = parse_reference(target)
    if reference.digest:
        raise fail("E120", "a digest is what comes out, not where to push", help="name a version, or nothing")
    tag = reference.version or tag
    if not tag:
        help = 'give it one: `meta { version = "1.0.0" }`, or name a tag behind the reference'
        raise fail("E120", "this recipe has no version to be published as", help=help)
    place = replace(reference, version=tag)
    if reference.scheme == "hf":
        card = next((t.decode("utf-8") for n, t in artifact.files().items() if n == "README.md"), "")
        new = hub.push(artifact, reference, tag, card)
    else:
        registry = Registry(reference, allowed)
        new = registry.push(artifact, tag)
        if statement is not None:
            registry.attach(artifact, Referrer(STATEMENT, ((STATEMENT, statement),)))
    cache.keep(artifact, place)
    pinned = replace(place, version="", digest=artifact.digest) if reference.scheme == "oci" else place
    return Pushed(str(place), str(pinned), new)


def get(source: str, fetching: Fetching, *, upgrade: bool = False) -> Artifact:
    """From where `push` has put it. A folder may be followed by `:TAG`."""
    if is_remote(source):
        return fetching.fetch(source, upgrade=upgrade)
    folder, _, tag = (source, "", "") if is_layout(Path(source)) else source.rpartition(":")
    if not folder or not is_layout(Path(folder)):
        help = "name an `oci://` or `hf://` reference, or a folder that `recipelang push` made"
        raise fail("E130", f"`{source[:120]}` is no folder of recipes", help=help)
    return fetching.take(source, read_layout(Path(folder), tag))

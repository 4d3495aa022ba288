"""The places that a recipe can be pushed to, and read from: a folder, a registry, the Hub."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from recipelang.artifact import cache, hub, layout
from recipelang.artifact.address import DIGEST, is_remote, parse_reference
from recipelang.artifact.contents import Artifact
from recipelang.artifact.fetch import Fetching
from recipelang.artifact.layout import is_layout, read_layout, write_layout
from recipelang.artifact.packing import tag_of
from recipelang.artifact.referrers import Referrer
from recipelang.artifact.registry import Registry
from recipelang.source import RecipeError, fail


@dataclass(frozen=True)
class Pushed:
    where: str  # a reference for others to type
    pinned: str  # the same by digest
    new: bool


def push(
    artifact: Artifact, target: str, allowed: frozenset[str] = frozenset(), said: Sequence[Referrer] = ()
) -> Pushed:
    """`target`: `FOLDER`, `oci://host/name[:tag]`, `hf://owner/name`; `said`: of this recipe. E120 to E130."""
    tag = tag_of(artifact)
    if not is_remote(target):
        folder = Path(target)
        there, new = _send(
            artifact, said, lambda: write_layout(artifact, folder, tag), lambda: read_layout(folder, tag)
        )
        for referrer in said:
            attach(there, target, referrer, allowed)
        return Pushed(f"{folder}" + (f":{tag}" if tag else ""), f"{folder}@{there.digest}", new)
    reference = parse_reference(target)
    if reference.digest:
        raise fail("E120", "a digest is the result of a push, not a target", help="write a version, or nothing")
    tag = reference.version or tag
    if not tag:
        help = 'add `meta { version = "1.0.0" }`, or append a tag to the reference'
        raise fail("E120", "this recipe has no version to publish", help=help)
    place = replace(reference, version=tag)
    cache.keep(artifact)  # first: where that cannot be, nothing is published and then told as a failure
    if reference.scheme == "hf":
        card = next((t.decode("utf-8") for n, t in artifact.files().items() if n == "README.md"), "")
        there, new = _send(artifact, said, lambda: hub.push(artifact, reference, tag, card), lambda: hub.pull(place)[0])
    else:
        registry = Registry(reference, allowed)
        there, new = _send(artifact, said, lambda: registry.push(artifact, tag), lambda: registry.pull(tag))
    for referrer in said:
        attach(there, target, referrer, allowed)
    if there is artifact:
        cache.keep(artifact, place)
    pinned = replace(place, version="", digest=there.digest) if reference.scheme == "oci" else place
    return Pushed(str(place), str(pinned), new)


def _send(
    artifact: Artifact, said: Sequence[Referrer], send: Callable[[], bool], read: Callable[[], Artifact]
) -> tuple[Artifact, bool]:
    """What is there now, and whether it is new. E124 when that is another recipe.

    A run knows what its recipe says, not how it was written: what is said of it goes to the files that are there, when
    they mean the same.
    """
    try:
        return artifact, send()
    except RecipeError as error:
        if not said or any(d.code != "E124" for d in error.diagnostics):
            raise
        there = read()
        if not artifact.spec or there.spec != artifact.spec:
            raise
        return there, False


def attach(artifact: Artifact, place: str, referrer: Referrer, allowed: frozenset[str] = frozenset()) -> None:
    """Put something that speaks of a recipe to where the recipe is."""
    if not is_remote(place):
        layout.attach(artifact, _split(place)[0], referrer)
    elif (reference := parse_reference(place)).scheme == "hf":
        hub.attach(reference, referrer)
    else:
        Registry(reference, allowed).attach(artifact, referrer)


def said_of(artifact: Artifact, place: str, allowed: frozenset[str] = frozenset()) -> list[Referrer]:
    """What is said of a recipe where it is; nothing of it is believed yet."""
    if not is_remote(place):
        return layout.referrers(_split(place)[0], artifact.digest)
    if (reference := parse_reference(place)).scheme == "hf":
        return hub.referrers(reference)
    return Registry(reference, allowed).referrers(artifact.digest)


def is_packed(source: str) -> bool:
    """Whether a name is that of a recipe that `push` has put somewhere."""
    return is_remote(source) or is_layout(_split(source)[0])


def read_folder(source: str) -> Artifact:
    """`FOLDER`, `FOLDER:TAG` or `FOLDER@sha256:...`. E130 for a folder that is none."""
    folder, tag = _split(source)
    if not is_layout(folder):
        help = "name an `oci://` or `hf://` reference, or a folder that `recipelang push` made"
        raise fail("E130", f"`{source[:120]}` is not a folder of recipes", help=help)
    return read_layout(folder, tag)


def _split(source: str) -> tuple[Path, str]:
    """The folder, and the tag or digest behind it."""
    if is_layout(Path(source)):
        return Path(source), ""
    folder, _, digest = source.rpartition("@")
    if folder and DIGEST.fullmatch(digest):
        return Path(folder), digest
    folder, _, tag = source.rpartition(":")
    return (Path(folder), tag) if folder else (Path(source), "")


def get(source: str, fetching: Fetching, *, upgrade: bool = False, anew: bool = False) -> Artifact:
    """From where `push` has put it. A folder may be followed by `:TAG` or `@sha256:...`."""
    if is_remote(source):
        return fetching.fetch(source, upgrade=upgrade, anew=anew)
    return fetching.take(source, read_folder(source))

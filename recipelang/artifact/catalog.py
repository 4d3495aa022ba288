"""Every recipe that was pushed to a place: a folder, a registry or a part of one, an owner or a repository of the Hub."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

from recipelang.artifact import hub, layout
from recipelang.artifact.address import Reference, parse_reference
from recipelang.artifact.contents import Artifact
from recipelang.artifact.referrers import Referrer
from recipelang.artifact.registry import Registry
from recipelang.source import RecipeError, fail

_OWNER = re.compile(r"hf://([A-Za-z0-9][A-Za-z0-9._-]{0,95})")
_WHOLE = re.compile(r"oci://([^/]+)/?")
#: a repository that holds something else, or nothing that we know
_NO_RECIPE = ("E122", "E130")


@dataclass(frozen=True)
class Kept:
    """A recipe, what to type for it, and what is said of it there."""

    where: str
    artifact: Artifact = field(repr=False)
    said: tuple[Referrer, ...] = field(default=(), repr=False)


def within(place: str) -> str:
    """A reference to something in a place that may be a whole registry or owner."""
    return f"{place.rstrip('/')}/all" if _WHOLE.fullmatch(place) or _OWNER.fullmatch(place.rstrip("/")) else place


def of_layout(folder: Path) -> Iterator[Kept]:
    """Of a folder that `push` made. E122, E123, E125."""
    for version in layout.versions(folder):
        artifact = layout.read_layout(folder, version)
        mark = "@" if version == artifact.digest else ":"
        yield Kept(f"{folder}{mark}{version}", artifact, tuple(layout.referrers(folder, artifact.digest)))


def of_remote(place: str, allowed: frozenset[str] = frozenset()) -> Iterator[Kept]:
    """`oci://HOST`, `oci://HOST/NAME` or what its names begin with, `hf://OWNER`, `hf://OWNER/NAME`. E120 to E130."""
    if place.startswith("hf://"):
        yield from _of_hub(place)
        return
    whole = _WHOLE.fullmatch(place)
    reference = parse_reference(within(place))
    registry = Registry(reference, allowed)
    if reference.version or reference.digest:
        yield _one(registry, reference)
        return
    tags = None if whole else registry.tags()
    if tags is not None:
        yield from (_one(registry, replace(reference, version=tag)) for tag in tags)
        return
    names = registry.repositories()
    if names is None:
        help = "name a repository, as in `oci://HOST/NAME`"
        raise fail("E130", f"`{reference.host[:80]}` does not list what it holds", help=help)
    for name in names:
        if whole or name.startswith(f"{reference.name}/"):
            of = Reference("oci", reference.host, name)
            registry = Registry(of, allowed)
            for tag in registry.tags() or ():
                with _passing_over():
                    yield _one(registry, replace(of, version=tag))


@contextmanager
def _passing_over() -> Iterator[None]:
    """What other tools keep where recipes are looked for."""
    try:
        yield
    except RecipeError as error:
        if any(d.code not in _NO_RECIPE for d in error.diagnostics):
            raise


def _one(registry: Registry, reference: Reference) -> Kept:
    artifact = registry.pull(reference.version, reference.digest)
    return Kept(str(reference), artifact, tuple(registry.referrers(artifact.digest)))


def _of_hub(place: str) -> Iterator[Kept]:
    owner = _OWNER.fullmatch(place.rstrip("/"))
    for name in hub.repositories(owner[1]) if owner else [place.removeprefix("hf://")]:
        reference = parse_reference(f"hf://{name}")
        artifact = None
        with _passing_over() if owner else nullcontext():
            artifact, _ = hub.pull(reference)
        if artifact is not None:
            yield Kept(str(reference), artifact, tuple(hub.referrers(reference)))

"""Recipes elsewhere, read from the cache: what one of them names is a file of its own, or pinned by its own lock.

Nothing here touches the network, or a file of the user's.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from dataclasses import dataclass

from recipelang.artifact import cache, manifest as m
from recipelang.artifact.address import is_remote, parse_reference
from recipelang.artifact.contents import Artifact
from recipelang.artifact.lock import Lock, parse_lock
from recipelang.source import Source, fail

#: reads a recipe of the installed library
Bundled = Callable[[str], Source]


@dataclass(frozen=True)
class _Inside:
    artifact: Artifact
    title: str
    reference: str


class Remote:
    """The artifacts that one recipe is made of. A source's name is `REFERENCE#TITLE`."""

    def __init__(self, bundled: Bundled) -> None:
        self.bundled = bundled
        self.inside: dict[str, _Inside] = {}

    def holds(self, source: Source) -> bool:
        return source.name in self.inside

    def open(self, reference: str, digest: str) -> Source:
        """The recipe of an artifact by its digest. E047 when it is not in the cache."""
        artifact = cache.stored(digest)
        if artifact is None:
            raise fail(
                "E047",
                f"`{reference[:120]}` is not on this machine",
                help=f"get it with `recipelang pull {reference[:120]}`",
                notes=["reading a recipe never touches the network"],
            )
        return self.enter(reference, artifact)

    def enter(self, reference: str, artifact: Artifact) -> Source:
        return self._file(_Inside(artifact, artifact.entry, reference))

    def load(self, reference: str, by: Source) -> Source:
        """What a file of an artifact names. E047, E131."""
        here = self.inside[by.name]
        scheme, separator, rest = reference.partition("://")
        if not separator or scheme == "file":
            return self._beside(rest if separator else reference, here)
        if scheme == "lib":
            title = f"lib/{rest.removesuffix('.recipe')}.recipe"
            if title in here.artifact.files(m.LIBRARY):
                return self._file(_Inside(here.artifact, title, here.reference))
            return self.bundled(reference)
        if not is_remote(reference):
            raise fail("E047", f"a recipe cannot be read from `{scheme[:20]}://`")
        digest = parse_reference(reference).digest or self.lock(by).recipes.get(reference, "")
        if not digest:
            raise fail(
                "E047",
                f"`{reference[:120]}` is not in the lock",
                notes=[f"the lock belongs to `{here.reference}`"],
                help="ask the publisher to lock it and publish it again",
            )
        return self.open(reference, digest)

    def lock(self, of: Source) -> Lock:
        """The lock that an artifact brings along; an empty one where it brings none."""
        here = self.inside[of.name]
        data = here.artifact.lock
        return parse_lock(data, "the lock of the artifact") if data is not None else Lock("")

    def _beside(self, reference: str, here: _Inside) -> Source:
        inside = posixpath.normpath(posixpath.join(posixpath.dirname(here.title), reference))
        of = m.LIBRARY if here.title in here.artifact.files(m.LIBRARY) else m.SOURCE
        if inside not in here.artifact.files(of) or reference.startswith("/"):
            raise fail(
                "E131",
                f"`{reference[:120]}` is not a file of this artifact",
                help="a published recipe reads only its own files, nothing from this machine",
                notes=[f"the recipe came from {here.reference}"],
            )
        return self._file(_Inside(here.artifact, inside, here.reference))

    def _file(self, inside: _Inside) -> Source:
        data = inside.artifact.files()[inside.title]
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            raise m.not_a_recipe(f"`{inside.title}` is not UTF-8") from None
        name = f"{inside.reference}#{inside.title}"
        self.inside[name] = inside
        return Source(name, text)


def from_cache(file: str, remote: Remote) -> Source:
    """`oci://...` or `hf://...` on a command line: what was pulled under that name. E047, E120, E121."""
    reference = parse_reference(file)
    digest = cache.named(reference)
    if not digest:
        raise fail(
            "E047",
            f"`{reference}` was not pulled to this machine",
            help=f"get it with `recipelang pull {reference}`",
            notes=["reading a recipe never touches the network"],
        )
    return remote.open(str(reference), digest)

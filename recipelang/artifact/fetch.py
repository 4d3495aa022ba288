"""A recipe from a registry or the Hub into the cache, with all that it builds on; nothing is kept before all is sound."""

from __future__ import annotations

from dataclasses import dataclass, field

from recipelang.artifact import cache, hub, manifest as m
from recipelang.artifact.address import Reference, is_remote, parse_reference
from recipelang.artifact.contents import Artifact, not_the_same
from recipelang.artifact.lock import parse_lock
from recipelang.artifact.packing import told_of
from recipelang.artifact.registry import Registry
from recipelang.artifact.remote import Bundled, Remote
from recipelang.planning.identities import local_references
from recipelang.source import RecipeError, fail
from recipelang.spec.canonical import spec_form
from recipelang.spec.check import check
from recipelang.spec.recipe import Recipe
from recipelang.values.selector import to_json

_MOST = 32


@dataclass
class Fetching:
    """One `pull` or `lock`. `allowed`: private hosts that the user lets us reach."""

    bundled: Bundled
    allowed: frozenset[str] = frozenset()
    done: dict[str, Artifact] = field(default_factory=dict)
    revisions: dict[str, str] = field(default_factory=dict)  # of the Hub: reference -> commit
    recipes: dict[str, Recipe | None] = field(default_factory=dict)  # manifest -> what its files say

    def fetch(self, text: str, wanted: str = "", *, upgrade: bool = False, anew: bool = False) -> Artifact:
        """By digest where one is wanted. E124 when a tag names another recipe than the one pulled before.

        `anew`: the place is asked, also for what is here by its digest.
        """
        reference = parse_reference(text)
        wanted = wanted or reference.digest
        if reference.scheme == "oci" and not (reference.version or wanted):
            raise fail("E120", f"`{reference}` names no version", help=f"write `{reference}:1.0.0`")
        if text in self.done and wanted in ("", self.done[text].digest):
            return self.done[text]
        if len(self.done) >= _MOST:
            raise fail("E042", f"this recipe includes more than {_MOST} published recipes")
        artifact = (cache.stored(wanted) if wanted and not anew else None) or self._get(reference, wanted)
        if wanted and artifact.digest != wanted:
            raise not_the_same("the manifest", wanted, artifact.digest)
        before = "" if wanted or upgrade else cache.named(reference)
        if before not in ("", artifact.digest):
            raise moved(reference, before, artifact.digest)
        self.done[text] = artifact
        self._with_bases(str(reference), artifact)
        cache.keep(artifact, *([] if wanted else [reference]))
        return artifact

    def now(self, text: str) -> str:
        """The digest that a tag of a registry names at this moment; empty when that cannot be learnt."""
        reference = parse_reference(text)
        if reference.scheme != "oci" or reference.digest:
            return ""
        try:
            return Registry(reference, self.allowed).resolve(reference.version)
        except RecipeError:
            return ""

    def take(self, name: str, artifact: Artifact) -> Artifact:
        """Judge and keep an artifact that was read from a folder."""
        self._with_bases(name, artifact)
        cache.keep(artifact)
        return artifact

    def _with_bases(self, name: str, artifact: Artifact) -> None:
        if artifact.lock is not None:
            for base, digest in parse_lock(artifact.lock, "the lock of the artifact").recipes.items():
                if is_remote(base):
                    self.fetch(base, digest)
        self.recipes[artifact.digest] = means_what_it_says(name, artifact, self.bundled)

    def _get(self, reference: Reference, wanted: str) -> Artifact:
        if reference.scheme == "oci":
            return Registry(reference, self.allowed).pull(reference.version, wanted)
        artifact, commit = hub.pull(reference)
        self.revisions[str(reference)] = commit
        return artifact


def means_what_it_says(reference: str, artifact: Artifact, bundled: Bundled) -> Recipe | None:
    """E126 when the files of an artifact do not say what its spec says: a reader may look at either. E122 when it
    brings more than the recipe is made of, which nobody has judged.
    """
    remote = Remote(bundled)
    source = remote.enter(reference, artifact)
    checked = check(source, load=remote.load)
    if checked.diagnostics.errors:
        first = checked.diagnostics.errors[0]
        raise _differs(artifact, [f"{first.code}: {first.message}"])
    read = {i.title for i in remote.inside.values() if i.artifact is artifact}
    if unread := [t for kind in (m.SOURCE, m.LIBRARY) for t in artifact.files(kind) if t not in read]:
        raise m.not_a_recipe(f"it contains `{unread[0][:80]}`, which the recipe does not use")
    if checked.recipe is None or not artifact.spec:
        if artifact.spec:
            raise _differs(artifact, ["its files leave parameters without a value"])
        return checked.recipe
    known = remote.lock(source).contents
    unknown = [r for r in local_references(checked.recipe) if r not in known]
    if unknown:
        raise m.not_a_recipe(f"its lock does not pin `{unknown[0][:80]}`")
    form = to_json(spec_form(checked.recipe, known)).encode("utf-8", "surrogatepass")
    if m.sha256(form) != artifact.spec:
        raise _differs(artifact, [f"the files give {m.sha256(form)[:19]}, the spec is {artifact.spec[:19]}"])
    for key, true in told_of(checked.recipe).items():
        told = artifact.manifest.annotations.get(key, true)
        if told != true:
            notes = [f"{key.rpartition('.')[2]}: `{told[:60]}` by the manifest, `{true[:60]}` by its files"]
            raise _differs(artifact, notes, "manifest")
    return checked.recipe


def _differs(artifact: Artifact, notes: list[str], other: str = "spec") -> RecipeError:
    help = "it was assembled by hand, or made by another release: find out which before you use it"
    return fail("E126", f"the files of `{artifact.name[:60]}` do not match its {other}", notes=notes, help=help)


def moved(reference: Reference, before: str, now: str) -> RecipeError:
    return fail(
        "E124",
        f"`{reference}` names a different recipe from before",
        notes=[f"before: {before[:19]}, now: {now[:19]}"],
        help="versions should not change: ask the publisher, then accept the new recipe with `--upgrade`",
    )

"""The lock of a recipe on the command line: where it is, what it holds a run to, and when it is written."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from recipelang.loading.files import References, bundled, is_elsewhere, library, read_source
from recipelang.loading.read import Around, check_all
from recipelang.loading.trust import only_what_the_user_names
from recipelang.source import Diagnostics, RecipeError
from recipelang.spec.recipe import Checked, Recipe
from recipelang.spec.references import references

if TYPE_CHECKING:
    from recipelang.artifact.lock import Lock
    from recipelang.planning.types import Plan

# the modules of `artifact` are imported where they are used: most commands need none of them


def beside(file: str) -> Path:
    """Where the paths of a recipe start."""
    return Path(file).resolve().parent if has_file(file) else Path.cwd()


@dataclass(frozen=True)
class Settled:
    """What a run is held to. `path`: where a new lock is to be written; `text`: the lock that goes with the run."""

    pins: Mapping[str, str]
    text: str = ""
    path: Path | None = None
    why_not: str = ""


def hold(settled: Settled, plan: Plan, file: str) -> None:
    """E132 when a large file of the Hub, as it lies in the cache, is not the one that was locked."""
    from recipelang.artifact.lock import parse_lock, stale
    from recipelang.artifact.pinning import damaged_files

    folders = {plan.model.ref: plan.model.path}
    folders |= {d.teacher_ref: d.teacher for s in plan.stages for d in s.distills if d.teacher_ref}
    lock = parse_lock(settled.text.encode("utf-8"), "the lock")
    if told := damaged_files(lock, {r: Path(p) for r, p in folders.items() if r.startswith("hf://")}):
        raise stale("the lock", told, file)


def pins_of(file: str, recipe: Recipe) -> dict[str, str]:
    """Reference -> commit, from the lock beside a recipe or the one that it brought along."""
    lock = lock_of(file)
    if lock is None:
        return {}
    known = lock.revisions
    return {r: known[r] for path, r in references(recipe) if r in known and _asked(recipe, path, r) == _locked(lock, r)}


def settle(file: str, checked: Checked, around: Around, *, locked: bool, found: Diagnostics) -> Settled:
    """E132 where `locked` and the lock is missing or stale; else a stale one is told of, and a missing one made."""
    from recipelang.artifact.lock import differences, lock_path, missing, stale
    from recipelang.artifact.pinning import pinned

    recipe = checked.recipe
    assert recipe is not None
    lock = lock_of(file)
    name = lock_path(file).name if has_file(file) else "the lock"
    if lock is None:
        if locked:
            raise missing(name, file)
        try:
            made = pinned(recipe, checked.files, beside(file), recipes_of(checked, None), ask=True, found=found)
        except RecipeError as error:  # what is wrong will be said where it is needed
            return Settled({}, why_not="; ".join(d.message for d in error.diagnostics))
        if not has_file(file) or is_bundled(file):
            return Settled(made.revisions, made.text())
        why = no_place(file)
        return Settled(made.revisions, made.text(), None if why else lock_path(file), why)
    now = pinned(recipe, checked.files, beside(file), recipes_of(checked, lock), lock, ask=False, hashed=locked)
    told = differences(lock, now, varied=bool(around.given or around.overlays), strict=locked)
    if told and locked:
        raise stale(name, told, file)
    if told:
        renew = f"`recipelang lock {file}` renews it; " if has_file(file) else ""
        help = f"{renew}`--locked` would have refused"
        found.say("W141", f"the contents of `{name}` have changed", notes=tuple(told[:6]), help=help)
    return Settled(pins_of(file, recipe), now.text())


def lock_of(file: str) -> Lock | None:
    """The lock of a recipe by the name on the command line, or none."""
    from recipelang.artifact.lock import lock_path, read_lock

    if is_elsewhere(file):
        source = read_source(file)
        return References(source).remote.lock(source)
    return read_lock(lock_path(file)) if has_file(file) else None


def has_file(file: str) -> bool:
    return file != "-" and not file.startswith("lib://") and not is_elsewhere(file)


def is_bundled(file: str) -> bool:
    """Whether a path leads to a recipe of the installed library."""
    return has_file(file) and Path(file).resolve().is_relative_to(library().resolve())


def no_place(file: str) -> str:
    """Why no lock belongs beside a recipe; empty where one does."""
    if not has_file(file):
        return "it has no file"
    if is_bundled(file):
        return "it is a recipe of the installed library, which does not change"
    path = Path(file)
    with suppress(OSError):  # reading it says what is wrong
        if not path.stat().st_mode & 0o222 or not os.access(path, os.W_OK):
            return "the recipe is read-only, so nothing is written beside it"
    return ""


def recipes_of(checked: Checked, lock: Lock | None) -> dict[str, Mapping[str, object]]:
    """Entries for the recipes elsewhere that the user's own files name."""
    from recipelang.artifact import cache
    from recipelang.artifact.address import parse_reference

    known = lock.refs if lock is not None else {}
    found: dict[str, Mapping[str, object]] = {}
    for file in checked.files:
        reference = file.name.partition("#")[0]
        if not is_elsewhere(file.name) or checked.parsed.source.name.startswith(reference + "#"):
            continue
        if reference in known:
            found[reference] = known[reference]
        elif digest := parse_reference(reference).digest:
            artifact = cache.stored(digest)
            found[reference] = {"kind": "recipe", "manifest": digest, "spec": artifact.spec if artifact else ""}
    return found


def _asked(recipe: Recipe, path: str, reference: str) -> str:
    own = recipe.model.revision if path == "model.base" else None
    return own or reference.partition("@")[2]


def _locked(lock: Lock, reference: str) -> str:
    return str(lock.refs[reference].get("asked", ""))


def check_new(settled: Settled) -> Diagnostics:
    """Write the lock where it belongs. W140 when that cannot be: the run goes on without."""
    from recipelang.storage.writing import write_text

    found = Diagnostics()
    why = settled.why_not
    if settled.path is not None:
        try:
            write_text(settled.path, settled.text)
        except RecipeError as error:
            why = error.diagnostics[0].message
    if why:
        help = "`recipelang lock FILE` tries again"
        found.say("W140", "no lock was written", notes=(why,), help=help)
    return found


def make_lock(
    file: str,
    around: Around,
    before: Lock | None,
    upgrade: Sequence[str],
    allow_private: bool,
    found: Diagnostics,
) -> Lock:
    """A new lock; recipes elsewhere are fetched. W142 goes to `found` where a tag has moved since `before`."""
    from recipelang.artifact.fetch import Fetching
    from recipelang.artifact.lock import Lock
    from recipelang.artifact.pinning import library, pinned

    source = read_source(file)
    fetching = Fetching(bundled, allowed_hosts())
    entries: dict[str, Mapping[str, object]] = {}

    def find(reference: str) -> str:
        anew = bool({"all", reference} & set(upgrade))
        known = "" if before is None or anew else before.recipes.get(reference, "")
        if allow_private:
            fetching.allowed |= {parse_host(reference)}
        artifact = fetching.fetch(reference, known, upgrade=anew)
        entries[reference] = {"kind": "recipe", "manifest": artifact.digest, "spec": artifact.spec}
        if known and (now := fetching.now(reference)) not in ("", known):
            notes = (f"the lock pins {known[:19]}, which is used; the reference now resolves to {now[:19]}",)
            help = f"`--upgrade {reference}` pins the new one"
            found.say("W142", f"`{reference}` now refers to another recipe", notes=notes, help=help)
        return artifact.digest

    checked = check_all(source, around.given, overlays=around.overlays, find=find)
    checked.diagnostics.raise_errors()
    recipe = checked.recipe
    if recipe is None:  # a base or a library: it has recipes to refer to, and no models or data yet
        tree = checked.parsed.recipe
        return Lock((tree.name if tree is not None else None) or "", "", {**entries, **library(checked.files)})
    only_what_the_user_names(checked, around)
    anew = list(before.refs) if before is not None and "all" in upgrade else upgrade
    return pinned(recipe, checked.files, beside(file), entries, before, ask=True, anew=anew, found=found)


def allowed_hosts(reference: str = "", allow_private: bool = False) -> frozenset[str]:
    """Private hosts that may be reached: those of the user's setting, and the one that is named, if it may be."""
    from recipelang.artifact.guard import allowed_by_setting

    return allowed_by_setting() | (
        {parse_host(reference)} if allow_private and is_elsewhere(reference) else frozenset()
    )


def parse_host(reference: str) -> str:
    from recipelang.artifact.address import parse_reference

    return parse_reference(reference).host

"""What a command line names, as an artifact: a recipe, a run's folder, or what was packed before."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from recipelang.loading.files import bundled, decoded, is_elsewhere, read_source
from recipelang.loading.locking import (
    allowed_hosts,
    beside,
    has_file,
    lock_of,
    make_lock,
    no_place,
    recipes_of,
)
from recipelang.loading.read import Around, check_all, read_recipe
from recipelang.loading.trust import only_what_the_user_names
from recipelang.source import Diagnostics, fail
from recipelang.source.render import line_of
from recipelang.spec.recipe import Checked, Recipe
from recipelang.spec.references import references

if TYPE_CHECKING:
    from recipelang.artifact.contents import Artifact
    from recipelang.artifact.lock import Lock
    from recipelang.artifact.referrers import Referrer
    from recipelang.provenance.statement import Statement


@dataclass(frozen=True)
class Packed:
    """`said`: how a run of it went, and who signed that, if it came from a run's folder."""

    artifact: Artifact
    found: Diagnostics = field(default_factory=Diagnostics)
    said: tuple[Referrer, ...] = ()


def packed(source: str, allow_private: bool = False) -> Packed:
    """`allow_private`: whether recipes that it builds on may be fetched from this machine or its network."""
    from recipelang.artifact.places import is_packed

    if is_packed(source):
        return Packed(pushed(source))
    return _of_run(Path(source)) if os.path.isdir(source) else _of_file(source, allow_private)


def pushed(source: str, allow_private: bool = False) -> Artifact:
    """What was pushed to a folder, or pulled to this machine. E047, E122 to E125, E130.

    `allow_private`: what was not pulled is fetched, also from this machine and its network; else nothing is.
    """
    from recipelang.artifact import cache
    from recipelang.artifact.address import parse_reference
    from recipelang.artifact.places import read_folder

    if not is_elsewhere(source):
        return read_folder(source)
    if allow_private and not cache.named(parse_reference(source)):
        from recipelang.artifact.fetch import Fetching
        from recipelang.artifact.places import get

        return get(source, Fetching(bundled, allowed_hosts(source, allow_private)))
    read_source(source)  # says what is wrong
    artifact = cache.stored(cache.named(parse_reference(source)))
    assert artifact is not None
    return artifact


def _of_file(file: str, allow_private: bool) -> Packed:
    from recipelang.artifact.lock import differences, lock_path, stale, write_lock
    from recipelang.artifact.packing import pack_recipe
    from recipelang.artifact.pinning import pinned

    if not has_file(file):
        raise fail("E123", "a recipe without a file has no name to be shared under", help="save it to a file first")
    found = Diagnostics()
    lock = lock_of(file)
    if lock is None:
        lock = make_lock(file, Around(), None, (), allow_private, found)
        if why := no_place(file):
            found.say("W140", "no lock was written", notes=(why,))
        else:
            write_lock(lock, lock_path(file))
    checked = read_recipe(file, Around())
    checked.diagnostics.raise_errors()
    if checked.recipe is not None:
        only_what_the_user_names(checked, Around())
        now = pinned(checked.recipe, checked.files, beside(file), recipes_of(checked, lock), lock, ask=False)
        if told := differences(lock, now, varied=False):
            raise stale(lock_path(file).name, told, file)
        _warn_of_paths(checked.recipe, found)
    return Packed(pack_recipe(checked, lock), found)


def _warn_of_paths(recipe: Recipe, found: Diagnostics) -> None:
    from recipelang.planning.references import is_local

    for path, reference in references(recipe):
        plain = reference.removeprefix("file://")
        if is_local(reference) and (plain.startswith(("/", "~", "..")) or plain[1:2] == ":"):
            help = "make it a parameter, or name something that others can get"
            message = f"`{reference[:80]}` is a path that others do not have"
            found.say("W143", message, recipe.label(path), help=help)


def _of_run(folder: Path) -> Packed:
    """What ran, with the parameters it ran with, its lock, and what the run says of itself."""
    from recipelang.artifact.lock import MAX_BYTES, parse_lock
    from recipelang.artifact.packing import pack_recipe
    from recipelang.artifact.referrers import BUNDLE, STATEMENT, Referrer
    from recipelang.engine.statement import read_origin
    from recipelang.provenance.carried import PORTABLE
    from recipelang.provenance.published import unbelievable
    from recipelang.provenance.safe_json import read_bytes
    from recipelang.provenance.signing import of_this_statement, signature_path
    from recipelang.provenance.statement import read_statement, statement_path

    text, locked = folder / "recipe" / PORTABLE, folder / "recipe" / "recipe.lock"
    if not os.path.lexists(text) or not os.path.lexists(locked):
        raise fail("E083", f"`{folder}` holds no run with a lock", help="name a recipe, or a newer run's folder")
    lock = parse_lock(read_bytes(locked, MAX_BYTES), locked.name)
    origin = read_origin(folder)
    if not origin:
        raise fail("E135", "there is no file `origin.json`")
    name = "".join(c if c.isalnum() or c in "._-" else "-" for c in origin["name"]).strip("-.") or "recipe"
    checked = check_all(decoded(f"{name}.recipe", read_bytes(text)), {}, complete=True)
    checked.diagnostics.raise_errors()
    artifact = pack_recipe(checked, _lock_of(checked, lock, origin["contents"]))
    said = []
    if os.path.lexists(statement_path(folder)) and not (run := read_statement(folder)).predicate.get("rehearsal"):
        if run.digests["spec"] != artifact.spec:
            help = f"`recipelang verify {folder}` tells what was changed"
            raise fail("E138", f"the recipe in `{folder}` is not the one that its statement names", help=help)
        if wrong := unbelievable(run, checked.recipe):
            help = f"`recipelang verify {folder}` tells what was changed"
            raise fail("E138", f"the statement in `{folder}` is of no run of its recipe: {wrong}", help=help)
        _as_recorded(folder, run)
        said.append(Referrer(STATEMENT, run.raw))
        if os.path.lexists(signature_path(folder)):
            of_this_statement(folder)
            said.append(Referrer(BUNDLE, read_bytes(signature_path(folder))))
    return Packed(artifact, said=tuple(said))


def _as_recorded(folder: Path, run: Statement) -> None:
    """E136 for a file of the run that is there and is not as the statement names it, E138 for another record.

    Weights may lie elsewhere, and a card may have been written further.
    """
    from recipelang.engine.records import read_record
    from recipelang.storage.reading import sha256

    help = f"`recipelang verify {folder}` tells what was changed"
    record = read_record(folder)
    for key in ("status", "rehearsal", "metrics", "claims"):
        if record and record.get(key) != run.predicate.get(key):
            raise fail("E138", f"`run.json` and the statement differ in {key}", help=help)
    for name, wanted in run.files.items():
        if name != "README.md" and os.path.lexists(folder / name) and sha256(folder / name, inside=folder) != wanted:
            raise fail("E136", f"`{line_of(name)}` is not the file that the run wrote", help=help)


def _lock_of(checked: Checked, lock: Lock, contents: Mapping[str, str]) -> Lock:
    """The lock of a run, for the recipe with its paths as they are written there."""
    from recipelang.artifact.lock import Lock
    from recipelang.spec.canonical import spec_digest

    recipe = checked.recipe
    assert recipe is not None
    refs: dict[str, Mapping[str, object]] = {}
    for path, reference in references(recipe):
        if reference in contents:
            kind = "model" if path.endswith((".base", ".teacher")) else "dataset"
            refs[reference] = {"kind": kind, "contents": contents[reference]}
        elif reference in lock.refs:
            refs[reference] = dict(lock.refs[reference])
    return Lock(recipe.name, spec_digest(recipe, contents), refs, lock.tools, lock.metrics)

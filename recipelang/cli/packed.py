"""What a command line names, as an artifact: a recipe, a run's folder, or what was packed before."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from recipelang.cli.files import is_elsewhere, read_source
from recipelang.cli.locking import beside, files_of, has_file, lock_of, make_lock, recipes_of
from recipelang.cli.read import Around, check_all, read_recipe
from recipelang.cli.trust import only_what_the_user_names
from recipelang.source import Diagnostic, Diagnostics, Source, fail
from recipelang.spec.check import Checked, Recipe
from recipelang.spec.references import references

if TYPE_CHECKING:
    from recipelang.artifact.contents import Artifact
    from recipelang.artifact.lock import Lock


@dataclass(frozen=True)
class Packed:
    """`statement`: how a run of it went, if it came from a run's folder."""

    artifact: Artifact
    found: Diagnostics = field(default_factory=Diagnostics)
    statement: bytes | None = None


def packed(source: str) -> Packed:
    from recipelang.artifact.layout import is_layout, read_layout

    if is_elsewhere(source):
        return Packed(_pulled(source))
    if is_layout(Path(source)):
        return Packed(read_layout(Path(source)))
    if Path(source).is_dir():
        return _of_run(Path(source))
    return _of_file(source)


def _pulled(reference: str) -> Artifact:
    from recipelang.artifact import cache
    from recipelang.artifact.reference import parse_reference

    read_source(reference)  # says what is wrong
    artifact = cache.stored(cache.named(parse_reference(reference)))
    assert artifact is not None
    return artifact


def _of_file(file: str) -> Packed:
    from recipelang.artifact.lock import differences, lock_path, stale, write_lock
    from recipelang.artifact.packing import pack_recipe
    from recipelang.artifact.pinning import pinned

    if not has_file(file):
        raise fail("E123", "a recipe without a file has no name to be shared under", help="save it to a file first")
    found = Diagnostics()
    lock = lock_of(file)
    if lock is None:
        lock = make_lock(file, Around(), None, (), False, found)
        write_lock(lock, lock_path(file))
    checked = read_recipe(file, Around())
    checked.diagnostics.raise_errors()
    if checked.recipe is not None:
        only_what_the_user_names(checked, Around())
        now = pinned(checked.recipe, files_of(checked), beside(file), recipes_of(checked, lock), lock, ask=False)
        if told := differences(lock, now, varied=False):
            raise stale(lock_path(file).name, told, file)
        _warn_of_paths(checked.recipe, found)
    return Packed(pack_recipe(checked, lock), found)


def _warn_of_paths(recipe: Recipe, found: Diagnostics) -> None:
    from recipelang.plan.references import is_local

    for path, reference in references(recipe):
        plain = reference.removeprefix("file://")
        if is_local(reference) and (plain.startswith(("/", "~", "..")) or plain[1:2] == ":"):
            help = ("make it a parameter, or name something that others can get",)
            message = f"`{reference[:80]}` is a path that others do not have"
            found.add(Diagnostic("W143", message, recipe.label(path), help=help))


def _of_run(folder: Path) -> Packed:
    """What ran, with the parameters it ran with; paths of this machine as the recipe wrote them."""
    from recipelang.artifact.lock import read_lock
    from recipelang.artifact.packing import pack_recipe

    text, found = folder / "recipe" / "effective.recipe", Diagnostics()
    lock = read_lock(folder / "recipe" / "recipe.lock")
    if not text.is_file() or lock is None:
        raise fail("E083", f"`{folder}` holds no run with a lock", help="name a recipe, or a newer run's folder")
    checked = check_all(read_source(str(text)), {}, complete=True)
    checked.diagnostics.raise_errors()
    assert checked.recipe is not None
    again, moved = _portable(checked.recipe, text, lock)
    return Packed(pack_recipe(again, moved), found, _statement(folder))


def _portable(recipe: Recipe, text: Path, lock: Lock) -> tuple[Checked, Lock]:
    from recipelang.artifact.lock import Lock
    from recipelang.plan.identities import identities
    from recipelang.spec.canonical import spec_digest
    from recipelang.spec.effective import effective

    known = identities(recipe, text.parent)
    written = {digest: reference for reference, digest in lock.contents.items()}
    names: dict[str, str] = {}
    for reference, digest in known.items():
        name = written.get(digest, "")
        is_portable = name and not name.startswith(("/", "~", "..", "file:"))
        names[reference] = name if is_portable else Path(reference).name
    if len(set(names.values())) != len(names):
        raise fail("E123", "two inputs of this run have the same name", help="push the recipe instead of the run")
    name = "".join(c if c.isalnum() or c in "._-" else "-" for c in recipe.name).strip("-.") or "recipe"
    source = Source(f"{name}.recipe", effective(recipe, names))
    checked = check_all(source, {}, complete=True)
    checked.diagnostics.raise_errors()
    assert checked.recipe is not None
    contents = {names[reference]: digest for reference, digest in known.items()}
    refs = {}
    for path, reference in references(checked.recipe):
        kind = "model" if path.endswith((".base", ".teacher")) else "dataset"
        if reference in contents:
            refs[reference] = {"kind": kind, "contents": contents[reference]}
        elif reference in lock.refs:
            refs[reference] = dict(lock.refs[reference])
    spec = spec_digest(checked.recipe, contents)
    return checked, Lock(checked.recipe.name, spec, refs, lock.tools, lock.metrics)


def _statement(folder: Path) -> bytes | None:
    """The in-toto statement of a run, where it has one."""
    try:
        data = (folder / "recipe" / "statement.json").read_bytes()
        is_one = str(json.loads(data).get("_type", "")).startswith("https://in-toto.io/Statement/")
    except (OSError, ValueError, AttributeError):
        return None
    return data if is_one else None

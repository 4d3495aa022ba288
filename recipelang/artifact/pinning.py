"""What a lock says of a recipe as it is now: every reference looked up, here or, when asked to, on the Hub."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from recipelang.artifact import hub
from recipelang.artifact.lock import Entry, Lock
from recipelang.planning.facts import model_digest
from recipelang.planning.identities import identities
from recipelang.planning.references import is_local, locate_model
from recipelang.planning.remembered import file_digest
from recipelang.source import Diagnostic, Diagnostics, Label, RecipeError, Source
from recipelang.spec.canonical import spec_digest
from recipelang.spec.metrics import METRICS
from recipelang.spec.recipe import Recipe
from recipelang.spec.references import references, used
from recipelang.spec.requirements import used as plugins_of
from recipelang.tasks import task_of
from recipelang.version import __version__


def pinned(
    recipe: Recipe,
    files: Iterable[Source],
    beside: Path,
    recipes: Mapping[str, Entry],
    before: Lock | None = None,
    *,
    ask: bool,
    anew: Collection[str] = (),
    found: Diagnostics | None = None,
    hashed: bool = False,
) -> Lock:
    """The lock of an evaluated recipe.

    `recipes`: the recipes elsewhere that it builds on. What `before` knows of the Hub is kept, but for references in
    `anew`. `ask`: whether the Hub may be asked; what it is not asked for, and its cache does not know, is left out.
    So is what nothing uses and the Hub does not give; `found` is told of that. `hashed`: every local file is read,
    whatever is remembered of it.
    """
    local = identities(recipe, beside, anew=hashed)
    needed = {r for path, r in references(recipe) if path in used(recipe)}
    refs: dict[str, Entry] = {**recipes, **library(files)}
    for path, reference in references(recipe):
        kind = "model" if path.endswith((".base", ".teacher")) else "dataset"
        scheme, separator, rest = reference.partition("://")
        if is_local(reference):
            refs[reference] = {"kind": kind, "contents": local[reference]}
        elif scheme == "package" and separator:
            folder = locate_model(reference, beside)
            version = metadata.version(rest.partition("/")[0])
            refs[reference] = {"kind": kind, "version": version, "contents": model_digest(folder, anew=hashed)}
        elif scheme == "lib":
            refs[reference] = {"kind": kind, "contents": _code("recipelang.tasks.facts")}
        elif scheme == "hf":
            asked = recipe.model.revision if path == "model.base" else None
            known = before.refs.get(reference) if before is not None and reference not in anew else None
            try:
                entry = _on_the_hub(kind, rest, asked, known, ask)
            except RecipeError as error:
                if reference in needed:
                    raise
                entry = None
                if found is not None:
                    found.add(_left_out(reference, recipe.label(path), error))
            if entry is not None:
                refs[reference] = entry
    tools = {"recipelang": _compatible(), "plugins": plugins_of(recipe)}
    return Lock(recipe.name, spec_digest(recipe, local), refs, tools, _metrics(recipe))


def _left_out(reference: str, at: Label | None, error: RecipeError) -> Diagnostic:
    notes = tuple(d.message for d in error.diagnostics)
    help = ("remove it from the recipe, or use it in a stage or an evaluation",)
    return Diagnostic("W163", f"`{reference[:120]}` is not locked: nothing uses it", at, notes=notes, help=help)


def library(files: Iterable[Source]) -> dict[str, Entry]:
    """Recipes of the library, by the digest of their text: another release may bring another text."""
    named = (f for f in files if f.name.startswith("lib://"))
    return {f.name: {"kind": "recipe", "sha256": _sha256(f.text.encode("utf-8"))} for f in named}


def _on_the_hub(kind: str, rest: str, asked: str | None, known: Entry | None, ask: bool) -> Entry | None:
    name, _, version = rest.partition("@")
    wanted = asked or version or None
    if known is not None and known["kind"] == kind and known.get("asked", "") == (wanted or ""):
        return known
    try:
        if not ask:
            raise RecipeError(())
        found = hub.model_entry(name, wanted) if kind == "model" else hub.dataset_entry(name, wanted)
    except RecipeError as error:
        if any(d.code == "E047" for d in error.diagnostics):
            raise
        revision = hub.cached_revision(kind, name, wanted)
        if not revision:
            if ask:
                raise
            return None
        if any(d.code != "E128" for d in error.diagnostics):
            raise
        found = {"kind": kind, "revision": revision}
    return {**found, **({"asked": wanted} if wanted else {})}


def damaged_files(lock: Lock, folder_of: Mapping[str, Path]) -> list[str]:
    """Large files of the Hub's models that are not what the lock says, in words."""
    told = []
    for reference, folder in folder_of.items():
        files: Mapping[str, Any] = lock.refs.get(reference, {}).get("files", {})
        for name, wanted in files.items():
            path = folder / name
            if wanted.get("sha256") and path.is_file() and file_digest(path, anew=True) != wanted["sha256"]:
                told.append(f"`{name}` of `{reference}` has changed")
    return told


def _metrics(recipe: Recipe) -> dict[str, Entry]:
    """Each metric with the code that measures it."""
    usual = METRICS.get(recipe.model.task, ())
    names = sorted({name for e in recipe.evaluations for name in (e.metrics or usual)})
    module = task_of(recipe.model.task).measure.__module__ if names else ""
    return {name: {"impl": module, "sha256": _code(module)} for name in names}


def _code(module: str) -> str:
    """The digest of a module's text."""
    from importlib.util import find_spec

    found = find_spec(module)
    assert found is not None and found.origin is not None
    return "sha256:" + file_digest(Path(found.origin))


def _compatible() -> str:
    major, minor, *_ = __version__.split(".")
    return f">= {major}.{minor}, < {int(major) + 1}"


def _sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()

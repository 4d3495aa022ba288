"""The recipes of a place, with what they say of themselves and what their runs say: for a list that others read."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from recipelang.artifact.address import is_remote
from recipelang.artifact.catalog import Kept, of_layout, of_remote, within
from recipelang.artifact.fetch import Fetching
from recipelang.artifact.layout import is_layout
from recipelang.artifact.referrers import BUNDLE, STATEMENT
from recipelang.artifact.remote import Remote
from recipelang.kinds.text import percent, show
from recipelang.loading.files import bundled, library_names, read_source
from recipelang.loading.library import Entry, described
from recipelang.loading.locking import allowed_hosts, beside
from recipelang.loading.read import NOTHING, check_all, read_recipe
from recipelang.planning.identities import identities
from recipelang.provenance.published import unbelievable
from recipelang.provenance.statement import parse_statement
from recipelang.report.catalog import Listed, Told
from recipelang.source import RecipeError, fail
from recipelang.spec.blocks import PruneSpec
from recipelang.spec.canonical import spec_digest
from recipelang.spec.recipe import Recipe

#: files below one folder
_MOST = 10_000


def listed(places: Sequence[str], allow_private: bool = False) -> list[Listed]:
    """Every recipe of every place: a folder of recipes, or one that `push` made, `lib://`, a registry, the Hub.

    E046, E047 and those of a recipe that is wrong; E120 to E130 of one that was pushed; E130 for a place without one.
    """
    found: list[Listed] = []
    for place in places:
        here = list(_of(place, allow_private))
        if not here:
            help = "name a folder of `.recipe` files, one that `recipelang push` made, a registry, or `lib://`"
            raise fail("E130", f"`{place[:120]}` holds no recipe", help=help)
        found += here
    return found


def _of(place: str, allow_private: bool) -> Iterator[Listed]:
    if place == "lib://":
        yield from (_of_file(f"lib://{name}") for name in library_names())
    elif is_remote(place):
        allowed = allowed_hosts(within(place), allow_private)
        fetching = Fetching(bundled, allowed)
        yield from (_of_kept(kept, fetching) for kept in of_remote(place, allowed))
    elif place.endswith(".recipe") or place.startswith("lib://"):
        yield _of_file(place)
    else:
        yield from _of_folder(Path(place))


def _of_folder(folder: Path) -> Iterator[Listed]:
    if is_layout(folder):
        fetching = Fetching(bundled)
        yield from (_of_kept(kept, fetching) for kept in of_layout(folder))
        return
    if not folder.is_dir():
        raise fail("E046", f"there is no folder `{folder}`", help="name a folder of recipes, or `lib://`")
    count = 0
    for path, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if is_layout(Path(path)):
            folders.clear()
            yield from _of_folder(Path(path))
        for name in sorted(files):
            if name.endswith(".recipe"):
                count += 1
                if count > _MOST:
                    raise fail("E042", f"`{folder}` holds more than {_MOST:,} recipes", help="name its folders")
                yield _of_file(str(Path(path) / name))


def _of_file(name: str) -> Listed:
    source = read_source(name)
    said = described(name, source)
    if said.task == "study":
        return _told(said, None, "", "", ())
    checked = check_all(source, {}) if name.startswith("lib://") else read_recipe(name, NOTHING)
    checked.diagnostics.raise_errors()
    spec = ""
    if checked.recipe is not None:
        with suppress(RecipeError):  # where a model or data set is not on this machine
            spec = spec_digest(checked.recipe, identities(checked.recipe, beside(name), {}))
    return _told(said, checked.recipe, spec, "", ())


def _of_kept(kept: Kept, fetching: Fetching) -> Listed:
    """Its files are compared with all that the place says of them."""
    artifact = fetching.take(kept.where, kept.artifact)
    recipe = fetching.recipes[artifact.digest]
    said_of = described(kept.where, Remote(bundled).enter(kept.where, artifact))
    signed = any(each.artifact_type == BUNDLE for each in kept.said)
    by = "a run of its own, with a signature that was not checked here" if signed else "a run of its own, not signed"
    measured: list[Told] = []
    for each in kept.said:
        if each.artifact_type == STATEMENT:
            said = parse_statement(each.data)
            if said.digests["spec"] == artifact.spec and not unbelievable(said, recipe):
                measured += [
                    Told(f"{c['kind']} {c['text']}", str(c["measured"]), c["met"], by) for c in said.predicate["claims"]
                ]
    return _told(said_of, recipe, artifact.spec, artifact.digest, measured)


def _told(said: Entry, recipe: Recipe | None, spec: str, manifest: str, measured: Sequence[Told]) -> Listed:
    meta = recipe.meta if recipe is not None else None
    prunes = [] if recipe is None else [p for stage in recipe.stages for p in stage.prunes]
    return Listed(
        where=said.name,
        name=recipe.name if recipe is not None else said.name,
        version=(meta.version or "") if meta else "",
        task=said.task,
        summary=(meta.summary if meta else "") or said.summary,
        targets=_targets(prunes),
        methods=tuple(dict.fromkeys(str(getattr(p.method, "name", p.method)) for p in prunes)),
        tags=said.tags,
        licence=(meta.license or "") if meta else "",
        authors=meta.authors if meta else (),
        cites=meta.cites if meta else (),
        spec=spec,
        manifest=manifest,
        claims=() if recipe is None else tuple(f"{c.kind} {c.text}" for c in recipe.claims),
        measured=tuple(measured),
    )


def _targets(prunes: Sequence[PruneSpec]) -> tuple[str, ...]:
    """What is pruned, and how far in the end."""
    ends = {show(p.targets): percent(p.sparsity.segments[-1].end) for p in prunes if p.sparsity is not None}
    return tuple(f"{selector}: {end}" for selector, end in ends.items())

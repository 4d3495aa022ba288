"""A recipe on disk as an artifact: its files under the names they have to each other, what it means, and its lock."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Sequence
from pathlib import Path

from recipelang.artifact import manifest as m
from recipelang.artifact.address import TAG, is_remote
from recipelang.artifact.contents import Artifact, File, pack
from recipelang.artifact.lock import Lock
from recipelang.reference.recipe import text as page_of
from recipelang.source import Source, fail
from recipelang.spec.canonical import spec_form
from recipelang.spec.recipe import Checked, Recipe
from recipelang.syntax import tree as t
from recipelang.values.selector import to_json

_OCI, _OWN = "org.opencontainers.image", "dev.recipelang"


def pack_recipe(checked: Checked, lock: Lock) -> Artifact:
    """The files that the recipe is made of, the recipe first. E123 for names that cannot be shared."""
    recipe = checked.recipe
    read = recipe.source if recipe is not None else checked.composed.source if checked.composed else None
    files = getattr(read, "files", None) or ((read,) if read is not None else (checked.parsed.source,))
    unique = {f.name: f for f in files}
    own = [f for f in unique.values() if not is_remote(f.name) and not f.name.startswith("lib://")]
    titles = _titles(own)
    packed = [File(titles[f.name], f.text.encode("utf-8")) for f in own]
    for file in unique.values():
        if file.name.startswith("lib://"):
            title = f"lib/{file.name.removeprefix('lib://')}.recipe"
            packed.append(File(title, file.text.encode("utf-8"), m.LIBRARY))
    packed.append(File(f"{packed[0].title}.lock", lock.text().encode("utf-8"), m.LOCK))
    packed.append(File("README.md", page_of(checked, packed[0].title).encode("utf-8"), m.README))
    config = None
    if recipe is not None:
        config = to_json(spec_form(recipe, lock.contents)).encode("utf-8", "surrogatepass")
    return pack(packed, config, _annotations(checked, lock))


def tag_of(artifact: Artifact) -> str:
    """The version as a tag: `+` cannot stand in one. Empty of a recipe without a version."""
    tag = artifact.version.replace("+", "_")
    if tag and not TAG.fullmatch(tag):
        help = 'write it as in `version = "1.0.0"`'
        raise fail("E120", f"`{tag[:60]}` cannot be a tag", help=help)
    return tag


def _titles(files: Sequence[Source]) -> dict[str, str]:
    """Names below the folder that holds them all."""
    if not files or files[0].name == "<stdin>":
        raise fail("E123", "a recipe without a file has no name to publish", help="save the recipe to a file first")
    paths = {f.name: os.path.abspath(f.name) for f in files}
    root = os.path.commonpath([os.path.dirname(p) for p in paths.values()])
    return {name: posixpath.join(*Path(os.path.relpath(path, root)).parts) for name, path in paths.items()}


def _annotations(checked: Checked, lock: Lock) -> dict[str, str]:
    recipe = checked.recipe
    if recipe is None:
        header = checked.parsed.recipe
        return {m.TITLE: _name(header) if header is not None else "", f"{_OWN}.language": "1"}
    base = _base(checked)
    found = {
        **told_of(recipe),
        f"{_OCI}.base.name": base,
        f"{_OCI}.base.digest": lock.recipes.get(base, "") if base else "",
    }
    return {key: value for key, value in found.items() if value}


def told_of(recipe: Recipe) -> dict[str, str]:
    """What a manifest says of a recipe beside its files; a text is empty where the recipe says nothing."""
    meta = recipe.meta
    return {
        m.TITLE: recipe.name,
        f"{_OCI}.version": meta.version or "",
        f"{_OCI}.licenses": meta.license or "",
        f"{_OCI}.authors": ", ".join(meta.authors),
        f"{_OCI}.description": meta.summary or "",
        f"{_OWN}.language": recipe.version,
        f"{_OWN}.task": recipe.model.task,
        f"{_OWN}.method": _methods(recipe),
    }


def _name(header: t.Recipe) -> str:
    name = getattr(header, "name", "")
    return name if isinstance(name, str) else ""


def _base(checked: Checked) -> str:
    statements = checked.parsed.recipe.statements if checked.parsed.recipe is not None else ()
    found = next((s for s in statements if isinstance(s, t.Extends)), None)
    return "" if found is None else found.reference.plain


def _methods(recipe: Recipe) -> str:
    names = {getattr(p.method, "name", "") for stage in recipe.stages for p in stage.prunes}
    return ", ".join(sorted(n for n in names if isinstance(n, str) and n))

"""What an output folder keeps of its recipe, beside the text that `resume` reads.

`portable.recipe` is the evaluated recipe without a path of this machine,
`spec.json` its canonical form (so that sha256 of it is the spec digest),
`sources/` what was typed, `origin.json` what the form does not tell: contents of
local models and data, parameters, licence, papers.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recipelang.kinds.text import show
from recipelang.planning.identities import identities, local_references
from recipelang.source import Source
from recipelang.source.text import Sources
from recipelang.spec.canonical import spec_form
from recipelang.spec.effective import effective
from recipelang.spec.recipe import Recipe
from recipelang.spec.references import references
from recipelang.values.selector import to_json

PORTABLE, SPEC, ORIGIN, SOURCES = "portable.recipe", "spec.json", "origin.json", "sources"


def carried(recipe: Recipe, beside: Path) -> dict[str, str]:
    """Path below `recipe/` -> text. Local references are relative to `beside`."""
    sources = {f"{SOURCES}/{name}": text for name, text in _sources(recipe.source).items()}
    return _files(recipe, beside, _portable(local_references(recipe)), _told(recipe)) | sources


def _files(recipe: Recipe, beside: Path, moved: Mapping[str, str], told: Mapping[str, Any]) -> dict[str, str]:
    """`moved`: a local reference -> what it is called there."""
    contents = identities(recipe, beside)
    origin = {
        **told,
        "references": {path: moved.get(named, named) for path, named in references(recipe)},
        "contents": {moved.get(named, named): digest for named, digest in contents.items()},
    }
    return {
        PORTABLE: effective(recipe, moved),
        SPEC: to_json(spec_form(recipe, contents)),
        ORIGIN: json.dumps(origin, indent=1, ensure_ascii=False) + "\n",
    }


def _told(recipe: Recipe) -> dict[str, Any]:
    return {
        "name": recipe.name,
        "version": recipe.meta.version,
        "license": recipe.meta.license,
        "authors": list(recipe.meta.authors),
        "cites": list(recipe.meta.cites),
        "tags": list(recipe.meta.tags),
        "summary": recipe.meta.summary or recipe.doc.split("\n\n")[0] or None,
        "reported": list(recipe.meta.reported),
        "parameters": {p.name: show(recipe.evaluator.definition_value(p.name)) for p in recipe.params},
    }


def carried_anew(recipe: Recipe, beside: Path, origin: Mapping[str, Any]) -> dict[str, str]:
    """The same of a run that goes on with other claims: what was typed stays, and so do names and parameters.

    `origin`: of the first start, empty where it left none. The recipe is the one that `resume` reads, in which local references are whole paths.
    """
    named = origin.get("references")
    first = (
        {full: str(named[path]) for path, full in references(recipe) if path in named}
        if isinstance(named, dict)
        else {}
    )
    local = local_references(recipe)
    moved = _portable([path for path in local if path not in first]) | {p: n for p, n in first.items() if p in local}
    return _files(recipe, beside, moved, origin or _told(recipe))


def _portable(paths: list[str]) -> dict[str, str]:
    """A path that only this machine has -> the last part of it, told apart where two are alike."""
    moved: dict[str, str] = {}
    taken = {p for p in paths if not _of_machine(p)}
    for path in filter(_of_machine, paths):
        last = re.split(r"[/\\]", path.rstrip("/\\"))[-1] or "here"
        name, n = f"./{last}", 1
        while name in taken:
            n += 1
            name = f"./{n}-{last}"
        taken.add(name)
        moved[path] = name
    return moved


def _of_machine(path: str) -> bool:
    return bool(re.match(r"[/~\\]|file://|[A-Za-z]:[/\\]", path))


def _sources(source: Source) -> Mapping[str, str]:
    """Every file as typed, by a relative name: below the folder they have in common, the library's below `lib/`."""
    files = source.files if isinstance(source, Sources) else (source,)
    local = [posixpath.normpath(f.name.replace("\\", "/")) for f in files if "://" not in f.name and f.name[:1] != "<"]
    absolute = [posixpath.normpath(posixpath.join(Path.cwd().as_posix(), name)) for name in local]
    common = posixpath.commonpath([posixpath.dirname(p) for p in absolute]) if absolute else ""
    names = dict(zip(local, (posixpath.relpath(p, common) for p in absolute), strict=True))
    found: dict[str, str] = {}
    for file in files:
        scheme, separator, rest = file.name.partition("://")
        if separator:
            name = f"{scheme}/{rest.removesuffix('.recipe')}.recipe"
        elif file.name[:1] == "<":
            name = "stdin.recipe"
        else:
            name = names[posixpath.normpath(file.name.replace("\\", "/"))]
        found[safe_name(name)] = file.text
    return found


def safe_name(name: str) -> str:
    """The path below `sources/` for a file of this name."""
    return "/".join(_safe(part) for part in name.split("/"))


def _safe(part: str) -> str:
    """A part of a path that is one everywhere."""
    return re.sub(r"[^\w.@+-]+", "-", part).strip(".") or "-"

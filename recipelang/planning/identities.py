"""What lives on this machine enters the digests by its contents: where it is, and its digest."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from recipelang.planning.contents import data_digest, stream_digest
from recipelang.planning.facts import model_digest, read_config
from recipelang.planning.references import is_local, local_path
from recipelang.source import Diagnostics, RecipeError, fail
from recipelang.source.suggest import closest
from recipelang.spec.recipe import Recipe
from recipelang.spec.references import references, streamed
from recipelang.tasks.chat_template import read_template


def local_references(recipe: Recipe) -> list[str]:
    """Models and data named by a path, each once."""
    return [r for r in dict.fromkeys(reference for _, reference in references(recipe)) if is_local(r)]


def identities(
    recipe: Recipe, beside: Path, known: Mapping[str, str] | None = None, *, anew: bool = False
) -> dict[str, str]:
    """Local reference as written -> digest of what is there. E074 and E076, every one that is missing at once.

    What is `known` is not looked at. `anew`: every file is read, whatever is remembered of it. Of a recipe that names
    a column of chats, the chat template is a part of the model.
    """
    known = dict(known or {})
    chats = any("messages" in dict(data.columns) for data in recipe.data.values())
    streams = streamed(recipe)
    found = Diagnostics()
    for path, reference in references(recipe):
        if not is_local(reference) or reference in known:
            continue
        is_model = path.endswith((".base", ".teacher"))
        try:
            folder = local_path(reference, beside)
            known[reference] = _contents(folder, is_model, anew, reference in streams)
            if chats and path == "model.base":
                known[reference] = _with_template(folder, known[reference])
        except RecipeError as error:
            found.extend([replace(d, primary=d.primary or recipe.label(path)) for d in error.diagnostics])
    found.raise_errors()
    return known


def _with_template(folder: Path, digest: str) -> str:
    try:
        template = read_template(folder).digest
    except RecipeError:  # the plan refuses it
        return digest
    return "sha256:" + hashlib.sha256(f"{digest}\n{template}\n".encode()).hexdigest()


def _contents(path: Path, is_model: bool, anew: bool, is_stream: bool) -> str:
    try:
        if is_model:
            read_config(path)  # says what is wrong with a folder better than a missing file does
            return model_digest(path, anew=anew)
        return stream_digest(path) if is_stream else data_digest(path, anew=anew)
    except FileNotFoundError:
        beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        near = closest(path.name, beside)
        help = f"did you mean `{near}`?" if near else None
        raise fail("E074", f"there is no data file `{path}`", help=help) from None
    except OSError as error:
        why = [error.strerror or str(error)]
        raise fail("E076" if is_model else "E074", f"`{error.filename or path}` cannot be read", notes=why) from None

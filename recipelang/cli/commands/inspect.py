"""`recipelang inspect`: how a model was made."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import typer

from recipelang.cli import complete, options, screen


def inspect(
    where: str = typer.Argument(
        ...,
        metavar="DIR|FILE|REF",
        help="The output folder of a run, a safetensors file, a recipe, or a published recipe.",
        autocompletion=complete.what_tells,
    ),
    allow_private: bool = typer.Option(
        False,
        "--allow-private",
        help="Download a recipe that is not pulled, also from a registry on this machine or its private network.",
    ),
    form: options.OrJson = options.FullOrJson.full,
) -> None:
    """Show how a model was made, from a run, a weight file or a recipe.

    For an output folder: the recipe, digests, environment, and claims as the run
    measured them. For a weight file: the metadata in its header; weights are not
    read. For a recipe: its name and digests. For a published recipe: its manifest.

    Everything shown is what the file itself states; `recipelang verify` checks it.

    Examples:

      recipelang inspect runs/first

      recipelang inspect model.safetensors

      recipelang inspect runs/first --format json
    """
    from recipelang.artifact.places import is_packed
    from recipelang.cli.packed import pushed
    from recipelang.provenance.inspected import inspected, told_of
    from recipelang.source import fail

    if is_packed(where):
        told = told_of(pushed(where, allow_private), where)
    elif where == "-" or where.startswith("lib://"):
        told = _recipe(where)
    elif os.path.exists(where):
        told = inspected(Path(where)) or _recipe(where)
    else:
        raise fail("E135", f"there is nothing at `{where}`", help="name a run's folder, a weight file, or a recipe")
    if form is options.FullOrJson.json:
        print(screen.json_text({"format_version": "1.0", **told}))
    else:
        from recipelang.cli.screen.inspect import show

        show(told)


def _recipe(where: str) -> dict[str, Any]:
    """A recipe by itself: its digests need the local models and data that it names."""
    from recipelang.kinds.text import show
    from recipelang.loading.documents import read_either
    from recipelang.loading.locking import beside
    from recipelang.loading.read import read_around
    from recipelang.planning.identities import identities
    from recipelang.source import RecipeError
    from recipelang.spec.canonical import behaviour_digest, spec_digest

    read = read_either(where, read_around())
    recipe = read.recipe
    digests: dict[str, str | None] = {"spec": None, "behaviour": None}
    try:
        local = identities(recipe, beside(where), read.contents)
        digests = {"spec": spec_digest(recipe, local), "behaviour": behaviour_digest(recipe, local)}
    except RecipeError:
        pass  # a model or data set is not on this machine
    return {
        "kind": "recipe",
        "where": where,
        "name": recipe.name,
        "version": recipe.meta.version,
        "digests": digests,
        "base": recipe.model.base,
        "parameters": {p.name: show(recipe.evaluator.definition_value(p.name)) for p in recipe.params},
        "files": [f.name for f in read.files],
        "cites": list(recipe.meta.cites),
    }

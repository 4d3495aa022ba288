"""`recipelang inspect`: how a model was made."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import typer

from recipelang.cli import complete, options, screen
from recipelang.source.words import first_n

#: of a long table
_MOST = 12


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
        print(json.dumps({"format_version": "1.0", **told}, indent=2, ensure_ascii=True))
    else:
        _show(told)


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


# ------------------------------------------------------------------------- screen
def _show(told: dict[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    from recipelang.source.render import clean, line_of

    console = screen.console()
    name = told.get("name") or "?"
    version = f" {line_of(str(told['version']))}" if told.get("version") else ""
    head = f"{line_of(str(name))}{version}"
    console.print(
        Text.assemble((head, "bold"), (f"  {told['kind']}, as stated by itself (not verified)", "dim")), soft_wrap=True
    )
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for label, text in _rows(told):
        table.add_row(f"  {label}", Text(line_of(text)))
    console.print(table)
    if told.get("claims"):
        claims = Table(box=None, padding=(0, 2, 0, 2), header_style="dim")
        for column in ("claim", "expected", "measured by the run", "met"):
            claims.add_column(column, overflow="fold")
        for claim in told["claims"]:
            met = {True: "yes", False: "no"}.get(claim.get("met"), "?")
            cells = (f"{claim.get('kind')} {claim.get('text')}", claim.get("expected"), claim.get("measured"), met)
            claims.add_row(*(Text(line_of(str(cell))) for cell in cells))
        console.print()
        console.print(claims)
    if told.get("recipe"):
        console.print()
        console.print(Text(clean(told["recipe"]).rstrip()), soft_wrap=True)


def _rows(told: dict[str, Any]) -> list[tuple[str, str]]:
    """The rows that there are, in the order of how the model was made."""
    rows = [("from", told.get("base"))]
    if told.get("status") not in (None, "finished"):
        rows.append(("status", told["status"]))
    if told.get("rehearsal"):
        rows.append(("rehearsal", f"only {first_n(told['rehearsal'], 'step')} of every stage"))
    rows.append(("parameters", ", ".join(f"{n} = {v}" for n, v in told.get("parameters", {}).items())))
    rows += [(kind, digest) for kind, digest in told["digests"].items()]
    rows.append(("seed", told.get("seed")))
    environment = told.get("environment") or {}
    rows.append(
        ("ran in", ", ".join(f"{n} {environment[n]}" for n in ("recipelang", "torch", "device") if n in environment))
    )
    rows.append(("at", told.get("time")))
    if told.get("sparsity") is not None:
        rows.append(("sparsity", f"{told['sparsity']:.2%} of all matrices"))
    metrics = [(n, v) for n, v in told.get("metrics", {}).items() if not n.startswith("stage.")]
    rows.append(("measured", ", ".join(f"{n} {v:.4f}" for n, v in metrics[:_MOST])))
    rows += [(_label(n), v) for n, v in told.get("annotations", {}).items() if _label(n) not in ("title", "version")]
    rows.append(("tensors", told.get("tensors")))
    files = told.get("files")
    rows.append(("files", ", ".join(map(str, files[:_MOST])) if isinstance(files, list) else files))
    rows.append(("model files", ", ".join(told.get("weights", [])[:_MOST])))
    rows.append(("cites", ", ".join(told.get("cites", []))))
    rows.append(("signature", told.get("signature")))
    return [(label, str(value)) for label, value in rows if value not in (None, "")]


def _label(annotation: str) -> str:
    """Of an annotation, the part that says what it is; the start names whose vocabulary it is of."""
    return annotation.removeprefix("org.opencontainers.image.").removeprefix("dev.recipelang.").replace(".", " ")

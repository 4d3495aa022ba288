"""`recipelang digest`: the digests of a recipe, one a line."""

from __future__ import annotations

from enum import StrEnum

import typer

from recipelang.cli import complete, options, screen


class Which(StrEnum):
    spec = "spec"
    behaviour = "behaviour"
    source = "source"


def digest(
    file: str = typer.Argument(
        ..., metavar="FILE", help="A recipe or its JSON; `-` reads standard input.", autocompletion=complete.documents
    ),
    param: options.Param = [],  # noqa: B006 (typer copies it)
    params: options.Params = [],  # noqa: B006
    overlay: options.Overlay = [],  # noqa: B006
    only: Which | None = typer.Option(None, "--only", help="Print only this digest, as plain hexadecimal digits."),
    as_json: bool = typer.Option(False, "--json", help="Print the digests as JSON."),
) -> None:
    """Print the digests of a recipe: equal digests mean equal recipes.

    `spec` covers the experiment: all values, defaults and claims. Comments, order,
    spelling, names of parameters and `meta` do not change it.

    `behaviour` covers everything that decides the weights: the spec without `expect`,
    `prefer`, `evaluate` and `export`.

    `source` covers the bytes of each file.

    A local model or data set counts by its contents, so it must be on this machine;
    nothing is downloaded. `recipelang convert --to json` prints the text behind the
    spec digest.

    Examples:

      recipelang digest squad.recipe

      recipelang digest squad.recipe -p target=97% --only spec
    """
    from recipelang.loading.documents import read_either
    from recipelang.loading.locking import beside
    from recipelang.loading.read import read_around
    from recipelang.planning.identities import identities
    from recipelang.spec.canonical import behaviour_digest, spec_digest

    read = read_either(file, read_around(param, params, overlay))
    recipe, contents = read.recipe, read.contents
    sources = [(f.name, _sha256(f.text)) for f in read.files]
    if only is Which.source:
        print(*(hexadecimals.removeprefix("sha256:") for _, hexadecimals in sources), sep="\n")
        return
    local = identities(recipe, beside(file), contents)
    digests = {"spec": spec_digest(recipe, local), "behaviour": behaviour_digest(recipe, local)}
    named = {reference: found for reference, found in local.items() if reference not in contents}
    if only is not None:
        print(digests[only].removeprefix("sha256:"))
    elif as_json:
        found = {
            "format_version": "1.0",
            **digests,
            "sources": [{"file": name, "digest": of} for name, of in sources],
            "contents": [{"reference": reference, "digest": of} for reference, of in named.items()],
        }
        print(screen.json_text(found))
    else:
        _table([*((kind, of, "") for kind, of in digests.items()), *(("source", of, name) for name, of in sources)])
        _table([("contents", of, reference) for reference, of in named.items()])


def _table(rows: list[tuple[str, str, str]]) -> None:
    from recipelang.source.render import line_of

    for kind, of, name in rows:
        screen.tell(f"{kind:<9}  {of}  {line_of(name)}".rstrip())


def _sha256(text: str) -> str:
    import hashlib

    return "sha256:" + hashlib.sha256(text.encode("utf-8")).hexdigest()

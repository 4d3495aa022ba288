"""`recipelang index`: the recipes of a folder, a registry or the Hub, as a page."""

from __future__ import annotations

from pathlib import Path

import typer

from recipelang.cli import options, screen


def index(
    places: list[str] = typer.Argument(
        ...,
        metavar="PLACE...",
        help="A folder of recipes, a folder written by `push`, `oci://HOST` or `oci://HOST/NAME`, `hf://OWNER` or "
        "`hf://OWNER/NAME`, or `lib://` for the library.",
    ),
    out: Path | None = typer.Option(None, "-o", "--out", metavar="DIR", help="Write a page and JSON to this folder."),
    title: str = typer.Option("Recipes", metavar="TEXT", help="Set the title of the page."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
    allow_private: options.AllowPrivate = False,
) -> None:
    """List recipes: what each does, its targets, digests, claims and licence, and who measured it.

    With `-o`, the list is written as `index.html`, one page that can be searched and needs
    no network, and as `index.json`. Each recipe has the line to run it and the line to
    build on it.

    Recipes of a registry or the Hub are downloaded and checked against their digests, as
    by `pull`. Signatures are not checked; `recipelang verify` checks them.

    Examples:

      recipelang index recipes -o public

      recipelang index oci://ghcr.io/example/recipes --title "Our recipes" -o public

      recipelang index lib:// --json
    """
    from recipelang.provenance.catalog import listed
    from recipelang.report import catalog

    found = listed(places, allow_private)
    if out is not None:
        from recipelang.storage.writing import make_folder

        make_folder(out)
        catalog.write(out, title, places, found)
        screen.tell(f"wrote {out / catalog.PAGE} and {out / catalog.DATA}")
    elif as_json:
        print(screen.json_text(catalog.document(places, found)))
    else:
        from recipelang.cli.screen import explained

        explained.rows((each.where, each.summary) for each in found)

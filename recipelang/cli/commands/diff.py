"""`recipelang diff`: how two recipes differ."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from recipelang.cli import complete, options, screen
from recipelang.cli.exit_codes import Exit
from recipelang.loading.files import is_elsewhere

if TYPE_CHECKING:
    from recipelang.loading.documents import Read
    from recipelang.provenance.diff import Change, Diff, Side


def diff(
    a: str = typer.Argument(
        ..., metavar="A", help="A recipe, its JSON, or the output folder of a run.", autocompletion=complete.documents
    ),
    b: str = typer.Argument(
        ..., metavar="B", help="The second one; `-` reads standard input.", autocompletion=complete.documents
    ),
    param: list[str] = typer.Option(
        [], "-p", "--param", metavar="NAME=VALUE", help="Set a parameter to a value in both recipes."
    ),
    plan: bool = typer.Option(
        True, "--plan/--no-plan", help="Also compare the plans: steps, events and remaining weights."
    ),
    form: options.OrJson = options.FullOrJson.full,
) -> None:
    """Show how two recipes differ in meaning: behaviour, claims, references, metadata.

    Values are compared, not texts: `90%` equals `0.9`, and comments, order, `let`s
    and names of parameters are ignored. Each change is shown with its line in both
    files. If the models and data are on this machine, the plans are compared too:
    steps, events, remaining weights. Nothing is downloaded.

    Exit code 0 means the same experiment (equal spec digests), 4 a different one.
    Changes of `meta` alone are shown, with exit code 0.

    For a `git diff` of meanings, see `recipelang convert --help`.

    Examples:

      recipelang diff old.recipe new.recipe

      recipelang diff runs/first squad.recipe --no-plan

      git show HEAD~1:squad.recipe | recipelang diff squad.recipe -
    """
    from recipelang.provenance.diff import diff as compare

    with _offline():
        first, second = _read(a, param), _read(b, param)
        known = _identities(first, a), _identities(second, b)
        found = compare(first.recipe, second.recipe, *known)
        follows, why = _consequences((first, a), (second, b)) if plan and not found.same else ([], "")
    if form is options.FullOrJson.json:
        print(_json(found, follows, why))
    else:
        from recipelang.cli.screen.diff import show

        show(found, follows, why)
    if not found.same:
        raise typer.Exit(Exit.CHANGES)


@contextmanager
def _offline() -> Iterator[None]:
    """Reading a recipe never touches the network, and planning it for a comparison does not either."""
    names = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE")
    before = {name: os.environ.get(name) for name in names}
    os.environ |= dict.fromkeys(names, "1")
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def _file(where: str) -> str:
    """Of a run, the text that it was made from."""
    kept = Path(where) / "recipe" / "effective.recipe"
    return str(kept) if where != "-" and os.path.isfile(kept) else where


def _read(where: str, param: list[str]) -> Read:
    from recipelang.loading.documents import read_either
    from recipelang.loading.read import read_around

    return read_either(_file(where), read_around([] if _file(where) != where else param))


def _identities(read: Read, where: str) -> dict[str, str]:
    """Contents of what is here, or as the lock of a published recipe has them; the rest is compared by its name."""
    from recipelang.loading.locking import beside
    from recipelang.planning.identities import identities
    from recipelang.source import RecipeError

    try:
        return identities(read.recipe, beside(_file(where)), read.contents)
    except RecipeError:
        return {}


def _consequences(*both: tuple[Read, str]) -> tuple[list[tuple[str, float, float]], str]:
    """What follows, or why it is not told."""
    from recipelang.loading.locking import beside
    from recipelang.planning.identities import local_references
    from recipelang.planning.resolve import resolve
    from recipelang.provenance.diff import consequences
    from recipelang.provenance.outcome import outcome
    from recipelang.source import Diagnostics, RecipeError

    found = []
    for read, where in both:
        if is_elsewhere(where) and any(r in read.contents for r in local_references(read.recipe)):
            # paths of another machine: whatever has that name on this one is not read
            return [], f"{where} refers to models and data on the publisher's machine"
        try:
            diagnostics = Diagnostics()
            made = resolve(read.recipe, beside(_file(where)), diagnostics)
            diagnostics.raise_errors()
        except RecipeError as error:
            return [], f"{where}: {error.diagnostics[0].message}"
        if made is None:
            return [], f"{where} cannot be planned here"
        found.append(outcome(made))
    return consequences(*found), ""


def _json(found: Diff, follows: list[tuple[str, float, float]], why: str) -> str:
    def side(of: Side | None) -> object:
        if of is None:
            return None
        at = of.at and {"file": of.at.source.name, "line": of.at.source.position(of.at.span.start)[0]}
        return {"value": of.text, "at": at}

    def change(c: Change) -> object:
        path = None if c.path.startswith("claim ") else c.path
        return {"group": c.group, "path": path, "before": side(c.before), "after": side(c.after)}

    form = {
        "format_version": "1.0",
        "same": found.same,
        "spec": list(found.digests),
        "changes": [change(c) for c in found.changes],
        "consequences": [{"what": n, "before": x, "after": y} for n, x, y in follows],
        "consequences_unknown": why or None,
    }
    return screen.json_text(form)

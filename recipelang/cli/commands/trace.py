"""`recipelang trace`: where a value comes from."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import typer

from recipelang.cli import complete, options, screen
from recipelang.cli.exit_codes import Exit
from recipelang.loading.read import read_around, read_recipe
from recipelang.source import fail
from recipelang.source.render import line_of
from recipelang.source.suggest import closest
from recipelang.spec.trace import Link, Trace, known_paths, trace as traced

#: where the places begin in the list of all values, at most
WIDTH = 72


def trace(
    file: options.File,
    path: str = typer.Argument(
        "",
        metavar="[PATH]",
        help="An attribute such as `stage.sparse.prune.weights.sparsity`, a parameter or a `let`; the default is all values.",
        autocompletion=complete.paths,
    ),
    param: options.Param = [],  # noqa: B006 (typer copies it)
    params: options.Params = [],  # noqa: B006
    overlay: options.Overlay = [],  # noqa: B006
) -> None:
    """Show where a value comes from: the file and line of each assignment, and of every name in it.

    If a value is assigned more than once, the last assignment counts; the others are marked as replaced.

    Examples:

      recipelang trace squad.recipe stage.sparse.prune.weights.sparsity

      recipelang trace squad.recipe target -p target=97%

      recipelang trace squad.recipe       (every value)
    """
    around = read_around(param, params, overlay)
    checked = read_recipe(file, around)
    screen.show(checked.diagnostics.sorted())
    if checked.composed is None or checked.evaluator is None:
        raise typer.Exit(Exit.ERRORS)
    known = known_paths(checked)
    found = traced(checked, around.given, path) if path else None
    if found is not None:
        screen.tell("\n".join(_lines(found, "")))
    elif path:
        near = closest(path, known)
        help = f"did you mean `{near}`?" if near else "`recipelang trace FILE` lists all there are"
        raise fail("E022", f"the recipe has no `{path}`", help=help)
    else:
        every = [short for one in known if (short := traced(checked, around.given, one)) is not None]
        width = min(WIDTH, max(len(_head(short)) for short in every))
        for short in every:
            screen.tell(f"{_head(short):<{width}}  # {_from(short.links[-1])}")
    if checked.diagnostics.errors:
        print(file=sys.stderr)
        raise typer.Exit(Exit.ERRORS)


def _lines(found: Trace, indent: str) -> Iterator[str]:
    yield f"{indent}{_head(found)}"
    width = max(len(link.place) for link in found.links)
    for link in found.links:
        text = line_of(f"{link.place:<{width}}  {link.text}").strip()
        yield f"{indent}  {text}{'   (replaced)' if link.replaced else ''}"
    for used in found.uses:
        yield from _lines(used, f"{indent}    ")


def _head(found: Trace) -> str:
    value = "?" if found.value is None else " ".join(found.value.split())
    return line_of(f"{found.path} = {value}")


def _from(link: Link) -> str:
    return line_of(link.place or link.text)

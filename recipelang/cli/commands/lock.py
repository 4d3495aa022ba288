"""`recipelang lock`: pin everything a recipe refers to, so that it is the same everywhere."""

from __future__ import annotations

from pathlib import Path

import typer

from recipelang.cli import options, screen
from recipelang.source import Diagnostics, fail
from recipelang.source.words import plural


def lock(
    file: options.File,
    param: options.Param = [],  # noqa: B006 (typer copies it)
    params: options.Params = [],  # noqa: B006
    overlay: options.Overlay = [],  # noqa: B006
    upgrade: list[str] = typer.Option(
        [],
        "--upgrade",
        metavar="REF",
        help="Look up this reference again and pin the new version; `all` updates every reference.",
    ),
    allow_private: options.AllowPrivate = False,
) -> None:
    """Pin everything a recipe refers to in `FILE.lock`: models, data, recipes, metric code.

    Files and library recipes are pinned by the sha256 of their contents, models and data on
    the Hub by commit, published recipes by the digest of their manifest. Published recipes are
    downloaded to the cache, so that later commands read them without a network.

    References that are already pinned stay as they are; `--upgrade` updates them. Keep the
    lock next to the recipe, under version control.

    Examples:

      recipelang lock squad.recipe

      recipelang lock squad.recipe --upgrade hf://rajpurkar/squad

      recipelang lock squad.recipe --upgrade all
    """
    from recipelang.loading.locking import has_file, make_lock, no_place

    if why := no_place(file):
        help = "save it to a file first" if not has_file(file) else "copy it, and lock the copy"
        raise fail("E132", f"`{file[:120]}` has no place for a lock", notes=[why], help=help)
    from recipelang.artifact.lock import lock_path, read_lock, write_lock
    from recipelang.loading.read import read_around

    before = read_lock(lock_path(file))
    found = Diagnostics()
    made = make_lock(file, read_around(param, params, overlay), before, upgrade, allow_private, found)
    _known(upgrade, set(made.refs) | set(before.refs if before else ()))
    screen.show(found.sorted())
    if before == made and lock_path(file).is_file():
        screen.tell(f"{lock_path(file)}: unchanged ({plural(len(made.refs), 'reference')})")
        return
    write_lock(made, Path(lock_path(file)))
    from recipelang.source.render import line_of

    for reference in sorted(made.refs):
        old = None if before is None else before.refs.get(reference)
        state = "new" if old is None else "same" if dict(old) == dict(made.refs[reference]) else "changed"
        screen.tell(f"  {state:<8} {made.refs[reference]['kind']:<8} {line_of(reference)}")
    screen.tell(f"wrote {lock_path(file)}")


def _known(upgrade: list[str], references: set[str]) -> None:
    from recipelang.source.suggest import closest

    for asked in upgrade:
        if asked != "all" and asked not in references:
            near = closest(asked, sorted(references))
            help = f"did you mean `{near}`?" if near else "name one as it is written in the recipe, or `all`"
            raise fail("E022", f"the recipe does not refer to `{asked[:120]}`", help=help)

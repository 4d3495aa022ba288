"""`recipelang lock`: note what a recipe refers to, so that it is the same everywhere."""

from __future__ import annotations

from pathlib import Path

import typer

from recipelang.cli import options, screen
from recipelang.source import Diagnostics, fail


def lock(
    file: options.File,
    param: options.Param = [],  # noqa: B006 (typer copies it)
    params: options.Params = [],  # noqa: B006
    overlay: options.Overlay = [],  # noqa: B006
    upgrade: list[str] = typer.Option(
        [], "--upgrade", metavar="REF", help="Look this reference up anew; `all` for every one."
    ),
    allow_private: options.AllowPrivate = False,
) -> None:
    """Note in `FILE.lock` what a recipe refers to: models, data, recipes, metric code.

    Files and library recipes are noted by the sha256 of their contents, models and data of
    the Hub by commit, recipes elsewhere by the digest of their manifest. These are fetched
    into the cache; from then on no command needs the network to read them.

    What was noted before stays, unless `--upgrade` says otherwise. Keep the lock beside
    the recipe and under version control.

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
        screen.tell(f"{lock_path(file)}: nothing changed ({len(made.refs)} references)")
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

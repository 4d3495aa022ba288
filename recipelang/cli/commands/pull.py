"""`recipelang pull`: download a published recipe."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from recipelang.cli import options, screen
from recipelang.source import fail

if TYPE_CHECKING:
    from recipelang.artifact.contents import Artifact


def pull(
    source: str = typer.Argument(
        ...,
        metavar="REF|DIR",
        help="`oci://HOST/NAME:VERSION` (or `@sha256:...`), `hf://OWNER/NAME`, or a folder written by `push` (`DIR[:VERSION]`).",
    ),
    out: Path | None = typer.Option(None, "-o", "--out", metavar="DIR", help="Write the files to this new folder."),
    upgrade: bool = typer.Option(False, "--upgrade", help="Accept that the tag now names a different recipe."),
    allow_private: options.AllowPrivate = False,
) -> None:
    """Download a recipe, and the recipes it builds on, to the cache without running it.

    Every file is checked against its digest, and the recipe against the spec digest of the
    artifact, before anything is kept. After that, `validate`, `plan`, `run` and the other
    commands accept the reference in place of a file name, without a network.

    `-o` also writes the files to a folder, where you can read and change them. Recipes in
    a folder of recipes can be used only this way.

    Examples:

      recipelang pull oci://ghcr.io/example/recipes/squad:1.0.0

      recipelang pull hf://example/squad-recipe -o squad

      recipelang pull shared-recipes:1.0.0 -o squad
    """
    from recipelang.artifact.fetch import Fetching
    from recipelang.artifact.places import get
    from recipelang.loading.files import bundled
    from recipelang.loading.locking import allowed_hosts
    from recipelang.source.render import line_of

    artifact = get(source, Fetching(bundled, allowed_hosts(source, allow_private)), upgrade=upgrade)
    title = line_of(" ".join(filter(None, (artifact.name, artifact.version))))[:120]
    screen.tell(f"pulled    {title or line_of(artifact.entry)}")
    screen.tell(f"manifest  {artifact.digest}")
    screen.tell(f"spec      {artifact.spec or 'none (some values are not set)'}")
    if out is not None:
        _write(artifact, out)
    for name in artifact.files():
        screen.tell(f"  {line_of(str(out / name) if out else name)}")


def _write(artifact: Artifact, out: Path) -> None:
    """All files or none; a folder that holds anything else is left alone."""
    from recipelang.artifact.layout import is_empty
    from recipelang.storage.writing import fill, new_folder

    wanted = artifact.files()
    if not out.name or (os.path.lexists(out) and not is_empty(out)):  # `.` cannot be put in place at once
        if os.path.isdir(out) and all(_holds(out / name, data) for name, data in wanted.items()):
            return
        raise fail("E085", f"`{out}` is there already", help="choose a new folder with `-o`")
    with new_folder(out) as part:
        fill(part, wanted)


def _holds(path: Path, data: bytes) -> bool:
    from recipelang.storage.reading import Unreadable, read_bytes

    try:
        return read_bytes(path, len(data)) == data
    except Unreadable:
        return False

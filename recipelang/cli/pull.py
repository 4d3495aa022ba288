"""`recipelang pull`: bring a published recipe to this machine."""

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
        help="`oci://HOST/NAME:VERSION` or `@sha256:...`, `hf://OWNER/NAME`, or a folder that `push` made, perhaps with `:VERSION`.",
    ),
    out: Path | None = typer.Option(None, "-o", "--out", metavar="DIR", help="Write the files to this new folder."),
    upgrade: bool = typer.Option(
        False, "--upgrade", help="Take it also when the tag names another recipe than before."
    ),
    allow_private: options.AllowPrivate = False,
) -> None:
    """Bring a recipe, and the recipes it builds on, into the cache; nothing of it runs.

    Everything is checked before any of it is kept: each file against its digest, the files
    against what the artifact says they mean. From then on `validate`, `plan`, `run` and
    the others take the reference as a file name, and need no network for it.

    With `-o` the files are written to a folder, to be read and changed; what lies in a
    folder of recipes is used in this way only.

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
    screen.tell(f"spec      {artifact.spec or 'none: it leaves values open'}")
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

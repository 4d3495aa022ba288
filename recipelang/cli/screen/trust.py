"""A recipe from elsewhere does not run unasked."""

from __future__ import annotations

import sys

from recipelang.cli import screen
from recipelang.source import fail


def confirm(file: str, manifest: str, yes: bool, several: bool) -> None:
    """Say where a downloaded recipe is from, and ask before its first run. E133 if nobody can be asked."""
    from recipelang.artifact import cache
    from recipelang.source.render import line_of

    artifact = cache.stored(manifest)
    assert artifact is not None
    notes = artifact.manifest.annotations
    screen.tell(
        f"\n  from      {line_of(file)}\n  manifest  {manifest}\n  spec      {artifact.spec or 'none'}", flush=True
    )
    if authors := notes.get("org.opencontainers.image.authors"):
        screen.tell(f"  authors   {line_of(authors)[:200]} (not verified)")
    screen.tell("  signer    not checked; `recipelang verify` checks signatures\n", flush=True)
    if yes:
        return
    if several or not sys.stdin.isatty():
        help = "look at the plan (`recipelang plan`), then run it with `--yes`"
        raise fail("E133", "this recipe from elsewhere was never run here", help=help)
    if input("  run it? [y/N] ").strip().lower() not in ("y", "yes"):
        raise fail("E133", "this recipe from elsewhere was not run", help="`--yes` runs it without asking")

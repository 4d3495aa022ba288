"""`recipelang push`: publish a recipe."""

from __future__ import annotations

import typer

from recipelang.cli import complete, options, screen


def push(
    source: str = typer.Argument(
        ...,
        metavar="FILE|DIR",
        help="A recipe file, the output folder of a run, a pulled recipe (its reference), or a folder of recipes.",
        autocompletion=complete.recipes,
    ),
    target: str = typer.Argument(
        ...,
        metavar="TARGET",
        help="A folder, a registry (`oci://HOST/NAME[:TAG]`) or a Hub repository (`hf://OWNER/NAME[@TAG]`).",
    ),
    allow_private: options.AllowPrivate = False,
) -> None:
    """Publish a recipe and every file it is made of, under the version in its `meta`.

    A published recipe is an OCI artifact: the recipe files under their own names, the lock,
    a page, and the canonical JSON, whose digest is the spec digest. The same recipe has the
    same digest in a folder, in a registry and on the Hub.

    Versions are immutable: if this version exists with other content, nothing is sent. To
    complete an interrupted push, repeat the command; files that have arrived are not sent again.

    Credentials come from `docker login` or `hf auth login`.

    Examples:

      recipelang push squad.recipe oci://ghcr.io/example/recipes/squad

      recipelang push runs/first hf://example/squad-recipe

      recipelang push squad.recipe shared-recipes        (a folder)
    """
    from recipelang.artifact.places import push as send
    from recipelang.cli.packed import packed
    from recipelang.loading.locking import allowed_hosts
    from recipelang.source.render import line_of

    ready = packed(source, allow_private)
    screen.show(ready.found.sorted())
    done = send(ready.artifact, target, allowed_hosts(target, allow_private), ready.said)
    rows = [
        ("pushed" if done.new else "already there", line_of(done.where)),
        ("pinned", line_of(done.pinned)),
        ("spec", ready.artifact.spec or "none (some values are not set)"),
    ]
    if ready.said:
        rows.append(("attached", "the statement of the run" + ", and its signature" * (len(ready.said) > 1)))
    width = max(len(label) for label, _ in rows)
    for label, text in rows:
        screen.tell(f"{label:<{width}}  {text}")

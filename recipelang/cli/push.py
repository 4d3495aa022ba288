"""`recipelang push`: publish a recipe."""

from __future__ import annotations

import typer

from recipelang.cli import complete, options, screen


def push(
    source: str = typer.Argument(
        ...,
        metavar="FILE|DIR",
        help="A recipe, the output folder of a run, or what was pulled: a reference, or a folder of recipes.",
        autocompletion=complete.recipes,
    ),
    target: str = typer.Argument(
        ...,
        metavar="TARGET",
        help="A folder, `oci://HOST/NAME` or `oci://HOST/NAME:TAG`, `hf://OWNER/NAME` or `hf://OWNER/NAME@TAG`.",
    ),
    allow_private: options.AllowPrivate = False,
) -> None:
    """Publish a recipe with all that it is made of, under the version in its `meta`.

    A recipe becomes an OCI artifact: its files under their own names, its lock, a page, and
    what it means as canonical JSON, whose digest is the spec digest. The same recipe has the
    same digest in a folder, a registry and on the Hub.

    Versions do not change: where this one is published with other content, nothing is sent.
    What was cut off is made whole by the same command; what has arrived is not sent again.

    Who you are is taken from where `docker login` or `hf auth login` keep it.

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
        ("spec", ready.artifact.spec or "none: it leaves values open"),
    ]
    if ready.said:
        rows.append(("attached", "the statement of the run" + ", and its signature" * (len(ready.said) > 1)))
    width = max(len(label) for label, _ in rows)
    for label, text in rows:
        screen.tell(f"{label:<{width}}  {text}")

"""`recipelang sign`: put a name under the statement of a run, or under a published recipe."""

from __future__ import annotations

import os
from pathlib import Path

import typer

from recipelang.cli import complete, options, screen


def sign(
    where: str = typer.Argument(
        ...,
        metavar="DIR|REF",
        help="The output folder of a finished run, or a recipe as `push` has put it somewhere.",
        autocompletion=complete.what_tells,
    ),
    key: Path = typer.Option(..., "--key", metavar="FILE", help="A private key, PEM: Ed25519 or ECDSA."),
    allow_private: options.AllowPrivate = False,
) -> None:
    """Put a name under a run, or under a published recipe, with a local key.

    The statement (`recipe/statement.json`) holds the digest of every file of
    the run, so that one signature is of all of them. It is written beside it,
    as a Sigstore bundle (v0.3) with a DSSE envelope. Whoever has the public key
    checks it with `recipelang verify DIR --key PUB`. Nothing leaves this machine. A folder
    that `verify` would not pass is not signed.

    Of a published recipe its manifest is signed, which names all its files. The
    signature is attached to it where it is: `push` of a signed run attaches that
    one by itself.

    A key with a password takes it from `RECIPELANG_KEY_PASSWORD`. Needs
    `pip install 'recipelang[sign]'`.

    `openssl genpkey -algorithm ed25519 -out key.pem` makes a key, and
    `openssl pkey -in key.pem -pubout -out key.pub` its public half.

    Example:

      recipelang sign runs/first --key key.pem

      recipelang sign oci://ghcr.io/example/recipes/squad:1.0.0 --key key.pem
    """
    from recipelang.artifact.places import is_packed
    from recipelang.provenance.signing import sign as put, signature_path
    from recipelang.source import fail
    from recipelang.source.render import line_of

    if is_packed(where):
        screen.tell(f"signed by the key {_published(where, key, allow_private)}\n{line_of(where)}")
        return
    if not os.path.isdir(where):
        help = "name the output folder of a run; a recipe is signed where `recipelang push` has put it"
        raise fail("E135", f"there is no folder `{where[:120]}`", help=help)
    from recipelang.provenance.verify import check_signable

    done = check_signable(Path(where))
    fingerprint = put(Path(where), key)
    for note in done.notes:
        screen.tell(line_of(note))
    screen.tell(f"signed by the key {fingerprint}\n{line_of(str(signature_path(Path(where))))}")


def _published(where: str, key: Path, allow_private: bool) -> str:
    """Only what was checked is signed."""
    from recipelang.artifact.fetch import Fetching
    from recipelang.artifact.places import attach, get
    from recipelang.loading.files import bundled
    from recipelang.loading.locking import allowed_hosts
    from recipelang.provenance.published import sign_published

    allowed = allowed_hosts(where, allow_private)
    artifact = get(where, Fetching(bundled, allowed))
    referrer, fingerprint = sign_published(artifact, key)
    attach(artifact, where, referrer, allowed)
    return fingerprint

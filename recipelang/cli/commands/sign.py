"""`recipelang sign`: sign the statement of a run, or a published recipe."""

from __future__ import annotations

import os
from pathlib import Path

import typer

from recipelang.cli import complete, options, screen


def sign(
    where: str = typer.Argument(
        ...,
        metavar="DIR|REF",
        help="The output folder of a finished run, or the reference of a published recipe.",
        autocompletion=complete.what_tells,
    ),
    key: Path = typer.Option(..., "--key", metavar="FILE", help="Sign with this private key: PEM, Ed25519 or ECDSA."),
    allow_private: options.AllowPrivate = False,
) -> None:
    """Sign a run or a published recipe with a local key.

    The statement of a run (`recipe/statement.json`) holds the digest of every file of the
    run, so one signature covers all of them. The signature is written next to the statement,
    as a Sigstore bundle (v0.3) with a DSSE envelope. Anyone with the public key can check it:
    `recipelang verify DIR --key PUB`. No data leaves this machine. A folder that does
    not pass `verify` is not signed.

    For a published recipe, the command signs its manifest, which lists all its files, and
    attaches the signature where the recipe is published. `push` of a signed run attaches the
    signature of the run automatically.

    Set `RECIPELANG_KEY_PASSWORD` for a key with a password. Signing requires
    `pip install 'recipelang[sign]'`.

    Make a key with `openssl genpkey -algorithm ed25519 -out key.pem`, and its public key
    with `openssl pkey -in key.pem -pubout -out key.pub`.

    Examples:

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
    assert done.statement is not None
    fingerprint = put(Path(where), done.statement.raw, key)
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

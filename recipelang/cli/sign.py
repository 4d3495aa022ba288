"""`recipelang sign`: put a name under the statement of a run."""

from __future__ import annotations

from pathlib import Path

import typer

from recipelang.cli import complete


def sign(
    folder: Path = typer.Argument(
        ..., metavar="DIR", help="The output folder of a finished run.", autocompletion=complete.every_run
    ),
    key: Path = typer.Option(..., "--key", metavar="FILE", help="A private key, PEM: Ed25519 or ECDSA."),
) -> None:
    """Sign the statement of a run with a local key; nothing leaves this machine.

    The statement (`recipe/statement.json`) holds the digest of every file of
    the run, so that one signature is of all of them. It is written beside it,
    as a Sigstore bundle (v0.3) with a DSSE envelope. Whoever has the public key
    checks it with `recipelang verify DIR --key PUB`.

    A key with a password takes it from `RECIPELANG_KEY_PASSWORD`. Needs
    `pip install 'recipelang[sign]'`.

    `openssl genpkey -algorithm ed25519 -out key.pem` makes a key, and
    `openssl pkey -in key.pem -pubout -out key.pub` its public half.

    Example:

      recipelang sign runs/first --key key.pem
    """
    from recipelang.provenance.signing import sign as put, signature_path
    from recipelang.source.render import line_of

    fingerprint = put(folder, key)
    print(f"signed by the key {fingerprint}\n{line_of(str(signature_path(folder)))}")

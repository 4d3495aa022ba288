"""Signatures of run statements: DSSE envelopes in Sigstore bundles (v0.3). All cryptography is the library's.

With a local key (Ed25519 or ECDSA) nothing leaves the machine. A keyless
bundle, made elsewhere, is checked by the `sigstore` library against an identity
and its issuer.
"""

from __future__ import annotations

import hashlib
import os
from base64 import b64decode, b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator

from recipelang.artifact.referrers import BUNDLE as BUNDLE_TYPE, STATEMENT as PAYLOAD_TYPE
from recipelang.provenance.safe_json import parse_object, read_bytes
from recipelang.provenance.statement import SIGNATURE, read_statement, statement_path
from recipelang.source import RecipeError, fail
from recipelang.source.render import line_of
from recipelang.storage import reading
from recipelang.storage.forms import OpenForm, known
from recipelang.storage.strict_json import parse_model
from recipelang.storage.writing import write_json

#: of a password of a private key
PASSWORD = "RECIPELANG_KEY_PASSWORD"
_MAX_KEY = 64 * 1024
_MAX_BUNDLE = 32 * 2**20


def signature_path(folder: Path) -> Path:
    return statement_path(folder).with_name(SIGNATURE)


def _decoded(text: str) -> str:
    try:
        b64decode(text, validate=True)
    except ValueError:
        raise ValueError("it is not base64") from None
    return text


Base64 = Annotated[str, AfterValidator(_decoded)]


class Signature(OpenForm):
    sig: Base64


class Envelope(OpenForm):
    payload: Base64
    payloadType: Annotated[str, known(PAYLOAD_TYPE)]
    signatures: list[Signature]


class Bundle(OpenForm):
    """Of Sigstore, with a statement in an envelope of DSSE."""

    mediaType: Annotated[str, known(BUNDLE_TYPE)]
    dsseEnvelope: Envelope


@dataclass(frozen=True)
class Policy:
    """Who must have signed: a key, or an identity that an issuer vouches for."""

    key: Path | None = None
    identity: str = ""
    issuer: str = ""


def sign(folder: Path, statement: bytes, key: Path) -> str:
    """Sign the very bytes that `check_signable` let pass; gives the fingerprint of the key. E144, E145."""
    bundle, signer = signed(statement, key)
    write_json(signature_path(folder), bundle, inside=folder)
    return signer


def signed(payload: bytes, key: Path) -> tuple[dict[str, Any], str]:
    """The bundle of an in-toto statement, and the fingerprint of the key. E144, E145."""
    private = _private(key)
    signature = _sign(private, _encoded(PAYLOAD_TYPE, payload))
    spki = _spki(private.public_key())
    bundle = {
        "mediaType": BUNDLE_TYPE,
        "verificationMaterial": {"publicKey": {"hint": _base64(hashlib.sha256(spki).digest())}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": _base64(payload),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"sig": _base64(signature), "keyid": fingerprint(spki)}],
        },
    }
    return bundle, fingerprint(spki)


def check_key(key: Path) -> None:
    """E144, E145 for what no signature can be held to, before anything else is looked at."""
    _public(key)


def verify_run(folder: Path, policy: Policy) -> str:
    """Who signed the statement of a run, for the screen. E142, E143 without a signature."""
    said = read_statement(folder)
    payload, signer = opened(read_bytes(_there(folder), _MAX_BUNDLE), policy)
    if payload != said.raw:
        raise _wrong("the signature belongs to another statement")
    return f"signed by {signer}"


def of_this_statement(folder: Path) -> str:
    """Whoever signed it, it is of the statement that lies beside it. E142 for another, or for no signature."""
    payload, _ = _envelope(read_bytes(_there(folder), _MAX_BUNDLE))
    if payload != read_statement(folder).raw:
        raise _wrong("the signature belongs to another statement")
    return "of this statement"


def opened(bundle: bytes, policy: Policy) -> tuple[bytes, str]:
    """What a bundle is of, and who signed it. E142 for what they did not sign."""
    parse_object(bundle, SIGNATURE)
    if policy.key is None:
        kind, payload = keyless(bundle.decode("utf-8"), policy.identity, policy.issuer)
        if kind != PAYLOAD_TYPE:
            raise _wrong("the signature does not cover an in-toto statement")
        return payload, f"{line_of(policy.identity)}, identified by {line_of(policy.issuer)}"
    public = _public(policy.key)
    payload, signatures = _envelope(bundle)
    if not any(_holds(public, signature, _encoded(PAYLOAD_TYPE, payload)) for signature in signatures):
        raise _wrong(f"the statement is not signed by the key in `{line_of(policy.key.name)}`")
    return payload, f"the key {fingerprint(_spki(public))}"


def keyless(bundle: str, identity: str, issuer: str) -> tuple[str, bytes]:
    """Type and payload of a bundle that this identity signed. E142 otherwise."""
    try:
        from sigstore.models import Bundle
        from sigstore.verify import Verifier, policy
    except ImportError:
        raise _absent("sigstore") from None
    try:
        verifier = Verifier.production(offline=True)
        found: tuple[str, bytes] = verifier.verify_dsse(
            Bundle.from_json(bundle), policy.Identity(identity=identity, issuer=issuer)
        )
        return found
    except Exception as error:  # the library has an exception for every part that may be wrong
        raise _wrong(f"the statement is not signed by {line_of(identity)}", str(error)) from None


# ------------------------------------------------------------------------ bundles


def _there(folder: Path) -> Path:
    path = signature_path(folder)
    if not os.path.lexists(path):
        raise fail("E143", "the run is not signed", help="sign it with `recipelang sign DIR --key FILE`")
    return path


def _envelope(bundle: bytes) -> tuple[bytes, list[bytes]]:
    """The payload and its signatures."""
    try:
        envelope = parse_model(bundle, Bundle).dsseEnvelope
    except ValueError as error:
        raise _wrong("the signature is damaged, or no Sigstore bundle of version 0.3", str(error)) from None
    return b64decode(envelope.payload), [b64decode(s.sig) for s in envelope.signatures]


def _encoded(kind: str, payload: bytes) -> bytes:
    """What DSSE signs: the pre-authentication encoding, which names the type and both lengths."""
    name = kind.encode("utf-8")
    return b"DSSEv1 %d %s %d %s" % (len(name), name, len(payload), payload)


def _base64(data: bytes) -> str:
    return b64encode(data).decode("ascii")


# --------------------------------------------------------------------------- keys
def fingerprint(spki: bytes) -> str:
    return "SHA256:" + b64encode(hashlib.sha256(spki).digest()).decode("ascii").rstrip("=")


def _spki(public: Any) -> bytes:
    from cryptography.hazmat.primitives import serialization as s

    found: bytes = public.public_bytes(s.Encoding.DER, s.PublicFormat.SubjectPublicKeyInfo)
    return found


def _private(path: Path) -> Any:
    data = _key_bytes(path, _MAKE)
    password = os.environ.get(PASSWORD)
    try:
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError:
        raise _absent("cryptography") from None
    try:
        return _known(load_pem_private_key(data, password.encode() if password else None), path)
    except (ValueError, TypeError, _unsupported()) as error:
        locked = "password" in str(error).lower()
        help = f"put its password in the environment variable `{PASSWORD}`" if locked else _MAKE
        raise fail("E145", f"`{line_of(path.name)}` is not a usable private key", help=help) from None


def _public(path: Path) -> Any:
    data = _key_bytes(path, _HALF)
    try:
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
    except ImportError:
        raise _absent("cryptography") from None
    try:
        return _known(load_pem_public_key(data), path)
    except (ValueError, TypeError, _unsupported()):
        raise fail("E145", f"`{line_of(path.name)}` is not a usable public key", help=_HALF) from None


_MAKE = "create one with `openssl genpkey -algorithm ed25519 -out key.pem`"
_HALF = "name the signer's public key, written by `openssl pkey -in key.pem -pubout -out key.pub`"


def _known(key: Any, path: Path) -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    kinds = (
        ed25519.Ed25519PrivateKey, ed25519.Ed25519PublicKey, ec.EllipticCurvePrivateKey, ec.EllipticCurvePublicKey,
    )  # fmt: skip
    if not isinstance(key, kinds):
        raise fail("E145", f"the key in `{line_of(path.name)}` is neither Ed25519 nor ECDSA", help=_MAKE)
    return key


def _unsupported() -> type[Exception]:
    from cryptography.exceptions import UnsupportedAlgorithm

    return UnsupportedAlgorithm


def _key_bytes(path: Path, help: str) -> bytes:
    try:
        return reading.read_bytes(path, _MAX_KEY)
    except reading.Unreadable as error:
        why = error.reason or (
            "no such file or directory" if error.why is reading.Why.MISSING else f"it is {error.why.value}"
        )
        raise fail("E145", f"the key `{line_of(str(path))}` cannot be read", notes=[why], help=help) from None


def _sign(private: Any, message: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    if isinstance(private, ed25519.Ed25519PrivateKey):
        return private.sign(message)
    found: bytes = private.sign(message, ec.ECDSA(_hash(private.curve)))
    return found


def _holds(public: Any, signature: bytes, message: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    try:
        if isinstance(public, ed25519.Ed25519PublicKey):
            public.verify(signature, message)
        else:
            public.verify(signature, message, ec.ECDSA(_hash(public.curve)))
    except InvalidSignature:
        return False
    return True


def _hash(curve: Any) -> Any:
    """As Sigstore pairs them: a curve of 384 bits with SHA-384, of 521 with SHA-512."""
    from cryptography.hazmat.primitives import hashes

    return {384: hashes.SHA384, 521: hashes.SHA512}.get(curve.key_size, hashes.SHA256)()


def _wrong(message: str, why: str = "") -> RecipeError:
    help = "do not trust it; get the folder again from where it was published"
    return fail("E142", message, notes=[line_of(why[:160])] if why else [], help=help)


def _absent(package: str) -> RecipeError:
    extra = "sign" if package == "cryptography" else "sigstore"
    return fail("E144", f"signatures need the package `{package}`", help=f"`pip install 'recipelang[{extra}]'`")

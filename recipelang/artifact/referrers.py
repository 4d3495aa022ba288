"""What speaks of a recipe without being part of it: a statement of how a run went, a signature.

An OCI manifest with a `subject`, the same in a registry and in a folder.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from recipelang.artifact import manifest as m
from recipelang.artifact.contents import Artifact, Fetch, checked
from recipelang.storage.strict_json import canonical_json, parse_json

#: a statement, as in-toto defines them
STATEMENT = "application/vnd.in-toto+json"
#: a signature in a bundle of Sigstore
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
#: of one recipe; a list that is longer is not read to its end
MOST = 48


@dataclass(frozen=True)
class Referrer:
    """`artifact_type` is the media type of `data` too."""

    artifact_type: str
    data: bytes = field(repr=False)


def write_referrer(subject: Artifact, referrer: Referrer) -> tuple[bytes, dict[str, bytes]]:
    """The manifest, and the blobs that it names by their digests."""
    empty, layer = m.describe(m.EMPTY, b"{}"), m.describe(referrer.artifact_type, referrer.data)
    form = {
        "schemaVersion": 2,
        "mediaType": m.MANIFEST,
        "artifactType": referrer.artifact_type,
        "config": empty.form(),
        "layers": [layer.form()],
        "subject": {"mediaType": m.MANIFEST, "digest": subject.digest, "size": len(subject.data)},
    }
    return canonical_json(form), {empty.digest: b"{}", layer.digest: referrer.data}


def read_referrer(data: bytes, subject: str, fetch: Fetch) -> Referrer | None:
    """None for what speaks of another manifest than `subject`. E122, E125."""
    form = read_object(data)
    of = form.get("subject")
    if not isinstance(of, dict) or of.get("digest") != subject:
        return None
    layers = form.get("layers")
    if not isinstance(layers, list) or len(layers) != 1:
        raise m.not_a_recipe("what speaks of it does not have one file")
    wanted = m.read_descriptor(layers[0])
    return Referrer(wanted.media_type, checked(wanted, fetch(wanted)))


def read_object(data: bytes) -> dict[str, Any]:
    """A manifest or an index. E122."""
    try:
        form = parse_json(data, m.MAX_MANIFEST)
    except (ValueError, RecursionError) as error:
        raise m.not_a_recipe(str(error)[:120]) from None
    return form if isinstance(form, dict) else {}

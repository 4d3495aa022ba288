"""What speaks of a recipe without being part of it: a statement of how a run went, a signature.

An OCI manifest with a `subject`, the same in a registry and in a folder.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from recipelang.artifact import manifest as m
from recipelang.artifact.contents import Artifact, Fetch, checked
from recipelang.storage.forms import OpenForm
from recipelang.storage.strict_json import canonical_json

#: a statement, as in-toto defines them
STATEMENT = "application/vnd.in-toto+json"
#: a signature in a bundle of Sigstore
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
#: of one recipe; a list that is longer is not read to its end
MOST = 48


class ReferrerForm(OpenForm):
    subject: m.Listed | None = None
    layers: Annotated[list[m.Descriptor], Field(min_length=1, max_length=1)]


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
    form = m.sound(data, ReferrerForm, "what speaks of it")
    if form.subject is None or form.subject.digest != subject:
        return None
    (wanted,) = form.layers
    return Referrer(wanted.media_type, checked(wanted, fetch(wanted)))

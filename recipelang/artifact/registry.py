"""An OCI registry: blobs first and the manifest last, so that a recipe is there whole or not at all.

Speaks the distribution specification 1.1. Tokens go to the registry alone: redirects, which lead to storage, are
followed without them, and uploads do not leave the host.
"""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlencode, urljoin, urlsplit

from pydantic import Field

from recipelang.artifact import manifest as m
from recipelang.artifact.address import DIGEST, NAME, TAG, Reference
from recipelang.artifact.contents import Artifact, not_the_same, unpack
from recipelang.artifact.http import Answer, Http
from recipelang.artifact.layout import published
from recipelang.artifact.logins import Tokens, denied
from recipelang.artifact.referrers import BUNDLE, MOST, STATEMENT, Referrer, read_referrer, write_referrer
from recipelang.source import RecipeError, fail
from recipelang.storage.forms import OpenForm

_REDIRECTS = 5
_MAX_ERROR = 64 * 1024
#: of a list in pages, the next one (RFC 8288); in so much of the header
_NEXT, _MAX_LINK = re.compile(r'<([^<>]{1,2000})>\s*;[^,<]*\brel="?next\b'), 8 * 1024

#: tags of a repository, or repositories of a registry, that are asked for
MOST_NAMES = 1_000

_LIST = "the list of what speaks of it"


class Tags(OpenForm):
    tags: Annotated[list[str], Field(max_length=10_000)] | None = None

    @property
    def names(self) -> list[str]:
        return [tag for tag in self.tags or () if TAG.fullmatch(tag)]


class Repositories(OpenForm):
    repositories: Annotated[list[str], Field(max_length=10_000)]

    @property
    def names(self) -> list[str]:
        return [name for name in self.repositories if NAME.fullmatch(name)]


class Registry:
    """One repository of one registry."""

    def __init__(self, reference: Reference, allowed: frozenset[str] = frozenset()) -> None:
        self.http = Http(allowed)
        self.host, self.name = reference.host, reference.name
        self.base = f"{self.http.scheme(self.host)}://{self.host}/v2/{self.name}"
        self.tokens = Tokens(self.http, self.host)

    # ------------------------------------------------------------------ reading
    def resolve(self, version: str) -> str:
        """The digest of the manifest that a tag names; empty when there is none."""
        data = self._manifest(version)
        return m.sha256(data) if data is not None else ""

    def pull(self, version: str, wanted: str = "") -> Artifact:
        """By digest where one is wanted, else by tag. E130 when it is not there."""
        data = self._manifest(wanted or version)
        if data is None:
            raise self._missing(wanted or version)
        return unpack(data, wanted, self.blob)

    def tags(self) -> list[str] | None:
        """Of this repository; none where there is no such repository."""
        return self._names(f"{self.base}/tags/list", Tags, "")

    def repositories(self) -> list[str] | None:
        """Of the whole registry; none where it does not list them, as large ones do not."""
        base = self.base.removesuffix(f"/{self.name}")
        return self._names(f"{base}/_catalog?n={MOST_NAMES}", Repositories, "registry:catalog:*")

    def _names(self, url: str, form: type[Tags] | type[Repositories], scope: str) -> list[str] | None:
        """A list in pages, up to `MOST_NAMES`."""
        found: list[str] = []
        while True:
            answer = self._get(url, {}, m.MAX_MANIFEST, scope)
            if answer.status in (404, 405):
                return None
            if answer.status != 200:
                raise self._failed(answer, "its list")
            found += m.sound(answer.body, form, "the list of names").names
            link = _NEXT.search(answer.headers.get("link", "")[:_MAX_LINK])
            if link is None or len(found) >= MOST_NAMES:
                return found[:MOST_NAMES]
            url = self._on_this_host(self._joined(url, link[1]), "the list read on")

    def blob(self, wanted: m.Descriptor) -> bytes:
        answer = self._get(f"{self.base}/blobs/{wanted.digest}", {}, wanted.size)
        if answer.status != 200:
            raise self._failed(answer, wanted.title or wanted.digest[:19])
        return answer.body

    def _manifest(self, version: str) -> bytes | None:
        answer = self._get(f"{self.base}/manifests/{version}", {"Accept": f"{m.MANIFEST}, {m.INDEX}"}, m.MAX_MANIFEST)
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise self._failed(answer, version)
        said = answer.headers.get("docker-content-digest", "")
        if said.startswith("sha256:") and said != m.sha256(answer.body):
            raise not_the_same("the manifest", said, m.sha256(answer.body))
        return answer.body

    def _get(self, url: str, headers: dict[str, str], limit: int, scope: str = "") -> Answer:
        """Follow redirects without a token; every address on the way is judged."""
        answer = self._send("GET", url, headers, limit=limit, resume="/blobs/" in url, scope=scope)
        for _ in range(_REDIRECTS):
            if answer.status not in (301, 302, 303, 307, 308):
                return answer
            url = self._leads_to(url, answer)
            answer = self.http.send("GET", url, {}, limit=limit, resume=True)
        raise fail("E128", f"`{self.host[:80]}` redirects more than {_REDIRECTS} times")

    def _leads_to(self, url: str, answer: Answer) -> str:
        """The address that an answer sends us to; whether we go there is judged later."""
        return self._joined(url, answer.headers.get("location", ""))

    def _joined(self, url: str, further: str) -> str:
        try:
            return urljoin(url, further)
        except ValueError:
            raise fail("E127", f"`{self.host[:80]}` redirects to an invalid address") from None

    def _on_this_host(self, url: str, what: str) -> str:
        """Where a token may be shown."""
        if urlsplit(url)[:2] != urlsplit(self.base)[:2]:
            raise fail("E127", f"`{self.host[:80]}` wants {what} at `{urlsplit(url).netloc[:80]}`")
        return url

    # ------------------------------------------------------------------ writing
    def push(self, artifact: Artifact, tag: str) -> bool:
        """Whether it was new. E124 when the tag names another recipe: what is published does not change."""
        there = self.resolve(tag) if tag else ""
        if there and there != artifact.digest:
            raise published(f"`{self.host}/{self.name}`", tag)
        if there:
            return False
        for digest, data in artifact.blobs.items():
            self._upload(digest, data)
        self._put_manifest(tag or artifact.digest, artifact.data)
        return True

    def _upload(self, digest: str, data: bytes) -> None:
        if self._send("HEAD", f"{self.base}/blobs/{digest}", {}, limit=_MAX_ERROR, push=True).status == 200:
            return  # an earlier try, or another version, has brought it
        begun = self._send("POST", f"{self.base}/blobs/uploads/", {}, limit=_MAX_ERROR, push=True)
        if begun.status != 202:
            raise self._failed(begun, "upload")
        place = self._on_this_host(self._leads_to(f"{self.base}/blobs/uploads/", begun), "the upload sent")
        place += ("&" if urlsplit(place).query else "?") + urlencode({"digest": digest})
        head = {"Content-Type": "application/octet-stream"}
        done = self._send("PUT", place, head, data, limit=_MAX_ERROR, push=True)
        if done.status != 201:
            raise self._failed(done, "upload")

    def _put_manifest(self, version: str, data: bytes, media_type: str = m.MANIFEST) -> Answer:
        url = f"{self.base}/manifests/{version}"
        done = self._send("PUT", url, {"Content-Type": media_type}, data, limit=_MAX_ERROR, push=True)
        if done.status != 201:
            raise self._failed(done, version)
        return done

    # ---------------------------------------------------------------- referrers
    def attach(self, subject: Artifact, referrer: Referrer) -> None:
        """Push something that speaks of a recipe. Where the registry keeps no list of it, a tag holds one."""
        data, blobs = write_referrer(subject, referrer)
        for digest, blob in blobs.items():
            self._upload(digest, blob)
        done = self._put_manifest(m.sha256(data), data)
        if done.headers.get("oci-subject") != subject.digest:  # an older registry, which keeps no list
            entry = m.entry(data, referrer.artifact_type)
            known = self._manifest(_list_tag(subject.digest))
            others = [] if known is None else m.sound(known, m.Index, _LIST).manifests
            index = m.Index(schemaVersion=2, manifests=[*(e for e in others if e.digest != entry.digest), entry])
            self._put_manifest(_list_tag(subject.digest), index.text(), m.INDEX)

    def referrers(self, digest: str) -> list[Referrer]:
        """What speaks of a manifest, of the types that we know. Everything is checked to be what its digest says."""
        url = f"{self.base}/referrers/{digest}"
        answer = self._get(url, {"Accept": m.INDEX}, m.MAX_MANIFEST)
        listed = answer.body if answer.status == 200 else self._manifest(_list_tag(digest))
        known = [] if listed is None else _known(listed)
        for _ in range(MOST):  # pages: no registry makes us turn them without end
            link = _NEXT.search(answer.headers.get("link", "")[:_MAX_LINK])
            if answer.status != 200 or link is None or len(known) >= MOST:
                break
            url = self._on_this_host(self._joined(url, link[1]), "the list read on")
            answer = self._get(url, {"Accept": m.INDEX}, m.MAX_MANIFEST)
            if answer.status != 200:
                raise self._failed(answer, "referrers")
            known += _known(answer.body)
        return [r for r in (self._referrer(d, digest) for d in known[:MOST]) if r is not None]

    def _referrer(self, digest: str, subject: str) -> Referrer | None:
        data = self._manifest(digest) if DIGEST.fullmatch(digest) else None
        if data is None:
            raise self._missing(digest)
        if m.sha256(data) != digest:
            raise not_the_same("a referrer", digest, m.sha256(data))
        return read_referrer(data, subject, self.blob)

    # ------------------------------------------------------------------ one call
    def _send(
        self,
        method: str,
        url: str,
        headers: dict[str, str],
        body: bytes = b"",
        *,
        limit: int,
        push: bool = False,
        resume: bool = False,
        scope: str = "",
    ) -> Answer:
        """With the token for it; asks for one when the registry does, once. `scope`: of another thing than this name."""
        scope = scope or f"repository:{self.name}:{'pull,push' if push else 'pull'}"
        known = self.tokens.kept.get(scope)
        shown = {"Authorization": known} if known else {}
        answer = self.http.send(method, url, {**headers, **shown}, body, limit=limit, resume=resume)
        if answer.status != 401:
            return answer
        header = self.tokens.header(answer.headers.get("www-authenticate", ""), scope)
        if header is None:
            raise denied(self.host, known=False)
        self.tokens.kept[scope] = header
        return self.http.send(method, url, {**headers, "Authorization": header}, body, limit=limit, resume=resume)

    def _missing(self, version: str) -> RecipeError:
        where = f"{self.host}/{self.name}"[:80]
        return fail("E130", f"`{where}` has no `{version[:80]}`", help="check the name and the version")

    def _failed(self, answer: Answer, what: str) -> RecipeError:
        """Of what a registry says only its codes are shown: its words may hold what it was sent."""
        if answer.status in (401, 403):
            return denied(self.host, known=True)
        if answer.status == 404:
            return self._missing(what)
        codes = sorted(set(re.findall(rb'"code"\s*:\s*"([A-Z_]{2,40})"', answer.body[:_MAX_ERROR])))
        notes = [f"it answers {answer.status}", *(c.decode("ascii") for c in codes[:3])]
        return fail("E128", f"`{self.host[:80]}` sends an invalid response", notes=notes)


def _known(data: bytes) -> list[str]:
    """Digests of what we read in a list; other tools attach other things."""
    listed = m.sound(data, m.Listing, _LIST).manifests
    return [e.digest for e in listed if e.artifactType in (STATEMENT, BUNDLE)]


def _list_tag(digest: str) -> str:
    return digest.replace(":", "-")

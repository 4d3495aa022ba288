"""References to recipes elsewhere: `oci://host/name:tag`, `oci://host/name@sha256:...`, `hf://owner/name@version`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from recipelang.source import RecipeError, fail

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
NAME = re.compile(rf"{_PART}(?:/{_PART})*")
_HOST = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"
    r"|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?"
)
_HUB = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_LONGEST = 512


@dataclass(frozen=True)
class Reference:
    """Where a recipe is. `version` is a tag, of the Hub also a branch or commit; `digest` is of the manifest."""

    scheme: str  # `oci` or `hf`
    host: str  # empty of the Hub
    name: str
    version: str = ""
    digest: str = ""

    def __str__(self) -> str:
        version, digest = self.version and f"{self._mark}{self.version}", self.digest and f"@{self.digest}"
        return f"{self.scheme}://{self.host}{'/' * bool(self.host)}{self.name}{version}{digest}"

    @property
    def _mark(self) -> str:
        return ":" if self.scheme == "oci" else "@"


def is_remote(text: str) -> bool:
    return text.startswith(("oci://", "hf://"))


def parse_reference(text: str) -> Reference:
    """E120 for what is none, E121 for one that carries credentials. What is secret is not repeated."""
    scheme, _, rest = text.partition("://")
    before = rest.split("/")[0]
    if "@" in before and (scheme == "oci" or ":" in before.partition("@")[0]):
        raise fail(
            "E121",
            f"a reference to `{before.rpartition('@')[2][:80]}` carries credentials",
            help="remove them: log in with `docker login` or `hf auth login` instead",
            notes=["recipes are shared with everything written in them"],
        )
    if len(text) > _LONGEST or not rest.isascii():
        why = "longer than any" if rest.isascii() else "written with letters that may look like others"
        raise fail("E120", f"this reference is {why}", help="published names use only ASCII letters, digits and `.-_/`")
    return _oci(text, rest) if scheme == "oci" else _hub(text, rest)


def _oci(text: str, rest: str) -> Reference:
    rest, at, digest = rest.partition("@")
    host, _, path = rest.partition("/")
    name, colon, tag = path.partition(":")
    sound = (
        _HOST.fullmatch(host)
        and NAME.fullmatch(name)
        and (not colon or TAG.fullmatch(tag))
        and (not at or DIGEST.fullmatch(digest))
        and len(name) <= 255
    )
    if not sound:
        raise _wrong(
            text, "write `oci://host/name:version` or `oci://host/name@sha256:...`, with the name in lower case"
        )
    return Reference("oci", host.lower(), name, tag, digest)


def _hub(text: str, rest: str) -> Reference:
    name, at, version = rest.partition("@")
    if not _HUB.fullmatch(name) or ".." in name or (at and not TAG.fullmatch(version)):
        raise _wrong(text, "write `hf://owner/name` or `hf://owner/name@version`")
    return Reference("hf", "", name, version)


def _wrong(text: str, help: str) -> RecipeError:
    return fail("E120", f"`{text[:120]}` is not a reference to a recipe", help=help)

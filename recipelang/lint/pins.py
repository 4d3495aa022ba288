"""References to the Hub, and whether they say which version is meant."""

from __future__ import annotations

#: names that move: what they point to today may be something else tomorrow
_BRANCHES = ("main", "master", "HEAD")


def is_unpinned(reference: object, revision: str | None = None) -> bool:
    """An `hf://` reference without a commit or tag."""
    if not isinstance(reference, str) or not reference.startswith("hf://"):
        return False
    version = revision or reference.partition("@")[2]
    return not version or version in _BRANCHES

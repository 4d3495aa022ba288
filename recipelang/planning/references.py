"""Where a model is: a folder, a file set inside an installed package, or the Hub's cache."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from recipelang.planning.belongings import FOLDERS, NEVER, PATTERNS
from recipelang.source import fail
from recipelang.source.names import impossible

#: reference as written -> the commit of the Hub that a lock holds it to
Pins = Mapping[str, str]

#: longer ones make addresses that the Hub's client refuses to ask for
MAX_VERSION = 255
_HUB_FILES = [
    "*.json",
    "*.safetensors",
    "*.txt",
    *PATTERNS,
    *map(str.upper, PATTERNS),
    *(f"{n}/*.jinja" for n in FOLDERS),
]
_NOT_FROM_THE_HUB = [f"*{ending}" for ending in NEVER if ending != ".safetensors"]


def is_local(reference: str) -> bool:
    return "://" not in reference or reference.startswith("file://")


def local_path(reference: str, beside: Path) -> Path:
    """Where a local reference points: `~` and `file://` are understood, the rest is relative to `beside`."""
    if why := impossible(reference):
        raise fail("E046", why)
    return Path(os.path.realpath(beside / os.path.expanduser(reference.removeprefix("file://"))))


def locate_model(reference: str, beside: Path, revision: str | None = None) -> Path:
    """The folder of a model. Local paths are relative to `beside`."""
    if is_local(reference):
        return local_path(reference, beside)
    scheme, _, rest = reference.partition("://")
    match scheme:
        case "package":
            return _package(rest)
        case "hf":
            check_version(reference, revision)
            return _hub(rest, revision)
    known = ", ".join(f"`{s}://`" for s in ("hf", "package")) + ", or a path"
    raise fail("E047", f"models cannot be read from `{scheme}://`", help=f"use {known}")


def check_version(reference: str, revision: str | None = None) -> None:
    """E047 for a commit, tag or branch of the Hub that can be none."""
    version = revision or reference.partition("@")[2]
    if reference.startswith("hf://") and len(version) > MAX_VERSION:
        message = f"`{version[:16]}…`, {len(version):,} characters long, is not a Hub revision"
        raise fail("E047", message, help="write a commit or a tag")


def _package(rest: str) -> Path:
    distribution, _, inside = rest.partition("/")
    if not distribution or not inside:
        raise fail(
            "E047", f"`package://{rest}` does not name a folder in a package", help="write `package://package/folder`"
        )
    try:
        found = metadata.distribution(distribution)
    except metadata.PackageNotFoundError:
        raise fail(
            "E076", f"the package `{distribution}` is not installed", help=f"`pip install --no-deps {distribution}`"
        ) from None
    root = Path(str(found.locate_file(""))).resolve()
    path = (root / inside).resolve()
    owned = {str(f).split("/")[0] for f in found.files or ()} - {".."}
    if not path.is_relative_to(root) or inside.split("/")[0] not in owned:
        raise fail(
            "E076",
            f"`{inside}` is not a folder in the package `{distribution}`",
            notes=[f"it holds {', '.join(sorted(owned))}"],
        )
    return path


def _hub(rest: str, revision: str | None) -> Path:
    name, _, pinned = rest.partition("@")
    if name.count("/") > 1 or not name:
        raise fail("E047", f"`hf://{rest}` is not a model on the Hub", help="write `hf://owner/name`")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    version = revision or pinned or None
    try:
        found = snapshot_download(name, revision=version, allow_patterns=_HUB_FILES, ignore_patterns=_NOT_FROM_THE_HUB)
        return Path(found)
    except (RepositoryNotFoundError, RevisionNotFoundError):
        raise fail("E047", f"the Hub has no model `{name}`" + (f" at `{version}`" if version else "")) from None
    except HFValidationError:
        raise fail("E047", f"`hf://{rest}` is not a model on the Hub", help="write `hf://owner/name`") from None
    except (LocalEntryNotFoundError, OSError, ValueError) as error:
        raise fail(
            "E047",
            f"`hf://{name}` is neither cached nor reachable",
            help="run once with network access, or name a local folder (`-p base=DIR`, if the recipe has that parameter)",
            notes=[why_unreachable(error)],
        ) from None


def why_unreachable(error: Exception) -> str:
    """The Hub's client in one line; that it was told not to ask comes first."""
    from huggingface_hub.constants import is_offline_mode

    if is_offline_mode():
        return "`HF_HUB_OFFLINE` disables the network"
    return textwrap.shorten(str(error), 160, placeholder=" …") or type(error).__name__

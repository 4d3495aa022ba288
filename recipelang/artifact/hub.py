"""The Hugging Face Hub, through its own client: what models and data are at a moment, and recipes stored there.

A recipe lies in `recipes/` of a repository: its files under their names, with the same manifest and spec as
everywhere else, so that its digests are the same too, and nothing but git is needed to read it.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recipelang.artifact import manifest as m
from recipelang.artifact.address import Reference
from recipelang.artifact.contents import Artifact, not_the_same, unpack
from recipelang.artifact.layout import published
from recipelang.artifact.referrers import BUNDLE, MOST, STATEMENT, Referrer
from recipelang.artifact.registry import MOST_NAMES
from recipelang.source import fail
from recipelang.source.words import limit_text
from recipelang.storage.reading import Unreadable, open_regular, read_text

FOLDER = "recipes"
#: no file of a recipe begins with a dot, so these are nobody's
MANIFEST_FILE, SPEC_FILE = ".recipelang/manifest.json", ".recipelang/spec.json"
#: what speaks of the recipes, under the digest of itself: a repository has one list for all its versions
_SAID = ".recipelang/said"
_ENDINGS = {STATEMENT: ".intoto.json", BUNDLE: ".sigstore.json"}
_COMMIT = re.compile(r"[0-9a-f]{40}")


def _check(name: str) -> None:
    """E047 for what cannot be a name on the Hub."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(name)
    except HFValidationError:
        raise fail("E047", f"`hf://{name[:120]}` is not a name on the Hub", help="write `hf://owner/name`") from None


def model_entry(name: str, version: str | None) -> dict[str, object]:
    """Commit and files of a model as the Hub has it now. E047, E128 to E130."""
    _check(name)
    with _told(name):
        info = _api().model_info(name, revision=version, files_metadata=True)
    files = {s.rfilename: _file(s) for s in info.siblings or () if _counts(s.rfilename)}
    return {"kind": "model", "revision": info.sha, "files": files}


def dataset_entry(name: str, version: str | None) -> dict[str, object]:
    _check(name)
    with _told(name):
        info = _api().dataset_info(name, revision=version, files_metadata=True)
    files = {s.rfilename: _file(s) for s in info.siblings or () if not s.rfilename.startswith(".")}
    return {"kind": "dataset", "revision": info.sha, "files": files}


def cached_revision(kind: str, name: str, version: str | None) -> str:
    """The commit that the Hub's own cache would take, without asking; empty when it holds none."""
    from huggingface_hub.constants import HF_HUB_CACHE
    from huggingface_hub.file_download import repo_folder_name

    _check(name)
    if version and _COMMIT.fullmatch(version):
        return version
    folder = Path(HF_HUB_CACHE) / repo_folder_name(repo_id=name, repo_type=kind)
    try:
        found = read_text(folder / "refs" / (version or "main"), 1024).strip()
    except (Unreadable, ValueError):
        return ""
    return found if _COMMIT.fullmatch(found) else ""


def pull(reference: Reference) -> tuple[Artifact, str]:
    """A recipe and the commit it was read at. E122, E123, E125, E130."""
    with _told(reference.name):
        info = _api().model_info(reference.name, revision=reference.version or None, files_metadata=True)
    commit = str(info.sha)
    for file in info.siblings or ():  # before the Hub's client fetches it whole
        if file.rfilename.startswith(f"{FOLDER}/") and (file.size or 0) > m.MAX_BLOB:
            raise m.not_a_recipe(f"`{file.rfilename[:80]}` is larger than {limit_text(m.MAX_BLOB)}")
    data = _read(reference.name, commit, MANIFEST_FILE, m.MAX_MANIFEST)
    titles: dict[str, str] = {}
    for layer in m.read_manifest(data).layers:
        titles.setdefault(layer.digest, layer.title)

    def fetch(wanted: m.Descriptor) -> bytes:
        return _read(reference.name, commit, titles.get(wanted.digest, SPEC_FILE), wanted.size)

    return unpack(data, "", fetch), commit


def repositories(owner: str) -> list[str]:
    """Model repositories of an owner whose names can be those of recipes, by name."""
    with _told(owner):
        found = [str(each.id) for each in _api().list_models(author=owner, limit=MOST_NAMES)]
    return sorted(name for name in found if name.startswith(f"{owner}/"))


def push(artifact: Artifact, reference: Reference, tag: str, card: str) -> bool:
    """Whether it was new. E124 when the tag names another recipe. One commit brings all files, then the tag."""
    from huggingface_hub import CommitOperationAdd
    from huggingface_hub.errors import RevisionNotFoundError

    api, name = _api(), reference.name
    with _told(name):
        api.create_repo(name, exist_ok=True)
        try:
            there = api.model_info(name, revision=tag).sha if tag else None
        except RevisionNotFoundError:
            there = None
    if there is not None:
        if m.sha256(_read(name, there, MANIFEST_FILE, m.MAX_MANIFEST)) != artifact.digest:
            raise published(f"`{reference.name}`", tag)
        return False
    meaning = artifact.blobs[artifact.manifest.config.digest]
    files = {MANIFEST_FILE: artifact.data, SPEC_FILE: meaning, **artifact.files()}
    adds = [CommitOperationAdd(f"{FOLDER}/{title}", data) for title, data in files.items()]
    with _told(name):
        if card and not api.file_exists(name, "README.md"):
            adds.append(CommitOperationAdd("README.md", card.encode("utf-8")))
        done = api.create_commit(name, adds, commit_message=f"{artifact.name} {tag}".strip())
        if tag:
            api.create_tag(name, tag=tag, revision=done.oid)
    return True


def attach(reference: Reference, referrer: Referrer) -> None:
    """A commit with something that speaks of a recipe, which names the recipe itself."""
    from huggingface_hub import CommitOperationAdd

    title = f"{_SAID}/{m.sha256(referrer.data).removeprefix('sha256:')}{_ENDINGS[referrer.artifact_type]}"
    with _told(reference.name):
        if not _api().file_exists(reference.name, f"{FOLDER}/{title}"):
            add = CommitOperationAdd(f"{FOLDER}/{title}", referrer.data)
            _api().create_commit(reference.name, [add], commit_message="Attest a recipe")


def referrers(reference: Reference) -> list[Referrer]:
    """All that is said of any recipe of a repository: the reader sees of which."""
    with _told(reference.name):
        info = _api().model_info(reference.name, files_metadata=True)
    found: list[Referrer] = []
    for file in info.siblings or ():
        folder, _, name = file.rfilename.removeprefix(f"{FOLDER}/").rpartition("/")
        kind = next((k for k, ending in _ENDINGS.items() if name.endswith(ending)), None)
        if folder != _SAID or kind is None or len(found) == MOST:
            continue
        if (file.size or 0) > m.MAX_BLOB:
            raise m.not_a_recipe(f"`{name[:19]}` is larger than {limit_text(m.MAX_BLOB)}")
        data = _read(reference.name, str(info.sha), f"{_SAID}/{name}", m.MAX_BLOB)
        if m.sha256(data) != f"sha256:{name.partition('.')[0]}":
            raise not_the_same("a referrer", f"sha256:{name}", m.sha256(data))
        found.append(Referrer(kind, data))
    return found


def _read(name: str, commit: str, title: str, limit: int) -> bytes:
    from huggingface_hub import hf_hub_download

    with _told(name):
        path = hf_hub_download(name, f"{FOLDER}/{title}", revision=commit)
    with open_regular(Path(path)) as file:  # one byte more than the limit tells a longer one
        return file.read(limit + 1)


def _api() -> Any:
    from huggingface_hub import HfApi

    return HfApi()


def _counts(name: str) -> bool:
    """Files of a model that decide what comes out, as `plan` fetches them."""
    return name.endswith((".json", ".safetensors", ".txt", ".model")) and "/" not in name


def _file(sibling: Any) -> dict[str, object]:
    """Large files by sha256; for small ones the Hub knows git's own digest only, which the commit covers."""
    if sibling.lfs is not None:
        return {"sha256": sibling.lfs.sha256, "size": sibling.lfs.size}
    return {"git": sibling.blob_id, "size": sibling.size}


@contextmanager
def _told(name: str) -> Iterator[None]:
    """What the Hub's client says, as ours: E129 not allowed, E130 not there, E128 anything else."""
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        yield
    except GatedRepoError:
        raise fail("E129", f"the Hub does not allow this for `{name}`", help="log in with `hf auth login`") from None
    except (LocalEntryNotFoundError, OfflineModeIsEnabled):
        raise fail("E128", "the Hub does not answer", help="try again with network access") from None
    except (RepositoryNotFoundError, RevisionNotFoundError, EntryNotFoundError) as error:
        what = "version" if isinstance(error, RevisionNotFoundError) else "recipe"
        what = "repository" if isinstance(error, RepositoryNotFoundError) else what
        raise fail("E130", f"the Hub has no such {what} for `{name}`", help="check the name") from None
    except HfHubHTTPError as error:
        status = getattr(error.response, "status_code", 0)
        if status in (401, 403):
            raise fail(
                "E129", f"the Hub does not allow this for `{name}`", help="log in with `hf auth login`"
            ) from None
        raise fail("E128", "the Hub sends an invalid response", notes=[f"it answers {status}"]) from None
    except (OSError, ValueError, RuntimeError) as error:
        why = textwrap.shorten(type(error).__name__, 80)
        raise fail("E128", "the Hub does not answer", help="try again with network access", notes=[why]) from None
    except Exception as error:  # errors of its transport are of no common kind
        if type(error).__module__.split(".")[0] not in ("httpx2", "httpcore2"):
            raise
        raise fail("E128", "the Hub does not answer", help="try again with network access") from None

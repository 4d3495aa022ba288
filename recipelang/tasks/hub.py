"""Data sets of the Hub: `owner/name`, from there or from its cache, and from nowhere else. E047, E074.

The library behind it reads local folders and built-in readers under the same names, files that a data set's card
names by an absolute path or an address, and, without a network, whatever version was cached last. None of that is
what a recipe says when it names a data set of the Hub.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from recipelang.source import RecipeError, fail
from recipelang.source.render import line_of
from recipelang.storage.writing import writing
from recipelang.tasks.rows import PORTION, Portions, as_rows, is_plain

#: as the Hub has it; the owner is needed, for a lone name is also that of a built-in reader
_NAME = re.compile(r"(?!.*(?:\.\.|--))[A-Za-z0-9_][\w.-]{0,95}/[A-Za-z0-9_][\w.-]{0,95}(?<![.-])", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
#: seconds for the Hub to say which commit a reference means
_PATIENCE = 20.0
#: the library's reader of its own cache
_CACHED = "packaged_modules.cache.cache"
#: a disk that is full, or a folder that takes nothing
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)
_LOCAL = "name local files with `train = ...` and `validation = ...`"


def hub_rows(name: str, split: str, config: str | None) -> Sequence[Mapping[str, Any]]:
    """The rows of `owner/name`, `@revision` after it or not."""
    return _rows(_load(name, split, config), name.partition("@")[0])


def _rows(loaded: Any, name: str = "") -> Sequence[Mapping[str, Any]]:
    """Of many a portion at a time, from where the library has them mapped into memory. E074 for damaged ones."""
    as_arrow = loaded.with_format("arrow")
    plain = is_plain(as_arrow[:0]) and not any(hasattr(f, "decode_example") for f in loaded.features.values())

    def sound(first: int, behind: int) -> Any:
        try:
            table = as_arrow[first:behind]
            table.validate(full=True)
        except (ValueError, OSError) as error:
            raise _damaged(name, loaded.cache_files, error) from None
        return table

    def arrow(first: int, behind: int) -> Any:
        return sound(first, behind) if plain else None

    def read(first: int, behind: int) -> list[dict[str, Any]]:
        table = sound(first, behind)
        if plain:
            return as_rows(table)
        columns = loaded[first:behind]
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    return Portions(len(loaded), read, arrow) if len(loaded) > PORTION else read(0, len(loaded))


def hub_table(
    name: str, split: str, config: str | None
) -> tuple[Sequence[Mapping[str, Any]], dict[str, tuple[str, ...]]]:
    """As `hub_rows`, and for columns of numbered classes the names of these."""
    loaded = _load(name, split, config)
    return _rows(loaded, name.partition("@")[0]), classes_of(loaded.features)


def classes_of(features: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Of columns of numbered classes the names of these."""
    classes = {}
    for column, feature in features.items():
        while hasattr(feature, "feature"):
            feature = feature.feature
        if names := getattr(feature, "names", None):
            classes[column] = tuple(names)
    return classes


def check_name(reference: str) -> tuple[str, str]:
    """`owner/name` and the revision behind `@`, empty without one. E047 for what is no data set of the Hub."""
    name, _, revision = reference.partition("@")
    if not _NAME.fullmatch(name) or name.endswith((".py", ".git", ".ipynb")):
        shown = line_of(name)[:80]
        raise fail(
            "E047",
            f"`hf://{shown}` is not a data set on the Hub",
            help="write `hf://owner/name`; for a file, write only its path",
        )
    return name, revision


def _load(reference: str, split: str, config: str | None) -> Any:
    import datasets

    name, revision = check_name(reference)
    builder: Any = None
    try:
        builder = _cached(name, revision, config) if _COMMIT.fullmatch(revision) else None
        if builder is not None:
            return builder.as_dataset(split=split)
        builder = builder_of(name, revision, config)
        builder.download_and_prepare()
        return builder.as_dataset(split=split)
    except ValueError as error:
        if isinstance(error, json.JSONDecodeError):
            raise fail("E074", f"`hf://{name}` cannot be read", notes=_line(error), help=_LOCAL) from None
        if builder is not None and split in (builder.info.splits or ()):
            raise _damaged(name, [{"filename": builder.cache_dir}], error) from None
        raise fail("E074", f"`hf://{name}` has no split `{split}`", notes=_line(error)) from None
    except (OSError, datasets.exceptions.DatasetsError) as error:
        _check_room(error, datasets.config.HF_DATASETS_CACHE)
        if builder is not None and _is_cached(builder):
            raise _damaged(name, [{"filename": builder.cache_dir}], error) from None
        raise fail(
            "E047",
            f"`hf://{name}` is neither cached nor reachable",
            help=f"run once with network access, or {_LOCAL}",
            notes=_line(error),
        ) from None
    except (RuntimeError, ImportError, KeyError, TypeError, AttributeError, RecursionError) as error:
        why = _line(error) or [type(error).__name__]
        raise fail("E074", f"`hf://{name}` cannot be read", notes=why, help=_LOCAL) from None


def builder_of(name: str, revision: str, config: str | None) -> Any:
    import datasets

    # the long form is read from the Hub or its cache only, whatever lies in the working folder
    builder = datasets.load_dataset_builder(f"hf://datasets/{name}", config, revision=revision or None)
    _own_files(name, builder.config.data_files)
    _same_revision(name, revision, builder)
    return builder


def _damaged(name: str, files: Sequence[Mapping[str, str]], error: Exception) -> RecipeError:
    help = f"remove them and run once with network access, or {_LOCAL}"
    notes = [*_line(error), *(f"they are in {file['filename']}" for file in files[:1])]
    return fail("E074", f"the cached rows of `hf://{name}` are damaged", notes=notes, help=help)


def _check_room(error: BaseException, cache: str | Path) -> None:
    """E084 where the library's cache cannot be written, however the system's error is wrapped."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in _NO_ROOM:
            with writing(Path(cache), "set `HF_DATASETS_CACHE` to another folder", doing="write to"):
                raise cause
        cause = cause.__cause__ or cause.__context__


def _is_cached(builder: Any) -> bool:
    return type(builder).__module__.endswith(_CACHED)


def _cached(name: str, commit: str, config: str | None) -> Any | None:
    """What the library has in its cache of a commit, which cannot change: the Hub need not be asked. None where it has
    not, or where only the Hub knows which configuration is meant."""
    from datasets import config as settings
    from datasets.naming import camelcase_to_snakecase
    from datasets.packaged_modules.cache.cache import Cache

    owner, _, own = name.partition("/")
    root = Path(settings.HF_DATASETS_CACHE).expanduser() / f"{owner}___{camelcase_to_snakecase(own)}"
    meant = config or "default"
    there = sorted(root.glob(f"{glob.escape(meant)}/*/{commit}/dataset_info.json"))
    if len(there) != 1:
        return None
    return Cache(dataset_name=own, repo_id=name, config_name=meant, version=there[0].parts[-3], hash=commit)


def is_commit(revision: str) -> bool:
    return _COMMIT.fullmatch(revision) is not None


def commit_of(reference: str) -> str:
    """The commit that `owner/name`, `@revision` behind it or not, means now: the Hub's, or that of the cache where the
    network is disabled. Empty where neither says."""
    name, revision = check_name(reference)
    if _COMMIT.fullmatch(revision):
        return revision
    import datasets

    found: object = ""
    with contextlib.suppress(Exception):  # whatever is wrong is said where the rows are read
        if datasets.config.HF_HUB_OFFLINE:
            builder = datasets.load_dataset_builder(f"hf://datasets/{name}", revision=revision or None)
            _same_revision(name, revision, builder)
            found = builder.hash
        else:
            from huggingface_hub import HfApi

            found = HfApi().dataset_info(name, revision=revision or None, timeout=_PATIENCE, expand=["sha"]).sha
    return found if isinstance(found, str) and _COMMIT.fullmatch(found) else ""


def _own_files(name: str, files: Mapping[str, Iterable[object]] | None) -> None:
    """A card may name files anywhere: on this machine, or at an address."""
    own = f"hf://datasets/{name}@"
    for file in (str(f) for some in (files or {}).values() for f in some):
        if not file.startswith(own) or ".." in file.split("/"):
            raise fail(
                "E047",
                f"`hf://{name}` names a file outside its own repository",
                notes=[f"its card names `{line_of(file)[:120]}`"],
                help=_LOCAL,
            )


def _same_revision(name: str, revision: str, builder: Any) -> None:
    """Without a network the library takes what was cached last, whatever revision was asked for."""
    if not revision or not _is_cached(builder):
        return
    if not _COMMIT.fullmatch(revision) or builder.hash != revision:
        raise fail(
            "E047",
            f"`hf://{name}` is not cached at revision `{revision[:48]}`",
            help="run once with network access",
            notes=[f"the cached revision is `{str(builder.hash)[:48]}`"],
        )


def _line(error: Exception) -> list[str]:
    lines = str(error).splitlines()
    return [line_of(lines[0])[:160]] if lines else []

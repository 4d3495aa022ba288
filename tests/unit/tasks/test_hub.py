"""Data sets of the Hub come from there or from its cache: no folder, built-in reader or card leads elsewhere."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from recipelang.source import RecipeError
from recipelang.tasks import hub
from tests.hub_cache import COMMIT, cache_data_set


@pytest.fixture
def cached(tmp_path: Path, monkeypatch) -> Path:
    """`own/name` as the library caches it, of one commit."""
    cache_data_set(tmp_path, monkeypatch, {"text": ["a", "b"], "label": [0, 1]})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def codes(call, *arguments: object) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        call(*arguments)
    return [d.code for d in caught.value.diagnostics]


@pytest.mark.parametrize(
    "name",
    [
        "", "/", "@x", "own", "json", "csv", "text", "parquet", "imagefolder", "/etc", "/srv/private", "//x/y",
        "own/name.py", "own/../name", "../x", "./x", "own/na me", "own/name/more", "own\\name", "~/x", "file://x",
        "hf://own/name", "own/name\0", "own/\x1b[31m", "own/.name", "-own/name", "https://x/y", "buckets/own/name",
    ],
)  # fmt: skip
def test_what_is_no_name_of_the_hub_is_refused(name: str, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.json").write_text('[{"text": "secret"}]')
    assert codes(hub.hub_rows, name, "train", None) == ["E047"]


def test_a_folder_of_the_same_name_is_not_read(cached: Path):
    (cached / "own" / "name").mkdir(parents=True)
    (cached / "own" / "name" / "train.jsonl").write_text('{"text": "secret"}\n')
    assert [r["text"] for r in hub.hub_rows("own/name", "train", None)] == ["a", "b"]
    (cached / "own" / "other").mkdir()
    (cached / "own" / "other" / "train.jsonl").write_text('{"text": "secret"}\n')
    assert codes(hub.hub_rows, "own/other", "train", None) == ["E047"]


@pytest.mark.parametrize("path", ["/etc/passwd", "../../secret.jsonl", "http://127.0.0.1:1/x.json", ".jsonl"])
def test_a_card_in_a_folder_of_that_name_is_not_read_either(path: str, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own" / "card").mkdir(parents=True)
    files = {"configs": [{"config_name": "default", "data_files": [{"split": "train", "path": path}]}]}
    (tmp_path / "own" / "card" / "README.md").write_text(f"---\n{json.dumps(files)}\n---\n")
    (tmp_path / "secret.jsonl").write_text('{"text": "secret"}\n')
    assert codes(hub.hub_rows, "own/card", "train", None) == ["E047"]


def test_classes_of_a_cached_data_set_keep_their_names(cached: Path):
    rows, classes = hub.hub_table("own/name", "train", None)
    assert len(rows) == 2
    assert classes == {"label": ("no", "yes")}


def test_what_is_cached_is_taken_only_for_its_own_commit(cached: Path):
    assert len(hub.hub_rows(f"own/name@{COMMIT}", "train", None)) == 2
    assert codes(hub.hub_rows, f"own/name@{'f' * 40}", "train", None) == ["E047"]
    assert codes(hub.hub_rows, "own/name@v1", "train", None) == ["E047"]


def test_a_split_that_is_not_there_is_named(cached: Path):
    assert codes(hub.hub_rows, "own/name", "dev", None) == ["E074"]


@pytest.mark.parametrize(
    "file",
    ["/etc/passwd", "https://x/y.json", "hf://datasets/own/other@main/a.json", "hf://datasets/own/name@1/../../a", "a"],
)
def test_files_outside_the_repository_are_refused(file: str):
    assert codes(hub._own_files, "own/name", {"train": [file]}) == ["E047"]
    hub._own_files("own/name", {"train": ["hf://datasets/own/name@1/data/a.parquet"]})


def test_rows_of_a_cached_commit_are_read_without_asking_the_hub(cached: Path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(datasets, "load_dataset_builder", lambda *a, **k: pytest.fail("the Hub is asked"))
    rows, classes = hub.hub_table(f"own/name@{COMMIT}", "train", None)
    assert [r["text"] for r in rows] == ["a", "b"] and classes == {"label": ("no", "yes")}
    assert len(hub.hub_rows(f"own/name@{COMMIT}", "train", "default")) == 2
    assert codes(hub.hub_rows, f"own/name@{COMMIT}", "dev", None) == ["E074"]
    for name, config in ((f"own/name@{'f' * 40}", None), (f"own/name@{COMMIT}", "other"), (f"own/nam*@{COMMIT}", None)):
        with pytest.raises((pytest.fail.Exception, RecipeError)):
            hub.hub_rows(name, "train", config)


def test_the_commit_of_a_reference_is_that_of_the_cache_without_a_network(cached: Path):
    assert hub.commit_of("own/name") == COMMIT
    assert hub.commit_of(f"own/name@{'f' * 40}") == "f" * 40
    assert hub.commit_of("own/other") == hub.commit_of("own/name@v1") == ""
    assert codes(hub.commit_of, "own") == ["E047"]


@pytest.mark.parametrize(
    ("said", "found"), [("c" * 40, "c" * 40), ("main", ""), (None, ""), (OSError("no network"), "")]
)
def test_the_hub_says_which_commit_a_reference_means(said, found, monkeypatch):
    import datasets
    import huggingface_hub

    asked = []

    class Api:
        def dataset_info(self, name, *, revision, timeout, expand):
            asked.append((name, revision))
            if isinstance(said, Exception):
                raise said
            return SimpleNamespace(sha=said)

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    assert hub.commit_of("own/name@v2") == found and asked == [("own/name", "v2")]


def test_damaged_rows_of_the_cache_are_told_as_such(tmp_path: Path, monkeypatch):
    cache_data_set(tmp_path, monkeypatch, {"text": ["alpha", "beta"] * 9, "label": [0, 1] * 9})
    (file,) = (tmp_path / "cache").rglob("*.arrow")
    (info,) = (tmp_path / "cache").rglob("dataset_info.json")
    whole, said = file.read_bytes(), info.read_bytes()
    assert len(hub.hub_rows("own/name", "train", None)) == 18
    for damaged in (whole[: len(whole) // 2], b"", b"x" * 500, whole.replace(b"alpha", b"\xff\xfe\xffha"), None):
        file.write_bytes(damaged) if damaged is not None else file.unlink()
        for reference in ("own/name", f"own/name@{COMMIT}"):
            with pytest.raises(RecipeError, match="are damaged") as caught:
                hub.hub_rows(reference, "train", None)
            assert [d.code for d in caught.value.diagnostics] == ["E074"]
    file.write_bytes(whole)
    info.write_bytes(said[:5])
    assert codes(hub.hub_rows, "own/name", "train", None) == ["E074"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
@pytest.mark.parametrize("wrapped", [True, False])
def test_a_cache_of_the_library_that_cannot_be_written_is_told(cached: Path, monkeypatch, number, wrapped):
    import datasets

    def fails() -> None:
        error = OSError(number, "no")
        if wrapped:
            raise datasets.exceptions.DatasetGenerationError("an error") from error
        raise error

    builder = SimpleNamespace(hash=COMMIT, config=SimpleNamespace(data_files=None), download_and_prepare=fails)
    monkeypatch.setattr(datasets, "load_dataset_builder", lambda *a, **k: builder)
    with pytest.raises(RecipeError, match="cannot write to `cache`") as caught:
        hub.hub_rows("own/name", "train", None)
    assert "HF_DATASETS_CACHE" in caught.value.diagnostics[0].help[0]

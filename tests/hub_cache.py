"""A data set of the Hub as the library has it in its cache, of one commit: the stand-in for the Hub."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

COMMIT = "0123456789abcdef" * 2 + "01234567"


def cache_data_set(folder: Path, monkeypatch: pytest.MonkeyPatch, columns: Mapping[str, Sequence[Any]]) -> None:
    """`own/name` with one split, and classes where it has a column `label`; the network is disabled."""
    import datasets
    from datasets import config

    place = folder / "cache" / "own___name" / "default" / "0.0.0" / COMMIT
    rows = datasets.Dataset.from_dict(dict(columns))
    if "label" in columns:
        rows = rows.cast_column("label", datasets.ClassLabel(names=["no", "yes"]))
    place.mkdir(parents=True)
    with datasets.arrow_writer.ArrowWriter(path=str(place / "name-train.arrow"), features=rows.features) as writer:
        for row in rows:
            writer.write(row)
        writer.finalize()
    info = datasets.DatasetInfo(
        features=rows.features,
        dataset_name="name",
        config_name="default",
        version="0.0.0",
        splits={"train": {"name": "train", "num_bytes": 1, "num_examples": len(rows), "dataset_name": "name"}},
    )
    info.write_to_directory(str(place))
    monkeypatch.setattr(config, "HF_DATASETS_CACHE", folder / "cache")
    monkeypatch.setattr(config, "HF_HUB_OFFLINE", True)

"""The public corpus of old recipes: where it lies, and the table of what becomes of each."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import pytest

from recipelang.migrate.migrate import Migration, migrate
from recipelang.migrate.report import COLUMNS, row
from recipelang.source import Source

TABLE = Path(__file__).with_name("corpus.tsv")
_SHARED = os.environ.get("RECIPELANG_SHARED", "")
FOLDER = Path(_SHARED or "nowhere") / "corpus"

needs_corpus = pytest.mark.skipif(not _SHARED, reason="RECIPELANG_SHARED does not name the folder of the corpus")


def manifest() -> list[dict[str, str]]:
    """Facts of every file: dialect, modifiers, what the last loader of its dialect said."""
    head, *lines = (FOLDER / "manifest.tsv").read_text("utf-8").splitlines()
    keys = head.split("\t")
    return [dict(zip(keys, line.split("\t"), strict=True)) for line in lines]


@cache
def migrated() -> dict[str, Migration]:
    """Every file of the corpus, by its name."""
    found = {}
    for entry in manifest():
        path = FOLDER / entry["file"]
        found[path.name] = migrate(Source(path.name, path.read_text("utf-8")))
    return found


def table() -> str:
    rows = [row(m) for _, m in sorted(migrated().items())]
    return "".join("\t".join(cells) + "\n" for cells in (COLUMNS, *rows))

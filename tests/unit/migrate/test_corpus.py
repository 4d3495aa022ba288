"""154 public recipes of two tools: each ends in a valid recipe or a located, explained refusal.

`RECIPELANG_UPDATE_CORPUS=1 pytest tests/unit/migrate` writes the table `corpus.tsv` again.
"""

from __future__ import annotations

import os

import pytest

from recipelang.source import Diagnostics, Source
from recipelang.spec.check import check
from recipelang.spec.params import Given
from recipelang.syntax.fmt import format
from tests.unit.migrate.corpus import TABLE, manifest, migrated, needs_corpus, table

pytestmark = needs_corpus

#: what old recipes left to the command line
GIVEN = {
    "base": "hf://a/model", "task": "question_answering", "source": "hf://a/set", "teacher": "hf://a/teacher",
    "batch": "16", "learning_rate": "5e-5", "length": "30 epochs",
}  # fmt: skip
#: by the type of what else they ask for
BY_TYPE = {"span": "3 epochs", "ratio": "80%", "number": "1"}
_SPARSE = ("Pruning", "LearningRate", "Distillation", "EpochRange")


def test_the_table_is_what_the_corpus_gives() -> None:
    found = table()
    if "RECIPELANG_UPDATE_CORPUS" in os.environ:
        TABLE.write_text(found, "utf-8")
    assert TABLE.read_text("utf-8") == found


def test_every_recipe_is_formatted_and_valid() -> None:
    for name, migration in migrated().items():
        if migration.text is None:
            continue
        assert format(migration.text) == migration.text, name
        asked = {a: Given(GIVEN.get(a) or _by_type(migration.text, a), f"-p {a}") for a in migration.asks}
        checked = check(Source(name, migration.text), asked, complete=True)
        assert checked.recipe is not None and not checked.diagnostics.errors, (name, list(checked.diagnostics))


def _by_type(text: str, name: str) -> str:
    declared = next(line for line in text.splitlines() if line.startswith(f"param {name}:"))
    return BY_TYPE[declared.split(":")[1].split("=")[0].strip()]


def test_every_refusal_and_loss_has_a_place_and_a_reason() -> None:
    for name, migration in migrated().items():
        if migration.text is None:
            assert migration.lost, name
        for finding in migration.lost:
            assert finding.primary is not None or finding.code == "E111", (name, finding)


def test_no_modifier_disappears() -> None:
    for entry in manifest():
        migration = migrated()[entry["file"].split("/")[-1]]
        assert len(migration.fates) == int(entry["n_modifiers"]), entry["file"]


def test_legacy_recipes_lose_nothing_of_pruning_rates_and_distillation() -> None:
    checked = 0
    for entry in manifest():
        if entry["dialect"] != "legacy" or entry["loader_result"] != "ok":
            continue
        for fate in migrated()[entry["file"].split("/")[-1]].fates:
            if any(word in fate.modifier.name for word in _SPARSE):
                checked += 1
                assert fate.outcome == "carried", (entry["file"], fate.modifier.name)
    assert checked > 1900


def test_what_is_lost_is_quantisation_or_named_in_the_table() -> None:
    lost = {f.modifier.name for m in migrated().values() for f in m.fates if f.outcome == "lost"}
    others = {n for n in lost if not n.endswith(("QuantizationModifier", "GPTQModifier", "AWQModifier"))}
    # SparseGPT only where its sparsity was 0: it was there to quantise
    assert others == {"SmoothQuantModifier", "OutputDistillationModifier", "SparseGPTModifier"}


def test_what_the_last_loader_says_is_known() -> None:
    """As it was measured on the loaders themselves."""
    for entry in manifest():
        loader = migrated()[entry["file"].split("/")[-1]].loader
        assert loader is not None, entry["file"]
        said = {True: "ok", None: "SILENT"}.get(loader.accepts, "refused")
        measured = entry["loader_result"]
        expected = measured if measured == "ok" else "SILENT" if measured.startswith("SILENT") else "refused"
        assert said == expected, (entry["file"], loader.text, measured)


@pytest.mark.parametrize("code", ["W130", "W131", "W132", "E112"])
def test_what_is_repaired_and_ignored_is_said(code: str) -> None:
    found = Diagnostics()
    found.extend(d for m in migrated().values() for d in m.findings if d.code == code)
    assert len(found)

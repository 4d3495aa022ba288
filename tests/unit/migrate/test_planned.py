"""Migrated recipes of the corpus planned on a model of full size, strictly and with `compat`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from recipelang.migrate.document import LEGACY
from recipelang.migrate.migrate import Migration, Mode, migrate
from recipelang.planning.resolve import resolve
from recipelang.source import Diagnostics, Source
from recipelang.spec.check import check
from recipelang.spec.params import Given
from tests.model_configs import make_config, pretend
from tests.unit.migrate.corpus import migrated, needs_corpus

pytestmark = needs_corpus

_ROWS: dict[str, list[dict[str, object]]] = {
    "question_answering": [{"question": "a", "context": "b", "answers": {"text": ["b"], "answer_start": [0]}}],
    "sequence_classification": [{"sentence1": "a", "sentence2": "b", "label": label} for label in ("yes", "no")],
    "masked_lm": [{"text": "a"}],
}


def _different() -> Iterator[tuple[str, Migration]]:
    """Recipes of BERT without losses, of those that differ in their heads alone the first."""
    seen: set[str] = set()
    for name, strict in migrated().items():
        whole = strict.dialect == LEGACY and strict.outcome == "whole" and "bert." in strict.source.text
        if whole and strict.text is not None:
            body = strict.text.partition("}")[2]
            if body not in seen:
                seen.add(body)
                yield name, strict


@pytest.mark.parametrize("mode", ["strict", "compat"])
def test_legacy_recipes_without_losses_can_be_planned(
    mode: Mode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What may still be wrong is told by a code, and is known."""
    pretend(monkeypatch, 16 * 100)
    for task, rows in _ROWS.items():
        (tmp_path / f"{task}.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
        make_config(tmp_path / task, "bert-base", task, ("no", "yes") if task == "sequence_classification" else ())
    seen: dict[str, list[str]] = {}
    planned = 0
    for name, strict in _different():
        done = strict if mode == "strict" else migrate(strict.source, mode)
        assert done.text is not None, name
        task = next((t for t in ("sequence_classification", "masked_lm") if f"task = {t}" in done.text), "")
        task = task or "question_answering"
        model, data = str(tmp_path / task), str(tmp_path / f"{task}.jsonl")
        given = {"base": model, "task": task, "source": data, "teacher": model, "batch": "16"}
        given |= {"learning_rate": "5e-5", "length": "30 epochs"}
        asked = {n: Given(v, "-p") for n, v in given.items() if f"param {n}:" in done.text}
        checked = check(Source(name, done.text), asked, complete=True)
        assert checked.recipe is not None, (name, list(checked.diagnostics))
        found = Diagnostics()
        plan = resolve(checked.recipe, tmp_path, found)
        planned += plan is not None
        for error in found.errors:
            seen.setdefault(f"{error.code} {error.message}", []).append(name)
    assert seen == {}
    assert planned > 20

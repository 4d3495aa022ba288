"""Whole is what was planned on the family's usual model, and does there what the modifiers ask for."""

from __future__ import annotations

import textwrap

import pytest

from recipelang.migrate import document as documents
from recipelang.migrate.migrate import examined
from recipelang.migrate.planned import place
from recipelang.migrate.stages import stages
from recipelang.migrate.write import Writer
from recipelang.source import Diagnostics, Source
from tests.unit.migrate.test_migrate import migrated

_OLD = """
    peak: 0.5
    modifiers:
      - !EpochRangeModifier {start_epoch: 0, end_epoch: 10}
      - !LearningRateFunctionModifier {start_epoch: 0, end_epoch: 6, lr_func: linear, init_lr: 0.1, final_lr: 0.0}
      - !SetLearningRateModifier {start_epoch: 6, learning_rate: 0.25}
      - !SetWeightDecayModifier {weight_decay: 0.125, start_epoch: 0}
      - !GMPruningModifier
        params: ["re:bert.encoder.layer.*.output.dense.weight"]
        init_sparsity: 0.05
        final_sparsity: 0.8
        start_epoch: 2
        end_epoch: 8
        update_frequency: 0.5
      - !ConstantPruningModifier {params: [qa_outputs.weight], start_epoch: 0}
      - !TrainableParamsModifier {params: ["re:bert.embeddings.*"], trainable: False, end_epoch: 4}
      - !DistillationModifier {hardness: eval(peak), temperature: 2.0, start_epoch: 3}
"""


def written() -> tuple[str, Writer]:
    found = Diagnostics()
    document = documents.read(Source("old.yaml", textwrap.dedent(_OLD)), found)
    parts, _ = stages(document, found)
    writer = Writer(document, parts, found)
    text = writer.run()
    assert not found.errors, found.errors
    return text, writer


def test_what_does_the_same_is_whole() -> None:
    text, writer = written()
    assert list(examined(text, writer)) == []
    assert migrated(_OLD).outcome == "whole"


@pytest.mark.parametrize(
    ("old", "new", "source"),
    [
        ("length = 10 epochs", "length = 11 epochs", ""),
        ("@out | @down", "@down", "GMPruningModifier"),
        ("@out | @down", "@ffn | @out", "GMPruningModifier"),
        ("@out | @down", "(@out | @down) & layers(0..10)", "GMPruningModifier"),
        ("magnitude(scope = uniform)", "movement(scope = uniform)", "GMPruningModifier"),
        ("5% -> 80%", "5% -> 81%", "GMPruningModifier"),
        ("over = 2 epochs .. end - 2 epochs, updates", "over = 3 epochs .. end - 2 epochs, updates", "GMPruningModifier"),
        ("over = 2 epochs .. end - 2 epochs, updates", "over = 2 epochs .. end - 1 epoch, updates", "GMPruningModifier"),
        ("cubic(5%", "linear(5%", "GMPruningModifier"),
        ("targets = @head", "targets = @embeddings", "ConstantPruningModifier"),
        ("targets = @embeddings", "targets = @embeddings & @linear | layers(0)", "TrainableParamsModifier"),
        ("targets = @embeddings", "targets = @embeddings | layers(0)", "TrainableParamsModifier"),
        ("until   = 4 epochs", "until   = 3 epochs", "TrainableParamsModifier"),
        ("linear(0.1 -> 0,", "linear(0.2 -> 0,", "LearningRateFunctionModifier"),
        ("linear(0.1 -> 0,", "cosine(0.1 -> 0,", "LearningRateFunctionModifier"),
        ("constant(0.25,", "constant(0.3,", "SetLearningRateModifier"),
        ("weight_decay = 0.125", "weight_decay = 0.25", ""),
        ("temperature = 2", "temperature = 3", "DistillationModifier"),
        ("constant(0%, over = start..3 epochs)", "constant(0%, over = start..9 epochs)", "DistillationModifier"),
    ],
)  # fmt: skip
def test_what_does_otherwise_is_found_at_its_modifier(old: str, new: str, source: str) -> None:
    text, writer = written()
    assert text.count(old) >= 1, text
    changed = text.replace(old, new)
    if "3 epochs)" in old:
        changed = changed.replace("over = 3 epochs..end)", "over = 9 epochs..end)")
    found = list(examined(changed, writer))
    assert found and {d.code for d in found} == {"E157"}
    assert any(f"`{source}`" in d.message if source else d.message.startswith("this file") for d in found), found


def test_what_can_never_be_planned_is_not_whole() -> None:
    migration = migrated(_OLD.replace("init_sparsity: 0.05", "init_sparsity: 0.9"))
    assert migration.outcome == "partly" and [d.code for d in migration.lost] == ["E156"]
    (lost,) = migration.lost
    assert lost.primary is not None and migration.source.slice(lost.primary.span) == "!GMPruningModifier"
    assert migration.counted()["partly"] == 1


def test_names_of_no_known_family_are_not_whole() -> None:
    migration = migrated(_OLD.replace("re:bert.encoder.layer", "re:decoder.block"))
    assert {d.code for d in migration.lost} == {"E156"}


def test_times_that_the_file_leaves_open_are_filled_in() -> None:
    text = _OLD.replace("start_epoch: 2\n", "start_epoch: eval(a)\n").replace("end_epoch: 8\n", "end_epoch: eval(b)\n")
    assert migrated(text).outcome == "whole"


def test_a_place_of_the_new_text_is_that_of_a_block() -> None:
    text, _ = written()
    assert place(text, text.index("cubic")) == ("train", "prune", "to_80")
    assert place(text, text.index("until")) == ("train", "freeze", "frozen")
    assert place(text, text.index("linear(0.1")) == ("train", "learning_rate", "")
    assert place(text, text.index("temperature")) == ("train", "distill", "")
    assert place(text, text.index("length")) == ("train", "", "")
    assert place(text, text.index("model {")) == ("", "", "")

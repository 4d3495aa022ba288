"""What old files hold outside of what loaders took: told at its place in the old file, and never dropped."""

from __future__ import annotations

import time

import pytest

from recipelang.migrate.migrate import Migration, migrate
from recipelang.migrate.names import folded
from recipelang.source import Source

LEGACY = """\
modifiers:
  - !EpochRangeModifier {start_epoch: 0, end_epoch: 4}
  - !GMPruningModifier
    params: ['re:bert.encoder.*query.weight']
    init_sparsity: 0.05
    final_sparsity: 0.5
    start_epoch: 0
    end_epoch: 3
    update_frequency: 1
"""
NEWER = """\
a_stage:
  pruning_modifiers:
    ConstantPruningModifier: {targets: [Linear], start: 0}
"""


def told(migration: Migration) -> list[tuple[str, str, str]]:
    """Code, what stands at the place, and headline of every loss; every place is in the old file."""
    source = migration.source
    assert all(d.primary is not None and d.primary.source is source for d in migration.lost if d.code != "E111")
    return [(d.code, source.slice(d.primary.span), d.message) for d in migration.lost if d.primary is not None]


def of(text: str) -> Migration:
    return migrate(Source("old.yaml", text))


@pytest.mark.parametrize("name", ["MagnitudePruningModifier", "ConstantPruningModifier"])
@pytest.mark.parametrize(
    ("times", "why"),
    [
        ("end: 3", "`start` of `{name}` is missing"),
        ("start: null, end: 3", "`start` of `{name}` is missing"),
        ("start: -1, end: 4", "a start at epoch -1 cannot be migrated"),
        ("start: 0, end: -1", "an end at epoch -1 cannot be migrated"),
    ],
)
def test_what_newer_loaders_never_began_is_not_carried_over_as_pruning(name: str, times: str, why: str) -> None:
    shares = "init_sparsity: 0, final_sparsity: 0.5, " if name.startswith("Magnitude") else ""
    text = f"a_stage:\n  pruning_modifiers:\n    {name}: {{targets: [Linear], {shares}{times}}}\n"
    migration = of(text)
    assert why.format(name=name) in [message for _, _, message in told(migration)]
    assert migration.outcome != "whole"


def test_a_ramp_of_the_newer_loaders_needs_an_end() -> None:
    text = NEWER.replace("Constant", "Magnitude").replace("start: 0", "start: 0, init_sparsity: 0, final_sparsity: 0.5")
    assert told(of(text)) == [("E113", "MagnitudePruningModifier", "`end` of `MagnitudePruningModifier` is missing")]


@pytest.mark.parametrize("old", [LEGACY, NEWER])
@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("more_modifiers: GMPruningModifier", ["GMPruningModifier"]),
        ("more_modifiers: 3", ["3"]),
        ("more_modifiers: [a, b]", ["a", "b"]),
        ("more_modifiers: {a: 3, b: {c: 3}}", ["a", "b"]),
        ("b_stage: {more_modifiers: words}", ["words"]),
        ("more_modifiers:", []),
        ("more_modifiers: []", []),
    ],
)
def test_a_group_without_modifiers_is_told_by_what_stands_there(old: str, more: str, words: list[str]) -> None:
    migration = of(old + more + "\n")
    assert told(migration) == [("E113", word, f"`{word}` is not a modifier") for word in words]
    assert migration.loader is not None and migration.loader.accepts is (not words)


@pytest.mark.parametrize(
    "more",
    [
        "WandaPruningModifier:",
        "WandaPruningModifier: 3",
        "deep: {er: {pruning: {WandaPruningModifier: {sparsity: 0.5}}}}",
        "deep: [[{WandaPruningModifier: {sparsity: 0.5}, b: 3}]]",
    ],
)
def test_a_modifier_that_stands_where_none_is_read_is_told(more: str) -> None:
    message = "`WandaPruningModifier` is in a place where modifiers are not read"
    assert ("E113", "WandaPruningModifier", message) in told(of(NEWER + more + "\n"))


@pytest.mark.parametrize(
    "more", ["x: !GMPruningModifier {}", "x_modifiers: !GMPruningModifier", "x_stage: {y: !GMPruningModifier {}}"]
)
def test_a_tagged_modifier_that_stands_where_none_is_read_is_told(more: str) -> None:
    message = "`GMPruningModifier` is in a place where modifiers are not read"
    assert told(of(LEGACY + more + "\n")) == [("E113", "!GMPruningModifier", message)]


@pytest.mark.parametrize("more", ["metadata: {a: {QuantizationModifier: {}}}", "__metadata__: [QuantizationModifier]"])
def test_what_is_kept_beside_a_recipe_is_no_modifier(more: str) -> None:
    assert told(of(NEWER + more + "\n")) == []


@pytest.mark.parametrize(("more", "word"), [("b_stage: word", "b_stage"), ("b_stage: {quant: {GPTQ: {}}}", "quant")])
def test_a_stage_without_modifiers_is_told(more: str, word: str) -> None:
    found = [d for d in of(NEWER + more + "\n").findings if d.code == "W131"]
    assert [d.message for d in found] == [f"`{word}` is not allowed here"]


# ------------------------------------------------------------------ values
@pytest.mark.parametrize("rate", ["2", "1.5", "-1", "-1.0e-5"])
@pytest.mark.parametrize(
    "modifier",
    [
        "!SetLearningRateModifier {start_epoch: 0, learning_rate: RATE}",
        "!LearningRateFunctionModifier {start_epoch: 0, end_epoch: 4, lr_func: linear, init_lr: RATE, final_lr: 0.5}",
        "!LearningRateFunctionModifier {start_epoch: 0, end_epoch: 4, lr_func: cosine, init_lr: 0.5, final_lr: RATE}",
    ],
)
def test_rates_that_the_loader_refused_are_not_carried_over(modifier: str, rate: str) -> None:
    found = told(of(LEGACY + f"  - {modifier.replace('RATE', rate)}\n"))
    assert [(code, at) for code, at, _ in found] == [("E113", rate)]


@pytest.mark.parametrize(
    ("modifier", "at"),
    [
        ("!SetWeightDecayModifier {start_epoch: 0, weight_decay: -0.1}", "-0.1"),
        ("!DistillationModifier {start_epoch: 0, hardness: 2, temperature: 3}", "2"),
        ("!DistillationModifier {start_epoch: 0, hardness: 0.5, temperature: 0}", "0"),
        ("!DistillationModifier {start_epoch: 0, hardness: 0.5, temperature: -2}", "-2"),
        ("!OBSPruningModifier {SHARES, num_grads: 0}", "0"),
        ("!OBSPruningModifier {SHARES, fisher_block_size: 2.5}", "2.5"),
        ("!OBSPruningModifier {SHARES, damp: -1}", "-1"),
    ],
)
def test_a_value_out_of_range_is_told_at_its_place_in_the_old_file(modifier: str, at: str) -> None:
    shares = "init_sparsity: 0.05, final_sparsity: 0.5, start_epoch: 0, end_epoch: 3, update_frequency: 1"
    modifier = modifier.replace("SHARES", f"{shares}, params: ['re:bert.encoder.*key.weight']")
    migration = of(LEGACY + f"  - {modifier}\n")
    assert [word for _, word, _ in told(migration)] == [at]
    (error,) = migration.lost
    assert any("in the new recipe" in note for note in error.notes) and not error.fixes


def test_a_value_that_a_variable_gives_is_told_at_the_variable() -> None:
    text = LEGACY.replace("final_sparsity: 0.5", "final_sparsity: eval(goal)") + "goal: 1.5\n"
    assert [at for _, at, _ in told(of(text))] == ["eval(goal)"]
    text = LEGACY + "  - !DistillationModifier {start_epoch: 0, hardness: 0.5, temperature: eval(warm)}\nwarm: -2\n"
    assert [at for _, at, _ in told(of(text))] in (["-2"], ["!DistillationModifier"])


def test_names_of_many_numbers_are_folded_in_no_time() -> None:
    names = [f"{'a' * 40}.{i}.{'b' * 40}.{'c' * 40}.weight" for i in range(400)]
    begun = time.process_time()
    assert folded(names) == [f"{'a' * 40}.{{0..399}}.{'b' * 40}.{'c' * 40}.weight"]
    assert folded([("x" * 50 + ".") * 40 + "y"]) == [("x" * 50 + ".") * 40 + "y"]
    assert time.process_time() - begun < 0.5

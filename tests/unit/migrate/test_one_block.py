"""Modifiers that act on the same things one after another: one block with schedules, or a reason at their places."""

from __future__ import annotations

import re

import pytest

from recipelang.migrate.migrate import Migration
from tests.unit.migrate.test_migrate import migrated

_EVERY = "re:bert.encoder.layer.*(query|key|value|dense).weight"
_FFN = "re:bert.encoder.layer.[0-9]+.(intermediate|output).dense.weight"
_LEAVES = "modifiers:\n  - !EpochRangeModifier {start_epoch: 0, end_epoch: 10}\n"


def ramp(
    first: float, last: float, start: object, end: object, name: str = _EVERY, more: str = "", kind: str = "GM"
) -> str:
    return (
        f"  - !{kind}PruningModifier {{params: ['{name}'], init_sparsity: {first}, final_sparsity: {last}, "
        f"start_epoch: {start}, end_epoch: {end}, update_frequency: 1.0{more}}}\n"
    )


def hold(name: str = _EVERY, start: float = 0.0) -> str:
    return f"  - !ConstantPruningModifier {{params: ['{name}'], start_epoch: {start}}}\n"


def distill(hardness: float, temperature: float, start: float, end: float, on: str = "logits") -> str:
    return (
        f"  - !DistillationModifier {{hardness: {hardness}, temperature: {temperature}, distill_output_keys: [{on}], "
        f"start_epoch: {start}, end_epoch: {end}}}\n"
    )


def done(*modifiers: str, above: str = "") -> Migration:
    return migrated(above + _LEAVES + "".join(modifiers))


def text(*modifiers: str, above: str = "") -> str:
    """In one line, of what came along whole."""
    migration = done(*modifiers, above=above)
    assert migration.text is not None and migration.outcome == "whole", migration.findings
    return re.sub(r",? ?\n\s*|\s+", " ", migration.text)


# ------------------------------------------------------------------ ramps
def test_ramps_that_follow_each_other_are_one_schedule() -> None:
    found = text(ramp(0.05, 0.5, 2, 4), ramp(0.5, 0.8, 4, 8))
    assert found.count("prune ") == 1
    assert (
        "cubic(5% -> 50%, over = 2 epochs..warm, every = 1 epoch) cubic(50% -> 80%, over = warm .. end - 2 epochs"
        in found
    )
    assert "expect sparsity(@linear & @encoder) == 80% ± 0.1%" in found


@pytest.mark.parametrize(
    ("modifiers", "pieces"),
    [
        ((ramp(0.5, 0.8, 5, 8), ramp(0.05, 0.5, 2, 4)), ["cubic(5% -> 50%", "cubic(50% -> 80%"]),  # in any order
        ((ramp(0.05, 0.5, 2, 4), ramp(0.6, 0.8, 4, 8)), ["cubic(5% -> 50%", "cubic(60% -> 80%"]),  # with a jump
        ((ramp(0.5, 0.5, 0, 4), ramp(0.5, 0.8, 4, 8)), ["constant(50%, over = start..warm)", "cubic(50% -> 80%"]),
        ((ramp(0.05, 0.5, 2, 4), ramp(0.8, 0.8, 4, 8)), ["cubic(5% -> 50%", "constant(80%, over = warm..end)"]),
        (
            (ramp(0.05, 0.5, 2, 4), ramp(0.5, 0.8, 6, 8)),
            ["cubic(5% -> 50%", "constant(50%, over = 4 epochs .. end - 4 epochs)", "cubic(50% -> 80%"],
        ),
        (
            (ramp(0.05, 0.5, 2, 4), ramp(0.5, 0.7, 4, 6), ramp(0.7, 0.8, 6, 8)),
            ["cubic(5% -> 50%", "cubic(50% -> 70%", "cubic(70% -> 80%"],
        ),
    ],
)
def test_pieces_are_in_the_order_of_time(modifiers: tuple[str, ...], pieces: list[str]) -> None:
    found = text(*modifiers)
    assert found.count("prune ") == 1
    assert sorted(pieces, key=found.index) == pieces


def test_what_stays_as_it_was_is_no_piece() -> None:
    assert "sparsity = cubic(5% -> 80%, over = 2 epochs..warm, every = 1 epoch) }" in text(
        ramp(0.05, 0.8, 2, 5), ramp(0.8, 0.8, 5, 8)
    )


def test_variables_join_ramps_where_both_name_the_same_moment() -> None:
    found = text(ramp(0.05, 0.5, 2, "eval(turn)"), ramp(0.5, 0.8, "eval(turn)", 8), above="turn: 4\n")
    assert "over = 2 epochs..turn" in found and "over = turn .. end - 2 epochs" in found
    found = text(ramp(0.05, 0.5, 2, "eval(turn)"), ramp(0.5, 0.8, "eval(turn)", 8))
    assert "param turn: span" in found and "over = turn .. end - 2 epochs" in found


def test_names_one_by_one_are_joined_before() -> None:
    names = [f"bert.encoder.layer.{i}.output.dense.weight" for i in range(12)]
    first, second = [ramp(0.05, 0.5, 2, 4, n) for n in names], [ramp(0.5, 0.8, 4, 8, n) for n in names]
    found = text(*(m for pair in zip(first, second, strict=True) for m in pair))
    assert found.count("prune ") == 1 and "targets = @down" in found and "== 80% ± 0.1%" in found


def test_one_promise_for_what_many_modifiers_reach() -> None:
    names = [f"bert.encoder.layer.{i}.output.dense.weight" for i in range(12)]
    found = text(*(ramp(0.05, 0.8, 2, 8, n) for n in names))
    assert "let warm" not in found and "expect sparsity(@down) == 80% ± 0.1%" in found


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (ramp(0.5, 0.8, 3, 8), "another modifier prunes its tensors at the same time"),
        (ramp(0.5, 0.8, "eval(later)", 8), "another modifier prunes its tensors at the same time"),
        (ramp(0.05, 0.8, 4, 8), "its sparsity starts below the value another modifier reached"),
        (ramp(0.5, 0.8, 4, 8, _FFN), "another modifier prunes some of its tensors, and others"),
        (ramp(0.5, 0.8, 4, 8, kind="Movement"), "another modifier prunes its tensors by another method or pattern"),
        (
            ramp(0.5, 0.8, 4, 8, more=", mask_type: block4"),
            "another modifier prunes its tensors by another method or pattern",
        ),
    ],
)
def test_what_one_block_cannot_say_is_refused_at_its_modifier(second: str, message: str) -> None:
    migration = done(ramp(0.05, 0.5, 2, 4), second)
    (error,) = migration.lost
    assert (error.code, error.message) == ("E113", message)
    assert [fate.outcome for fate in migration.fates] == ["carried", "carried", "partly"]
    assert error.primary is not None and error.primary.source.position(error.primary.span.start)[0] == 4
    assert migration.text is not None and migration.text.count("  prune ") == 1


def test_apart_they_are_two_blocks() -> None:
    attention = "re:bert.encoder.layer.[0-9]+.attention.*(query|key|value|dense).weight"
    found = text(ramp(0.05, 0.5, 2, 4, attention), ramp(0.05, 0.8, 2, 8, _FFN))
    assert "prune to_50" in found and "prune to_80" in found


# ------------------------------------------------------------------ zeros that are held
@pytest.mark.parametrize(
    ("start", "since", "code", "message"),
    [
        (2, 0, "W132", "zeros are kept from the pruning of these tensors on"),
        (2, 8, "W131", "zeros of pruned tensors are always kept"),
        (0, 0, "W131", "zeros of pruned tensors are always kept"),
    ],
)
def test_zeros_of_pruned_tensors_need_no_block(start: int, since: float, code: str, message: str) -> None:
    migration = done(ramp(0.05, 0.8, start, 8), hold(start=since))
    assert migration.outcome == "whole" and migration.text is not None
    assert "held" not in migration.text and [(d.code, d.message) for d in migration.findings] == [(code, message)]


@pytest.mark.parametrize(("since", "said"), [(0, []), (3, ["zeros are kept from the start of the stage"])])
def test_zeros_alone_are_held_from_the_start(since: float, said: list[str]) -> None:
    assert [d.message for d in done(hold(start=since)).findings] == said


def test_the_rest_is_held() -> None:
    found = text(ramp(0.05, 0.8, 0, 8, _FFN), hold())
    assert "prune to_80 { targets = @ffn" in found and "prune held { targets = @attention" in found


# ------------------------------------------------------------------ distillation
def test_distillations_that_follow_each_other_are_one_block() -> None:
    found = text(ramp(0.05, 0.8, 2, 8), distill(0.5, 2.0, 0, 5), distill(1.0, 5.0, 5, 10))
    assert "hardness = [constant(50%, over = start..5 epochs), constant(100%, over = 5 epochs..end)]" in found
    assert "temperature = [constant(2, over = start..5 epochs), constant(5, over = 5 epochs..end)]" in found


def test_between_them_nothing_is_distilled() -> None:
    found = text(ramp(0.05, 0.8, 2, 8), distill(1.0, 5.0, 6, 8), distill(0.5, 5.0, 1, 3))
    pieces = ["0%, over = start..1 epoch", "50%, over = 1 epoch..3 epochs", "0%, over = 3 epochs..end - 4 epochs"]
    pieces += ["100%, over = end - 4 epochs..end - 2 epochs", "0%, over = end - 2 epochs..end"]
    written = re.search(r"hardness = \[(.*?)\] temperature = 5", found)
    assert written is not None
    assert written[1].replace(" .. ", "..").removesuffix(",") == ", ".join(f"constant({piece})" for piece in pieces)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (distill(1.0, 5.0, 4, 10), "two distillations are in force at once"),
        (distill(1.0, 5.0, 5, 10, "start_logits"), "it distils `start_logits`, the previous modifier `logits`"),
        (distill(1.0, 5.0, 8, 6), "this distillation ends before it begins"),
    ],
)
def test_what_cannot_follow_is_refused_at_its_modifier(second: str, message: str) -> None:
    migration = done(ramp(0.05, 0.8, 2, 8), distill(0.5, 2.0, 0, 5), second)
    (error,) = migration.lost
    assert (error.code, error.message) == ("E113", message)
    assert error.primary is not None and error.primary.source.name == "old.yaml"
    assert error.primary.source.position(error.primary.span.start)[0] == 5
    assert migration.text is not None and migration.text.count("distill {") == 1

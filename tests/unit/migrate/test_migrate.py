"""Small files of both tools into recipes: windows, rates, variables, losses."""

from __future__ import annotations

import textwrap

import pytest

from recipelang.migrate.migrate import Migration, migrate
from recipelang.source import Source
from recipelang.spec.check import check


def migrated(text: str, name: str = "old.yaml") -> Migration:
    return migrate(Source(name, textwrap.dedent(text)))


def recipe(text: str, name: str = "old.yaml") -> str:
    migration = migrated(text, name)
    assert migration.text is not None, migration.findings
    assert not migration.lost, migration.lost
    return migration.text


PRUNE = """
    modifiers:
      - !EpochRangeModifier
        start_epoch: 0
        end_epoch: 30
      - !GMPruningModifier
        params: ["re:bert.encoder.layer.*.weight"]
        init_sparsity: 0.05
        final_sparsity: 0.8
        start_epoch: 2
        end_epoch: 26
        update_frequency: {every}
        {more}
"""


def prune(every: str = "0.1", more: str = "") -> str:
    return PRUNE.format(every=every, more=more)


def test_a_window_is_relative_to_its_stage() -> None:
    text = recipe(prune())
    assert "sparsity = cubic(5% -> 80%, over = 2 epochs .. end - 4 epochs, updates = 10 per epoch)" in text
    assert "length        = 30 epochs" in text


@pytest.mark.parametrize(
    ("every", "written"),
    [("-1", "every = 1 step"), ("4", "every = 4 epochs"), ("0.3", "every = 0.3 epochs"), ("0.01", "updates = 100 per")],
)
def test_how_often(every: str, written: str) -> None:
    assert written in recipe(prune(every))


@pytest.mark.parametrize(
    ("mask", "pattern"), [("[1, 4]", "block(1, 4)"), ("block4", "block(1, 4)"), ("unstructured", None)]
)
def test_masks(mask: str, pattern: str | None) -> None:
    text = recipe(prune(more=f"mask_type: {mask}"))
    assert (f"pattern  = {pattern}" in text) if pattern else ("pattern" not in text)


def test_an_inverse_cubic_is_a_power() -> None:
    assert "polynomial(5% -> 80%, over = 2 epochs .. end - 4 epochs, power = (1 / 3)" in recipe(
        prune(more="inter_func: inverse_cubic")
    )


def test_a_sparsity_that_does_not_change_is_reached_at_once() -> None:
    assert "sparsity = step(0% -> 80%, at = 2 epochs)" in recipe(prune().replace("0.05", "0.8"))


RATES = """
    training_modifiers:
      - !EpochRangeModifier {{start_epoch: 0, end_epoch: 10}}
      {rates}
    pruning_modifiers:
      - !ConstantPruningModifier {{params: __ALL_PRUNABLE__, start_epoch: 0}}
"""


def rate(start: float, end: float, more: str = "lr_func: linear") -> str:
    numbers = f"start_epoch: {start}, end_epoch: {end}, init_lr: 0.1, final_lr: 0.01"
    return f"- !LearningRateFunctionModifier {{{numbers}, {more}}}\n      "


def test_a_gap_between_rates_is_filled_with_what_was_in_force() -> None:
    text = recipe(RATES.format(rates=rate(2, 4) + rate(6, 8)))
    assert "constant(learning_rate, over = start..2 epochs)" in text
    assert "constant(low, over = 4 epochs .. end - 4 epochs)" in text
    assert "constant(low, over = end - 2 epochs .. end)" in text


def test_cycles() -> None:
    text = recipe(RATES.format(rates=rate(0, 10, "lr_func: cyclic_linear, cycle_epochs: 2.5")))
    assert "learning_rate = linear(0.1 -> 0.01, over = start..end, rewind = 2.5 epochs, ends = last)" in text


def test_a_rate_that_is_set_stays() -> None:
    one = "- !SetLearningRateModifier {start_epoch: 0, learning_rate: 0.5}\n      "
    two = "- !SetLearningRateModifier {start_epoch: 3, learning_rate: 0.25}\n"
    text = recipe(RATES.format(rates=one + two))
    assert "constant(0.5, over = start..3 epochs)" in text and "constant(0.25, over = 3 epochs..end)" in text


def test_two_rates_at_once_are_refused() -> None:
    migration = migrated(RATES.format(rates=rate(0, 6) + rate(4, 10)))
    assert [d.code for d in migration.lost] == ["E113"]


def test_variables_become_parameters_of_their_kind() -> None:
    text = recipe("""
        epochs: 10
        last: 0.9
        warm: 2
        modifiers:
          - !EpochRangeModifier {start_epoch: 0, end_epoch: eval(epochs)}
          - !GMPruningModifier
            params: __ALL_PRUNABLE__
            start_epoch: eval(warm)
            end_epoch: eval(epochs - 2 * warm)
            init_sparsity: eval(0.5 * last)
            final_sparsity: eval(last)
            update_frequency: 1
    """)
    assert "param epochs: span = 10 epochs" in text
    assert "param original_last: ratio = 90%" in text
    assert "param original_warm: span = 2 epochs" in text  # the migration uses `warm` itself
    assert "cubic(0.5 * original_last -> original_last, over = original_warm .. epochs - 2 * original_warm" in text


def test_a_variable_of_two_kinds_is_written_out() -> None:
    text = recipe("""
        half: 0.5
        modifiers:
          - !EpochRangeModifier {start_epoch: 0, end_epoch: 2}
          - !GMPruningModifier
            params: __ALL_PRUNABLE__
            start_epoch: eval(half)
            end_epoch: 2
            init_sparsity: 0.1
            final_sparsity: eval(half)
            update_frequency: 1
    """)
    assert "half" not in text.replace("half:", "") and "10% -> 50%" in text


def test_an_anchor_is_a_variable_too() -> None:
    text = recipe("""
        num_epochs: &n 4
        modifiers:
          - !EpochRangeModifier {start_epoch: 0, end_epoch: *n}
          - !ConstantPruningModifier {params: __ALL_PRUNABLE__, start_epoch: 0}
    """)
    assert "length        = num_epochs" in text


def test_a_variable_without_a_value_is_asked_for() -> None:
    migration = migrated("""
        s_stage:
          pruning_modifiers:
            MagnitudePruningModifier: {targets: [Linear], start: 0, end: 1, init_sparsity: 0, final_sparsity: eval(goal)}
    """)
    assert "goal" in migration.asks and not migration.lost


def test_stages_keep_their_names_and_order() -> None:
    text = recipe("""
        dense_stage:
          training_modifiers:
            - !EpochRangeModifier {start_epoch: 0, end_epoch: 2}
            - !SetLearningRateModifier {start_epoch: 0, learning_rate: 0.1}
        use_stage:
          pruning_modifiers:
            - !EpochRangeModifier {start_epoch: 2, end_epoch: 5}
            - !ConstantPruningModifier {params: __ALL_PRUNABLE__, start_epoch: 2}
    """)
    assert text.index("stage dense {") < text.index("stage stage_use {")


def test_layers_that_stay_are_numbered_anew() -> None:
    text = recipe("""
        modifiers:
          - !EpochRangeModifier {start_epoch: 0, end_epoch: 2}
          - !LayerPruningModifier {layers: [bert.encoder.layer.0, bert.encoder.layer.1]}
          - !GMPruningModifier
            params: ["re:bert.encoder.layer.(2|3).*.weight"]
            start_epoch: 0
            end_epoch: 1
            init_sparsity: 0
            final_sparsity: 0.5
            update_frequency: 1
    """)
    assert "drop layers { keep = [2, 3, 4, 5, 6, 7, 8, 9, 10, 11] }" in text
    assert "targets  = @linear & layers(0..1)" in text


def test_comments_come_along() -> None:
    text = recipe("""
        modifiers:
          - !EpochRangeModifier {start_epoch: 0, end_epoch: 2}
          # hold what the teacher's pruning left
          - !ConstantPruningModifier {params: __ALL_PRUNABLE__, start_epoch: 0}
    """)
    assert "# hold what the teacher's pruning left\n  prune held {" in text


def test_front_matter_and_its_command() -> None:
    text = recipe(
        """
        # A title
        ---
        modifiers:
          - !EpochRangeModifier {start_epoch: 0, end_epoch: 2}
          - !ConstantPruningModifier {params: __ALL_PRUNABLE__, start_epoch: 0}
        ---
        ```
        python run_qa.py \\
          --model_name_or_path some/bert \\
          --per_device_train_batch_size 12 \\
          --learning_rate 3e-5
        ```
        """,
        "card.md",
    )
    assert 'param base: model = "hf://some/bert"' in text
    assert "param batch: int = 12" in text and "param learning_rate: number = 3e-5" in text
    assert "task = question_answering" in text


def test_n_of_m_counts_what_stays() -> None:
    text = recipe("""
        a_stage:
          a_modifiers:
            SparseGPTModifier: {sparsity: 0.25, mask_structure: "1:4", targets: ["re:.*q_proj"], percdamp: 0.1}
    """)
    assert "pattern  = 3:4" in text and "damp = 0.1" in text and "mode = one_shot" in text


def test_what_the_new_recipe_reaches_is_promised() -> None:
    text = recipe(prune())
    assert "expect sparsity(@linear & @encoder) == 80% ± 0.1%" in text


@pytest.mark.parametrize(
    "text",
    [
        'x_stage: {m_modifiers: {SparseGPTModifier: {sparsity: 0.5, targets: ["a\\" }\\nprune x {"]}}}',
        "x_stage: {m_modifiers: {SparseGPTModifier: {sparsity: -1, targets: [Linear]}}}",
        "x_stage: {m_modifiers: {SparseGPTModifier: [1]}}",
        "- !GMPruningModifier",
        "modifiers: [!GMPruningModifier {params: [[x]], final_sparsity: {0.5: a}, start_epoch: [], end_epoch: {}}]",
        "modifiers: [!EpochRangeModifier {start_epoch: 0, end_epoch: 99999999999999999999999999999999999999}]",
        "modifiers: [!DistillationModifier {hardness: 7, temperature: -1}]",
        "²: 1\nmodifiers: [!GMPruningModifier {mask_type: '²:4', params: [Linear], end_epoch: eval(²)}]",
        "[]",
        "",
        "{}",
        "x",
    ],
)
def test_nothing_breaks_it(text: str) -> None:
    migration = migrate(Source("old.yaml", text))
    assert migration.text is None or not check(Source("new", migration.text)).diagnostics.errors
    assert migration.lost or migration.text is not None

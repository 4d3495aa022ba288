"""Values that an old recipe means, not those that it seems to: variables of stages, flags in formulas, one clock."""

from __future__ import annotations

import pytest

from tests.unit.migrate.test_migrate import migrated, recipe

_RAMP = """{{params: ["re:bert.encoder.layer.*.output.dense.weight"], init_sparsity: {first}, final_sparsity: {last},
        start_epoch: {start}, end_epoch: {end}, update_frequency: 1.0{more}}}"""


def ramp(start: str = "2", end: str = "8", more: str = "", first: float = 0.05, last: float = 0.8) -> str:
    return _RAMP.format(start=start, end=end, more=more and f", {more}", first=first, last=last)


def flat(variables: str, more: str, end: str = "8") -> str:
    return f"""
{variables}
modifiers:
  - !EpochRangeModifier {{start_epoch: 0, end_epoch: 10}}
  - !GMPruningModifier {ramp(end=end, more=more)}
"""


@pytest.mark.parametrize(
    ("variables", "flag", "scope"),
    [
        ("a: True", "eval(a)", "global"),
        ("a: False", "eval(a)", "uniform"),
        ("a: 1", "eval(a)", "global"),
        ("a: 0", "eval(a)", "uniform"),
        ("a: 3", "eval(a - 3)", "uniform"),
        ("a: 3", "eval(a - 2)", "global"),
        ("a: 3", "'eval(max(a, 2) - 3)'", "uniform"),
        ("a: eval(b)\nb: yes", "eval(a)", "global"),
        ("a: 1", "on", "global"),
        ("a: 1", "null", "uniform"),
    ],
)
def test_a_flag_is_what_its_variable_says(variables: str, flag: str, scope: str) -> None:
    assert f"magnitude(scope = {scope})" in recipe(flat(variables, f"global_sparsity: {flag}"))


@pytest.mark.parametrize("flag", ["eval(missing)", "perhaps", "[true]", "eval(a / 0)"])
@pytest.mark.parametrize("key", ["global_sparsity", "leave_enabled"])
def test_a_flag_that_is_not_read_is_no_default(key: str, flag: str) -> None:
    migration = migrated(flat("a: 1", f"{key}: {flag}"))
    assert migration.outcome == "partly" and {d.code for d in migration.lost} <= {"E113", "E114"}


def test_a_word_without_a_value_is_no_word() -> None:
    assert [d.code for d in migrated(flat("a: 1", "mask_type: eval(missing)")).lost] == ["E113"]


def staged(*stages: str, file: str = "") -> str:
    return file + "\n" + "\n".join(f"s{i}_stage:\n{s}" for i, s in enumerate(stages))


def stage(begins: str, ends: str, *modifiers: str, variables: str = "") -> str:
    inner = "".join(f"    - !{m}\n" for m in modifiers)
    above = "".join(f"  {line}\n" for line in variables.splitlines())
    return f"{above}  modifiers:\n    - !EpochRangeModifier {{start_epoch: {begins}, end_epoch: {ends}}}\n{inner}"


def test_variables_of_a_stage_hold_in_that_stage_and_rank_above_the_file() -> None:
    one = stage("0", "eval(n)", "GMPruningModifier " + ramp("0", "'eval(max(n, 1) - 2)'"), variables="n: 10")
    two = stage(
        "10", "eval(n)", f"GMPruningModifier {ramp('10', '12', first=0.8, last=0.9)}", variables="n: 14\nrate: eval(n)"
    )
    text = recipe(staged(one, two, file="n: 99"))
    assert "length        = s0_n\n" in text and "param s0_n: span = 10 epochs" in text
    assert "over = start..8 epochs" in text
    assert "length        = s1_n - 10 epochs" in text and "param s1_n: span = 14 epochs" in text
    assert "over = start..2 epochs" in text and "99" not in text


def test_variables_of_the_file_hold_in_every_stage() -> None:
    one = stage("0", "eval(n)", f"GMPruningModifier {ramp('0', 'eval(n)')}")
    two = stage("eval(n)", "eval(n + 5)", f"GMPruningModifier {ramp('eval(n)', 'eval(n + 2)', first=0.8, last=0.9)}")
    text = recipe(staged(one, two, file="n: 10"))
    assert "param n: span = 10 epochs" in text and "length        = n\n" in text
    assert "length        = n - 5 epochs" in text and "over = start .. n - 8 epochs" in text


def test_the_newer_loaders_let_the_file_rank_above_its_stages() -> None:
    migration = migrated("""
        goal: 0.6
        s_stage:
          goal: 0.3
          sparsity_modifiers:
            SparseGPTModifier: {sparsity: eval(goal), targets: [Linear], ignore: ["re:.*lm_head"]}
    """)
    assert migration.text is not None and "= 60%" in migration.text and "30%" not in migration.text
    assert "W131" in {d.code for d in migration.findings}


_HOLD = (
    'ConstantPruningModifier {params: ["re:bert.encoder.layer.*.output.dense.weight"], start_epoch: 30, end_epoch: 32}'
)
_RATE = "LearningRateFunctionModifier {start_epoch: 30, end_epoch: 32, lr_func: linear, init_lr: 0.1, final_lr: 0.0}"


@pytest.mark.parametrize("turned", [False, True])
def test_epochs_count_through_all_stages(turned: bool) -> None:
    """The clock decides the order as well, whatever comes first in the file."""
    one = stage("0", "30", f"GMPruningModifier {ramp('2', '20')}")
    two = stage("30", "32", _HOLD, _RATE)
    migration = migrated(staged(*((two, one) if turned else (one, two))))
    text = migration.text
    assert text is not None and migration.outcome == "whole"
    assert "W132" not in {d.code for d in migration.findings}
    first, second = (text.index(f"stage s{i} ") for i in ((1, 0) if turned else (0, 1)))
    assert first < second
    assert (
        "length        = 30 epochs" in text[first:second] and "over = 2 epochs .. end - 10 epochs" in text[first:second]
    )
    assert "length        = 2 epochs" in text[second:]
    assert "learning_rate = linear(0.1 -> 0, over = start..end)" in text[second:]


def test_what_a_stage_leaves_in_force_goes_on() -> None:
    rate = "SetLearningRateModifier {start_epoch: 0, learning_rate: 0.5}"
    teach = "DistillationModifier {hardness: 0.5, temperature: 2.0, distill_output_keys: [logits], start_epoch: 1}"
    frozen = 'TrainableParamsModifier {params: ["re:bert.embeddings.*"], trainable: False}'
    decay = "SetWeightDecayModifier {weight_decay: 0.25, start_epoch: 0}"
    one, two = stage("0", "30", rate, teach, frozen, decay), stage("30", "32", _HOLD)
    text = recipe(staged(one, two))
    second = text[text.index("stage s1 ") :]
    assert "learning_rate = constant(0.5, over = start..end)" in second
    assert "hardness    = 50%" in second.replace("= 0.5", "= 50%") and "constant(0%" not in second
    assert "freeze frozen {" in second and "adamw(weight_decay = 0.25, no_decay = nothing)" in second


def test_the_rate_of_the_trainer_falls_over_all_stages() -> None:
    text = recipe(staged(stage("0", "30", f"GMPruningModifier {ramp()}"), stage("30", "40", _HOLD.replace("32", "40"))))
    assert "linear(learning_rate -> 0.25 * learning_rate, over = start..end)" in text
    assert "linear(0.25 * learning_rate -> 0, over = start..end)" in text


def test_stages_that_run_at_the_same_time_are_one() -> None:
    migration = migrated(staged(stage("0", "30", f"GMPruningModifier {ramp()}"), stage("0", "40", _HOLD)))
    text = migration.text
    assert text is not None and text.count("stage ") == 1 and "length        = 40 epochs" in text
    assert any(d.code == "W132" and "same time" in d.message for d in migration.findings)


def test_a_stage_that_only_trains_is_not_dropped() -> None:
    text = recipe(staged(stage("0", "30"), stage("30", "32", _HOLD)))
    assert "length        = 30 epochs" in text and "length        = 2 epochs" in text


@pytest.mark.parametrize("end", ["eval(later)", "eval(later + 1)"])
def test_an_end_without_a_value_does_not_decide_the_length(end: str) -> None:
    text = recipe(flat("", "", end=end))
    assert "length        = 10 epochs" in text and "over = 2 epochs .. " in text.replace("epochs..", "epochs .. ")
    assert "param later: span" in text


def test_without_a_range_an_end_without_a_value_is_the_length() -> None:
    text = recipe(f"modifiers:\n  - !GMPruningModifier {ramp(end='eval(later)')}\n")
    assert "length        = later" in text and "over = 2 epochs..later" in text


def test_a_range_that_is_not_read_is_asked_for() -> None:
    migration = migrated(f"""
modifiers:
  - !EpochRangeModifier {{start_epoch: 0, end_epoch: "eval(f(2))"}}
  - !GMPruningModifier {ramp()}
""")
    assert "length" in migration.asks and "E114" in {d.code for d in migration.lost}


@pytest.mark.parametrize(
    ("modifier", "key"),
    [
        ("GMPruningModifier {params: [a.weight], final_sparsity: 0.8, start_epoch: 0, end_epoch: 1, update_frequency: 1}",
         "init_sparsity"),
        ("GMPruningModifier {params: [a.weight], init_sparsity: 0, final_sparsity: 0.8, start_epoch: 0, end_epoch: 1}",
         "update_frequency"),
        ("LearningRateFunctionModifier {init_lr: 0.1, final_lr: 0.0, start_epoch: 0, end_epoch: 1}", "lr_func"),
        ("TrainableParamsModifier {params: [a.weight]}", "trainable"),
        ("SetLearningRateModifier {start_epoch: 0}", "learning_rate"),
        ("EpochRangeModifier {start_epoch: 0}", "end_epoch"),
    ],
)  # fmt: skip
def test_no_value_is_made_up_for_what_a_loader_needs(modifier: str, key: str) -> None:
    held = "  - !ConstantPruningModifier {params: [b.weight]}\n"
    migration = migrated(f"modifiers:\n  - !{modifier}\n{held}")
    (lost,) = migration.lost
    assert lost.code == "E113" and lost.message.startswith(f"`{key}` of ")
    assert migration.loader is not None and migration.loader.accepts is False


def test_layers_go_one_after_another_whatever_the_file_says() -> None:
    migration = migrated("""
        s_stage:
          sparsity_modifiers:
            SparseGPTModifier: {sparsity: 0.5, sequential_update: false, targets: [Linear], ignore: ["re:.*lm_head"]}
    """)
    assert migration.text is not None and "parallel" not in migration.text
    assert "W132" in {d.code for d in migration.findings}
    assert any("one after another" in text for text in migration.differences)


_FREEZE = """
modifiers:
  - !EpochRangeModifier {{start_epoch: 0, end_epoch: 10}}
  - !TrainableParamsModifier {{params: {names}, trainable: False}}
  - !ConstantPruningModifier {{params: __ALL_PRUNABLE__, start_epoch: 0}}
"""


@pytest.mark.parametrize(
    ("names", "selector"),
    [
        ('["re:bert.embeddings.*"]', "@embeddings"),
        ('["re:bert.encoder.layer.0.*"]', "layers(0)"),
        ('["re:.*LayerNorm"]', '"**LayerNorm**"'),
        ('["bert.encoder.layer.3.output.dense.bias"]', '"bert.encoder.layer.3.output.dense.bias"'),
        ('["re:classifier.*", "re:bert.pooler.*"]', '"classifier.**" | "bert.pooler.**"'),
        ("__ALL__", '"**"'),
    ],
)
def test_what_was_frozen_is_frozen(names: str, selector: str) -> None:
    migration = migrated(_FREEZE.format(names=names))
    assert migration.text is not None and f"targets = {selector}\n" in migration.text
    assert not [d for d in migration.findings if d.code == "W132"]


@pytest.mark.parametrize("name", ["squad.yaml", "mnli_qa.yaml", "conll-mlm.yaml"])
def test_what_a_file_is_called_tells_no_task(name: str) -> None:
    migration = migrated(flat("", ""), name)
    assert "task" in migration.asks


@pytest.mark.parametrize(
    ("text", "task"),
    [
        ("# python run_qa.py --do_train\n", "question_answering"),
        ("# python run_glue.py --task_name mnli\n", "sequence_classification"),
        ("# sparseml.transformers.token_classification --x\n", "token_classification"),
        ("# run_glue.py and run_qa.py\n", None),
        ("# squad\n", None),
    ],
)
def test_a_script_tells_a_task(text: str, task: str | None) -> None:
    migration = migrated(text + flat("", ""))
    assert migration.text is not None
    assert ("task" in migration.asks) if task is None else (f"task = {task}\n" in migration.text)


def test_zeros_that_grew_again_are_not_held_without_a_word() -> None:
    names = 'params: ["re:bert.encoder.*.output.dense.weight"], start_epoch: 0'
    flat_ = f"""
modifiers:
  - !EpochRangeModifier {{start_epoch: 0, end_epoch: 10}}
  - !ConstantPruningModifier {{{names}, end_epoch: 5}}
"""
    assert [d.code for d in migrated(flat_).lost] == ["E113"]
    assert not migrated(flat_.replace("end_epoch: 5", "end_epoch: 10")).lost
    rate = "SetLearningRateModifier {start_epoch: 30, learning_rate: 0.5}"
    one = stage("0", "30", f"ConstantPruningModifier {{{names}, end_epoch: 30}}")
    assert [d.code for d in migrated(staged(one, stage("30", "32", rate))).lost] == ["E113"]
    assert not migrated(staged(one, stage("30", "32", _HOLD))).lost


@pytest.mark.parametrize(("trained", "codes"), [("bert.embeddings", ["E113"]), ("bert.encoder", [])])
def test_what_one_modifier_freezes_and_another_trains_is_refused(trained: str, codes: list[str]) -> None:
    more = f'  - !TrainableParamsModifier {{params: ["re:{trained}.*"], trainable: True}}\n'
    migration = migrated(_FREEZE.format(names='["re:bert.embeddings.*"]') + more)
    assert [d.code for d in migration.lost] == codes


def test_epochs_of_a_later_stage_lose_what_they_have_in_common_with_its_start() -> None:
    one = stage("0", "eval(a)", f"GMPruningModifier {ramp('1', 'eval(a - 1)')}")
    rate = "LearningRateFunctionModifier {start_epoch: eval(a + 1), end_epoch: eval(2 * a + 5), lr_func: linear, "
    two = stage("eval(a)", "eval(2 * a + 5)", f"{rate}init_lr: 0.1, final_lr: 0.0}}")
    text = recipe(staged(one, two))
    assert "length = a + 5 epochs\n" in text
    assert "constant(learning_rate, over = start..1 epoch)" in text and "over = 1 epoch .. a + 5 epochs" in text

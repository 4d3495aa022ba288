"""The training command beside a recipe in Markdown: carried over, or said not to be."""

from __future__ import annotations

import pytest

from recipelang.migrate.migrate import Migration
from tests.unit.migrate.test_migrate import migrated

_HELD = """---
ratio: 0.5
modifiers:
{more}  - !ConstantPruningModifier
    params: __ALL_PRUNABLE__
    start_epoch: 0.0
---
```
{before}python run_qa.py --model_name_or_path a/b {options} \\
  --output_dir out --do_train
```
"""
_RANGE = "  - !EpochRangeModifier {start_epoch: 0, end_epoch: 4}\n"
_RAMP = """  - !GMPruningModifier
    params: ["re:bert.encoder.*.output.dense.weight"]
    init_sparsity: 0.0
    final_sparsity: eval(ratio)
    start_epoch: 0
    end_epoch: 2
    update_frequency: 1
"""


def held(options: str, more: str = "", before: str = "") -> Migration:
    migration = migrated(_HELD.format(options=options, more=more, before=before), "old.md")
    assert migration.text is not None and not migration.lost, migration.findings
    return migration


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ("--num_train_epochs 8", "param length: span = 8 epochs"),
        ("--num_train_epochs=2.5", "param length: span = 2.5 epochs"),
        ("--num_train_epochs 8 --max_steps 500", "param length: span = 500 steps"),
        ("--per_device_train_batch_size 16", "param batch: int = 16"),
        ("--per_device_train_batch_size 16 --gradient_accumulation_steps 4", "param batch: int = 64"),
        ("--per-device-train-batch-size 16", "param batch: int = 16"),
        ("--learning_rate 3e-5", "param learning_rate: number = 3e-5"),
        ("--seed 7", "seed = 7"),
        ("--bf16", "precision     = bf16"),
        ("--weight_decay 0.01", "optimizer     = adamw(weight_decay = 0.01)"),
        ("--max_grad_norm 0.5", "clip          = 0.5"),
        ("--dataset_name squad", 'param source: dataset = "hf://rajpurkar/squad"'),
        ("--dataset_config_name plain_text", 'config = "plain_text"'),
        ("--lr_scheduler_type constant --warmup_steps 9", "learning_rate = constant(learning_rate, over = start..end)"),
        (
            "--lr_scheduler_type constant_with_warmup --warmup_steps 9",
            "[linear(0 -> learning_rate, over = start..9 steps), constant(learning_rate, over = 9 steps..end)]",
        ),
        ("--warmup_steps 9", "[linear(0 -> learning_rate, over = start..9 steps), linear(learning_rate -> 0, over = 9 steps..end)]"),
        ("--warmup_ratio 0.1 --num_train_epochs 5", "linear(learning_rate -> 0, over = 0.5 epochs..end)"),
        ("--lr_scheduler_type cosine", "learning_rate = cosine(learning_rate -> 0, over = start..end)"),
        ("--distill_teacher c/d --distill_hardness 0.8", 'param teacher: model = "hf://c/d"'),
        ("--distill_teacher c/d --distill_hardness 0.8", "hardness    = 80%"),
        ("--distill_teacher c/d --distill_temperature 4.0", "temperature = 4"),
    ],
)  # fmt: skip
def test_what_a_command_decides_is_carried_over(options: str, line: str) -> None:
    migration = held(options)
    assert migration.text is not None and line in migration.text
    assert "W150" not in {d.code for d in migration.findings}


@pytest.mark.parametrize(
    ("name", "more", "task"),
    [
        ("mnli", "", "sequence_classification"),
        ("stsb", "", "regression"),
        ("STSB", "--distill_teacher c/d", None),
    ],
)
def test_a_command_tells_classes_from_a_number(name: str, more: str, task: str | None) -> None:
    text = _HELD.replace("run_qa.py", "run_glue.py").format(options=f"--task_name {name} {more}", more="", before="")
    migration = migrated(text, "old.md")
    assert migration.text is not None
    assert ("task" in migration.asks) if task is None else (f"task = {task}\n" in migration.text)


def test_every_process_has_its_examples() -> None:
    launched = "python -m torch.distributed.launch --nproc_per_node 4 "
    text = held("--per_device_train_batch_size 16").text
    several = migrated(
        _HELD.format(options="--per_device_train_batch_size 16", more="", before=launched), "old.md"
    ).text
    assert text is not None and several is not None
    assert "param batch: int = 16" in text and "param batch: int = 64" in several


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ("--label_smoothing_factor 0.1", "--label_smoothing_factor 0.1"),
        ("--bf16 --fp16", "--fp16"),
        ("--task_name mnli", "--task_name mnli"),
        ("--lr_scheduler_type polynomial --warmup_steps 5", "--lr_scheduler_type polynomial"),
        ("--warmup_ratio 0.1", "--warmup_ratio 0.1"),
        ("--seed nine", "--seed nine"),
        ("--max_train_samples 100", "--max_train_samples 100"),
        ("--load_best_model_at_end", "--load_best_model_at_end"),
        ("--something_new 3", "--something_new 3"),
        ("--optim adafactor", "--optim adafactor"),
    ],
)
def test_what_is_left_of_a_command_is_named(options: str, left: str) -> None:
    (finding,) = [d for d in held(options).findings if d.code == "W150"]
    assert f"`{left}`" in finding.notes[0] and finding.primary is not None


@pytest.mark.parametrize(
    "options", ["--logging_steps 5", "--save_strategy epoch", "--optim adamw_torch", "--adam_beta1 0.9", "--fp16 False"]
)
def test_what_changes_nothing_is_not_told(options: str) -> None:
    assert "W150" not in {d.code for d in held(options).findings}


def test_what_the_recipe_sets_itself_replaces_the_command() -> None:
    rate = "  - !SetLearningRateModifier {start_epoch: 0, learning_rate: 0.5}\n"
    decay = "  - !SetWeightDecayModifier {weight_decay: 0.25, start_epoch: 0}\n"
    options = "--num_train_epochs 9 --learning_rate 1e-3 --warmup_steps 7 --weight_decay 0.125"
    migration = held(options, _RANGE + rate + decay)
    text = migration.text
    assert text is not None and "4 epochs" in text and "constant(0.5" in text and "weight_decay = 0.25" in text
    assert not {"9 epochs", "7 steps", "0.125"} & set(text.split(" ")) and "W150" not in {
        d.code for d in migration.findings
    }


@pytest.mark.parametrize("told", ["'{\"ratio\": 0.75}'", "ratio=0.75", '"ratio:0.75"'])
def test_arguments_of_the_recipe_rank_above_its_variables(told: str) -> None:
    text = held(f"--recipe_args {told}", _RAMP).text
    assert text is not None and "param original_ratio: ratio = 75%" in text.replace(
        "param ratio:", "param original_ratio:"
    )


def test_arguments_of_no_variable_are_named() -> None:
    found = [d for d in held("--recipe_args 'other=3'").findings if d.code == "W150"]
    assert [note for d in found for note in d.notes] == ["not migrated:  `--recipe_args other=3`"]


def test_the_command_that_names_the_recipe_counts() -> None:
    teacher = "python run_qa.py --do_train --seed 1\n```\n```\npython -m pip install --upgrade x\n"
    text = migrated(_HELD.format(options="--recipe r.md --seed 2", more="", before=teacher), "old.md").text
    assert text is not None and "seed = 2\n" in text


def test_a_folder_is_no_name_of_the_hub() -> None:
    migration = held("--distill_teacher MODELS_DIR/teacher --distill_hardness 1 --distill_temperature 2")
    assert "teacher" in migration.asks


def test_an_environment_before_a_command_is_read_past() -> None:
    options = "--per_device_train_batch_size 8"
    migration = migrated(_HELD.format(options=options, more="", before="CUDA_VISIBLE_DEVICES=0,1 "), "old.md")
    assert migration.text is not None and "param batch: int = 8" in migration.text
    assert any("CUDA_VISIBLE_DEVICES" in note for d in migration.findings if d.code == "W150" for note in d.notes)

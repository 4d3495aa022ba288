"""Recipes for llm-compressor and for transformers' `TrainingArguments`: what they say there, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
import yaml
from transformers import TrainingArguments, get_scheduler

from recipelang.migrate import to_llm_compressor, to_training_arguments
from recipelang.migrate.migrate import migrate
from recipelang.planning.schedule import segments
from recipelang.schedules.stepwise import at
from recipelang.source import Diagnostics, RecipeError, Source
from recipelang.spec.check import check
from recipelang.spec.recipe import Recipe
from tests.model_configs import make_config
from tests.unit.migrate.outward import ONE_SHOT, PARTS, PRUNES_ALL_BUT

HEAD = 'recipe 1 "a"\nmodel {{ base = "{base}", task = {task} }}\ndata {{ {data} }}\n'


def checked(
    body: str, base: str = "hf://a/llama", task: str = "causal_lm", data: str = 'source = "hf://a/set"'
) -> Recipe:
    text = HEAD.format(base=base, task=task, data=data) + body
    found = check(Source("a.recipe", text), complete=True)
    assert found.recipe is not None, list(found.diagnostics)
    return found.recipe


def arguments(learning_rate: str, rest: str = "", length: str = "100 steps") -> dict[str, object]:
    body = f"stage train {{ length = {length}, batch = 16\n learning_rate = {learning_rate}\n {rest} }}"
    return json.loads(to_training_arguments.convert(checked(body)))


# ------------------------------------------------------------------ transformers
@pytest.mark.parametrize(
    "written",
    [
        "1e-4",
        "linear(1e-4 -> 0, over = start..end)",
        "linear(1e-4 -> 1e-5, over = start..end)",
        "cosine(1e-4 -> 0, over = start..end)",
        "cosine(1e-4 -> 1e-5, over = start..end)",
        "cubic(1e-4 -> 1e-6, over = start..end)",
        "[linear(0 -> 1e-4, over = start..10 steps), linear(1e-4 -> 0, over = 10 steps..end)]",
        "[linear(0 -> 1e-4, over = start..10%), cosine(1e-4 -> 0, over = 10%..end)]",
        "[linear(0 -> 1e-4, over = start..10%), constant(1e-4, over = 10%..end)]",
    ],
)
def test_its_scheduler_sets_the_same_rates(written: str, tmp_path: Path) -> None:
    steps = 100
    found = TrainingArguments(output_dir=str(tmp_path), use_cpu=True, **arguments(written))
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=found.learning_rate)
    kwargs = found.lr_scheduler_kwargs or {}
    scheduler = get_scheduler(
        found.lr_scheduler_type, optimizer, found.get_warmup_steps(steps), steps, scheduler_specific_kwargs=kwargs
    )
    theirs = []
    for _ in range(steps):
        theirs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    rate = checked(f"stage train {{ length = {steps} steps, batch = 16\n learning_rate = {written} }}").stages[0]
    assert rate.learning_rate is not None
    planned = segments(rate.learning_rate, steps, 50, None, Diagnostics())
    ours = [at(planned, step) for step in range(steps)]
    assert max(abs(a - b) for a, b in zip(ours, theirs, strict=True)) <= 1e-15 * 1e-4


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("[linear(0 -> 1e-4, over = start..10%), linear(1e-4 -> 0, over = 10%..end)]", True),
        ("[linear(0 -> 1e-4, over = start..10 steps), linear(1e-4 -> 0, over = 10 steps..end)]", False),
        ("1e-4", False),
    ],
)
def test_a_warm_up_that_may_end_inside_a_step_is_told_of(written: str, told: bool) -> None:
    recipe = checked(f"stage train {{ length = 3 epochs, batch = 16\n learning_rate = {written} }}")
    assert to_training_arguments.rounds_up(recipe, recipe.stages[0]) is told


def test_where_nothing_decays_it_does_not_matter_what_would_be_spared() -> None:
    assert arguments("1e-4", "optimizer = adamw(no_decay = nothing)")["weight_decay"] == 0.0


def test_every_field_is_one_of_the_installed_transformers(tmp_path: Path) -> None:
    rest = """micro_batch = 4, clip = none, precision = fp32, keep = 3, checkpoint_every = 50 steps
    optimizer = adamw(betas = [0.9, 0.98], weight_decay = 0.01), seed = 7"""
    found = arguments("linear(8e-5 -> 0, over = start..end)", rest, "2.5 epochs")
    TrainingArguments(output_dir=str(tmp_path), use_cpu=True, **found)
    assert found == {
        "num_train_epochs": 2.5, "per_device_train_batch_size": 4, "gradient_accumulation_steps": 4,
        "learning_rate": 8e-5, "lr_scheduler_type": "linear", "optim": "adamw_torch", "adam_beta1": 0.9,
        "adam_beta2": 0.98, "adam_epsilon": 1e-8, "weight_decay": 0.01, "max_grad_norm": 0.0, "bf16": False,
        "torch_compile": False, "seed": 7, "save_strategy": "steps", "save_steps": 50, "save_total_limit": 3,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("written", "rest"),
    [
        ("exponential(1e-3 -> 1e-5, over = start..end)", ""),
        ("linear(1e-5 -> 1e-4, over = start..end)", ""),
        ("linear(1e-4 -> 0, over = start..end, rewind = 10 steps)", ""),
        ("[linear(1e-4 -> 5e-5, over = start..50%), linear(5e-5 -> 0, over = 50%..end)]", ""),
        ("1e-4", "checkpoint_every = 2 epochs"),
        ("1e-4", "checkpoint_every = 10 min"),
        ("1e-4", "micro_batch = 3"),
        ("1e-4", "group head { targets = @head, learning_rate = 1e-3 }"),
        ("1e-4", "drop layers { keep = [0, 1] }"),
        ("linear(1e-4 -> 0, over = start..end)", "compat = sparseml_1"),
        ("1e-4", "optimizer = adamw(weight_decay = 0.01, no_decay = nothing)"),
        ("linear(1e-4 -> 0, over = start..end, ends = last)", ""),
    ],
)
def test_what_has_no_field_is_refused(written: str, rest: str) -> None:
    with pytest.raises(RecipeError) as error:
        arguments(written, rest)
    assert [d.code for d in error.value.diagnostics] == ["E115"]
    assert error.value.diagnostics[0].primary is not None


# ------------------------------------------------------------------ llm-compressor
@pytest.mark.parametrize("name", ONE_SHOT)
def test_it_comes_back_as_the_same_pruning(name: str) -> None:
    """Written for llm-compressor and migrated again."""
    recipe = checked(ONE_SHOT[name])
    back = migrate(Source("recipe.yaml", to_llm_compressor.convert(recipe, Path())))
    assert back.text is not None and not back.lost, back.findings
    for line in PARTS[name]:
        assert line in " ".join(back.text.split()), back.text


def test_the_text_is_this() -> None:
    assert to_llm_compressor.convert(checked(ONE_SHOT["pattern"]), Path()) == (
        "# a, written by recipelang\n"
        '# the rest are arguments of its `oneshot(...)`: model="a/llama", precision="float32", '
        'dataset=load_dataset("a/set", split="train"), num_calibration_samples=None, max_seq_length=384, '
        "concatenate_data=True\n"
        "# calibrated on hf://a/set, split train, which it cuts and samples in its own way: the samples differ from recipelang's\n"
        "# it sets no seed: call `torch.manual_seed(42)` before it\n"
        "# names of layers are those of a Llama model\n"
        "sparse_stage:\n"
        "  pruning_modifiers:\n"
        "    SparseGPTModifier:\n"
        "      sparsity: 0.75\n"
        '      mask_structure: "3:4"\n'
        "      block_size: 64\n"
        "      dampening_frac: 0.1\n"
        "      targets: [Linear]\n"
        '      ignore: ["re:.*lm_head"]\n'
    )


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (
            'source = "hf://Salesforce/wikitext", config = "wikitext-2-raw-v1", samples = 128 samples, seed = 7',
            [
                'dataset="wikitext", dataset_config_name="wikitext-2-raw-v1", splits="train", num_calibration_samples=128',
                "hf://Salesforce/wikitext, configuration wikitext-2-raw-v1, split train",
                "torch.manual_seed(7)",
            ],
        ),
        (
            'source = "hf://a/set@v2", config = "b", train = "test"',
            ['dataset=load_dataset("a/set", "b", split="test", revision="v2")'],
        ),
        (
            'train = "texts/train.jsonl", max_length = 64 tokens, shuffle = false\n columns { text = "body" }',
            [
                'dataset=load_dataset("json", data_files="texts/train.jsonl", split="train"), text_column="body"',
                "shuffle_calibration_samples=False, max_seq_length=64, concatenate_data=True",
            ],
        ),
        (  # it would join texts of its own making
            'train = "chats.jsonl", samples = 64 samples\n columns { messages = "talk" }',
            ["dataset=LOADER", "LOADER is a DataLoader of your own, of 64 examples"],
        ),
        (
            'samples = 10 samples\n mix web { source = "web.jsonl", share = 70% }\n mix made { source = "made.txt", share = 30% }',
            ["dataset=LOADER", "a mixture of 70% web.jsonl, 30% made.txt, which"],
        ),
        ('source = "a.tsv"', ['load_dataset("csv", data_files="a.tsv", split="train", delimiter="\\t")']),
        ('train = "all.txt"', ['load_dataset("text", data_files="all.txt", split="train", sample_by="document")']),
    ],
)
def test_model_data_and_seed_are_arguments_beside_it(data: str, said: list[str]) -> None:
    text = to_llm_compressor.convert(checked(ONE_SHOT["plain"], data=data), Path())
    assert [part for part in said if part not in text] == []
    assert all(line.startswith("#") for line in text.partition("sparse_stage")[0].splitlines())


def test_a_revision_is_an_argument() -> None:
    text = to_llm_compressor.convert(checked(ONE_SHOT["plain"], base="hf://a/llama@v1"), Path())
    assert 'model="a/llama", model_revision="v1"' in text


def test_what_a_recipe_measures_and_promises_is_said_to_stay() -> None:
    more = "evaluate dev { metrics = [perplexity] }\nexpect sparsity(@linear & @decoder) == 60% ± 1%"
    text = to_llm_compressor.convert(checked(ONE_SHOT["plain"] + more), Path())
    assert "# left out: what the recipe's `evaluate` and `expect` measure and check\n" in text


@pytest.mark.parametrize("model", PRUNES_ALL_BUT)
def test_what_is_ignored_is_a_pattern(model: str, tmp_path: Path) -> None:
    """SparseGPT and Wanda ask for `lm_head.`, with a dot, which a plain name never is; a tied head is a module as well."""
    config, task, targets = PRUNES_ALL_BUT[model]
    folder = make_config(tmp_path / "model", config, task)
    body = (
        f"stage sparse {{ mode = one_shot\n prune weights {{ targets = {targets}, method = wanda, sparsity = 50% }} }}"
    )
    found = yaml.safe_load(to_llm_compressor.convert(checked(body, base=str(folder), task=task), tmp_path))
    ((_, its),) = found["sparse_stage"]["pruning_modifiers"].items()
    heads = {"tied": ["lm_head"], "answers": ["qa_outputs"], "masked": ["decoder", "dense"], "parts": []}[model]
    assert all(pattern.startswith("re:") for pattern in its.get("ignore", ()))
    for head in heads:
        assert any(re.match(p[3:], f"{_FULL.get(head, head)}.") for p in its["ignore"])
    inner = "model.layers.3.mlp.up_proj." if config == "llama-1b" else "bert.encoder.layer.3.output.dense."
    assert not any(re.match(pattern[3:], inner) for pattern in its.get("ignore", ()))


_FULL = {"decoder": "cls.predictions.decoder", "dense": "cls.predictions.transform.dense"}


@pytest.mark.parametrize(
    "part",
    [
        "method = magnitude", "method = random", "method = hold", "method = wanda(scope = uniform)",
        "method = sparsegpt(scope = erk)", "method = sparsegpt\npattern = block(1, 4)", "method = sparsegpt\norder = parallel",
    ],
)  # fmt: skip
def test_what_it_cannot_do_is_refused(part: str) -> None:
    sparsity = "" if "hold" in part else "sparsity = 50%"
    body = f"stage sparse {{ mode = one_shot\n prune weights {{ targets = @linear & @decoder\n{part}\n{sparsity} }} }}"
    with pytest.raises(RecipeError) as error:
        to_llm_compressor.convert(checked(body), Path())
    assert [d.code for d in error.value.diagnostics] == ["E115"]


@pytest.mark.parametrize("block", ["shrink body { axes = ffn -> 50% }", "drop layers { keep = [0, 1] }"])
def test_smaller_models_are_refused(block: str) -> None:
    body = (
        f"stage sparse {{ mode = one_shot\n{block}\nprune w {{ targets = @linear, method = wanda, sparsity = 50% }} }}"
    )
    with pytest.raises(RecipeError) as error:
        to_llm_compressor.convert(checked(body), Path())
    assert [d.code for d in error.value.diagnostics] == ["E115"]


@pytest.mark.parametrize(
    "targets",
    [
        "@linear & layers(0..3)",
        '"model.layers.0.**.weight" & @linear',
        '(@linear & @decoder) except "model.layers.0.mlp.**"',
    ],
)
def test_layers_are_not_guessed(targets: str) -> None:
    body = f"stage sparse {{ mode = one_shot\n prune w {{ targets = {targets}, method = wanda, sparsity = 50% }} }}"
    with pytest.raises(RecipeError, match="E115]: these layers are counted"):
        to_llm_compressor.convert(checked(body), Path())


@pytest.mark.parametrize(
    ("data", "targets", "more"),
    [
        ('source = "lib://facts"', "@linear & @decoder", ""),
        ('source = "a.arrow"', "@linear & @decoder", ""),
        ('source = "hf://a/set"', "(@linear & @decoder) | @embeddings", ""),
        (
            'source = "hf://a/set"',
            "@linear & @decoder",
            'data b { source = "hf://a/b" }\nstage more { mode = one_shot, data = b\n'
            "prune w { targets = @linear & @decoder, method = wanda, sparsity = 70% } }",
        ),
    ],
)
def test_what_it_cannot_load_or_reach_is_refused(data: str, targets: str, more: str) -> None:
    body = f"stage sparse {{ mode = one_shot\n prune w {{ targets = {targets}, method = wanda, sparsity = 50% }} }}\n"
    with pytest.raises(RecipeError) as error:
        to_llm_compressor.convert(checked(body + more, data=data), Path())
    assert [d.code for d in error.value.diagnostics] == ["E115"]
    assert error.value.diagnostics[0].primary is not None

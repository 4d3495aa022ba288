"""What is refused is refused for its true reason; what needs no refusal is read."""

from __future__ import annotations

import textwrap

import pytest

from recipelang.migrate.document import LEGACY
from recipelang.migrate.migrate import Migration, migrate
from recipelang.source import Source
from tests.unit.migrate.test_migrate import migrated, prune as broadly, recipe

ONE_SHOT = """
    sparsity_stage:
      {scalars}
      sparsity_modifiers:
        SparseGPTModifier:
          sparsity: {sparsity}
          targets: {targets}
          ignore: ["re:.*lm_head"]
          {more}
"""


def prune(more: str = "") -> str:
    """Of matrices alone."""
    return broadly(more=more).replace(
        "re:bert.encoder.layer.*.weight", "re:bert.encoder.layer.*(query|key|value|dense).weight"
    )


def one_shot(
    sparsity: str = "0.5", targets: str = "[Linear]", more: str = "", scalars: str = "run_type: oneshot"
) -> str:
    return ONE_SHOT.format(sparsity=sparsity, targets=targets, more=more, scalars=scalars)


def only(migration: Migration) -> tuple[str, str]:
    """Code and headline of the one error."""
    (error,) = migration.lost
    return error.code, error.message


# ------------------------------------------------------------------ files of other tools
@pytest.mark.parametrize(
    ("name", "text", "tool"),
    [
        ("a.json", '{"compression": {"algorithm": "magnitude_sparsity"}}', "NNCF"),
        ("a.json", '{ // levels\n "input_info": {"sample_size": [1]},\n "compression": [] }', "NNCF"),
        ("a.yaml", "- op_types: [Linear]\n  sparse_ratio: 0.8\n", "nni"),
        (
            "a.yaml",
            "pruning:\n  approach:\n    x:\n      pruners:\n        - !Pruner {pattern: '2:4'}\n",
            "Neural Compressor",
        ),
        ("a.yaml", "version: 1\npruners:\n  a: {class: X}\npolicies:\n  - x\n", "Distiller"),
        ("a.yaml", "base_model: a/b\ndatasets:\n  - path: c\n", "Axolotl"),
        (
            "a.yaml",
            "base_model: a/b\nllmcompressor:\n  recipe:\n    a_stage:\n      b_modifiers: {ConstantPruningModifier: {}}\n",
            "Axolotl",
        ),
        ("a.yaml", "model_name_or_path: a/b\nfinetuning_type: lora\n", "LLaMA-Factory"),
        ("a.json", '{"compression_training": {"sparse_pruning": {}}}', "DeepSpeed"),
        ("a.yaml", "quantize:\n  $import: configs/fp8\n", "Model Optimizer"),
        ("a.yaml", "model:\n  _component_: torchtune.models.llama3\n", "torchtune"),
        ("a.json", '{"model_type": "bert", "architectures": ["BertModel"]}', "the config of a model"),
        ("a.py", 'recipe = """\na_stage:\n  b: {c: 1}\n"""\n', "Python"),
        ("a.yaml", "from llmcompressor import oneshot\noneshot(model=x)\n", "Python"),
        ("a.recipe", 'recipe 1 "a"\nmodel { base = "x" }\n', "a recipe of this language"),
    ],
)
def test_files_of_other_tools_are_told_which_are_read(name: str, text: str, tool: str) -> None:
    migration = migrate(Source(name, text))
    code, message = only(migration)
    assert code == "E111" and tool in message
    assert "`migrate` reads SparseML and llm-compressor" in message or tool == "a recipe of this language"
    (error,) = migration.lost
    assert error.primary is not None and error.help
    assert not any(d.code == "W132" for d in migration.findings)


@pytest.mark.parametrize("text", ["a: 1\n", "- 1\n- 2\n", "", "a: {b: [1, 2]}\n", "x"])
def test_files_that_nobody_knows_are_told_as_well(text: str) -> None:
    (error,) = migrate(Source("a.yaml", text)).lost
    assert error.message == "this file holds no modifiers"
    assert error.notes == ("`migrate` reads SparseML and llm-compressor",)


@pytest.mark.parametrize(
    "text", ["\n" * 60_000, "a = " * 15_000, "compression " * 5_000, " " * 60_000 + "x: [", "import " * 9_000]
)
def test_looking_for_other_tools_takes_no_time(text: str) -> None:
    assert migrate(Source("a.yaml", text)).lost


# ------------------------------------------------------------------ names
@pytest.mark.parametrize("name", ["LegacyGMPruningModifier", "GradualKSModifier"])
def test_old_names_with_the_same_arguments_are_read(name: str) -> None:
    text = prune(more="log_types: __ALL__").replace("GMPruningModifier", name)
    migration = migrated(text)
    assert migration.outcome == "whole" and migration.text is not None
    assert "method   = magnitude(scope = uniform)" in migration.text
    assert migration.loader is not None and migration.loader.why == f"the loader has no `{name}`"
    assert [d.code for d in migration.findings if name in d.message] == ["W131"]


@pytest.mark.parametrize("name", ["SparseGPTModifier", "SparseOPTModifier", "SparseLlamaModifier", "SparseMPTModifier"])
def test_one_shot_in_tagged_lists(name: str) -> None:
    migration = migrated(f"modifiers:\n  - !{name}\n    block_size: 64\n    quantize: True\n    num_bits: 16\n")
    assert migration.dialect == LEGACY and migration.outcome == "whole" and migration.text is not None
    for part in ("stage prune {", "mode = one_shot", "sparsegpt(block = 64, damp = 0.01)", "sparsity = 50%"):
        assert part in migration.text
    assert only(migrated(f"modifiers:\n  - !{name}\n    sparsity: 0.5\n    num_bits: 8\n"))[0] == "E113"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a_stage:\n  b_modifiers:\n    REAPPruningModifier: {targets: ['re:.*mlp']}\n", "experts of a mixture"),
        ("modifiers:\n  - !ASRegModifier\n    alpha: 1\n", "regularising activations is not supported"),
        ("modifiers:\n  - !MFACGlobalPruningModifier\n    x: 1\n", "M-FAC is not supported"),
    ],
)
def test_what_is_lost_is_lost_for_its_own_reason(text: str, why: str) -> None:
    errors = migrated(text).lost
    assert [e.code for e in errors] == ["E112", "E111"]
    assert why in errors[0].message and not any("did you mean" in h for h in errors[0].help)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "SparseGPTModifier:\n  sparsity: 0.5\n  ignore: ['re:.*lm_head']\n",
            "`SparseGPTModifier` is outside a stage",
        ),
        (
            "a_stage:\n  SparseGPTModifier:\n    sparsity: 0.5\n    ignore: ['re:.*lm_head']\n",
            "`SparseGPTModifier` is outside a group",
        ),
    ],
)
def test_modifiers_outside_of_groups_are_read_and_told(text: str, said: str) -> None:
    migration = migrated(text)
    assert migration.outcome == "whole"
    assert [d.message for d in migration.findings if d.code == "W132"] == [said]
    assert migration.loader is not None and migration.loader.accepts is None


# ------------------------------------------------------------------ arguments
@pytest.mark.parametrize("more", ["phased: False", "phased: eval(flat)\nflat: False", "score_type: magnitude"])
def test_known_arguments_at_their_defaults_say_nothing(more: str) -> None:
    argument, _, rest = more.partition("\n")
    migration = migrated(textwrap.dedent(prune(more=argument)) + rest)
    assert migration.outcome == "whole" and migration.findings == ()


DISTILL = """
      - !DistillationModifier
        distill_output_keys: [logits]
        teacher_input_keys: {keys}
"""


def test_inputs_of_a_teacher_are_all_or_refused() -> None:
    assert "distill {" in recipe(prune() + DISTILL.format(keys="null"))
    assert only(migrated(prune() + DISTILL.format(keys="[input_ids]")))[0] == "E113"


@pytest.mark.parametrize("more", ["phased: True", "score_type: movement", "mask_type: '64:2:4'"])
def test_known_arguments_at_other_values_are_lost(more: str) -> None:
    error = migrated(prune(more=more)).lost[0]
    assert error.code == "E113" and "is not known" not in error.message


@pytest.mark.parametrize("more", ["group: sparsity", "index: 0", "start: 0.0", "offload_hessians: true"])
def test_arguments_of_every_modifier_change_nothing(more: str) -> None:
    migration = migrated(one_shot(more=more))
    assert migration.outcome == "whole"
    assert [d.code for d in migration.findings] == ["W131"]


@pytest.mark.parametrize("more", ["end: null", "update: -1", "owl_m: null", "sparsity_profile: null", "index: ~"])
def test_what_was_not_given_says_nothing(more: str) -> None:
    migration = migrated(one_shot(more=more))
    assert migration.outcome == "whole" and migration.findings == ()


def test_a_sparsity_for_each_layer_is_one_refusal() -> None:
    assert migrated(one_shot("[0.5, 0.6]")).lost[0].message == "a sparsity for each layer cannot be migrated"
    assert len(migrated(one_shot("[0.5, 0.6]")).lost) == 2  # and nothing is left of the file


@pytest.mark.parametrize("word", ['"64:2:4"', "64:2:4"])
def test_patterns_of_columns_are_called_by_their_name(word: str) -> None:
    migration = migrated(one_shot(more=f"mask_structure: {word}"))
    assert migration.lost[0].message == "the V:N:M pattern `64:2:4` cannot be migrated"


# ------------------------------------------------------------------ variables
@pytest.mark.parametrize(
    "text",
    [
        "args:\n  wanted: 0.6\n" + textwrap.dedent(one_shot("eval(wanted)")),
        one_shot("eval(wanted)", scalars="args: {wanted: 0.6}"),
        "args:\n  wanted: eval(part * 2)\n  part: 0.3\n" + textwrap.dedent(one_shot("eval(wanted)")),
    ],
)
def test_variables_below_args_have_their_values(text: str) -> None:
    migration = migrated(text)
    assert migration.outcome == "whole" and migration.text is not None
    assert "param wanted: ratio = 60%" in migration.text or "let wanted" in migration.text
    assert "wanted" not in migration.asks


@pytest.mark.parametrize(
    ("variable", "targets"),
    [
        ("these: ['re:.*mlp.down_proj', 're:.*mlp.up_proj']", "eval(these)"),
        ("these: 're:.*mlp.down_proj'", "[eval(these), 're:.*mlp.up_proj']"),
        ("args: {these: ['re:.*mlp.down_proj', 're:.*mlp.up_proj']}", "eval(these)"),
    ],
)
def test_variables_may_be_lists(variable: str, targets: str) -> None:
    assert "targets  = @up | @down" in recipe(f"{variable}\n" + textwrap.dedent(one_shot(targets=targets)))


def test_a_list_of_the_stage_hides_that_of_the_file() -> None:
    text = textwrap.dedent(prune()).replace('["re:bert.encoder.layer.*(query|key|value|dense).weight"]', "eval(names)")
    assert "targets  = @down" in recipe(
        'names: ["bert.encoder.layer.0.output.dense.weight"]\na_stage:\n'
        '  names: ["re:bert.encoder.layer.[0-9]+.output.dense.weight"]\n' + textwrap.indent(text, "  ")
    )


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ("eval(these)", "`eval(these)` is not a name that the file defines"),
        ("[]", "`targets` names nothing"),
        ("[{a: b}]", "`targets` must hold only names"),
    ],
)
def test_targets_that_nobody_tells_are_refused_and_not_made_up(targets: str, message: str) -> None:
    migration = migrated(one_shot(targets=targets))
    assert [e.code for e in migration.lost] == ["E113", "E111"]
    assert migration.lost[0].message == message


def test_keys_of_a_stage_that_no_loader_reads_are_no_variables() -> None:
    migration = migrated(one_shot(scalars="enabled: false"))
    assert migration.outcome == "whole" and [d.code for d in migration.findings] == ["W131"]


# ------------------------------------------------------------------ targets
@pytest.mark.parametrize(
    ("targets", "more", "written"),
    [
        ("[Linear]", "", "@linear & @decoder"),
        ("[Linear, Conv1d]", "", "@linear & @decoder"),
        ("__ALL__", "", "@linear & @decoder"),
        ("['re:.*']", "", "@linear & @decoder"),
        ("LlamaForCausalLM", "", "@linear & @decoder"),
        ("[LlamaDecoderLayer]", None, "@linear & @decoder"),
        ("['re:model.layers.\\d+$']", None, "@linear & @decoder"),
        ("['re:.*mlp.*']", None, "@ffn"),
        ("[LlamaMLP]", None, "@ffn"),
        ("[MistralAttention]", None, "@attention"),
        ("['re:.*self_attn$', LlamaMLP]", None, "@linear & @decoder"),
        ("['model.layers.0', 'model.layers.1']", None, "@linear & layers(0..1)"),
    ],
)
def test_modules_and_classes_are_what_they_hold(targets: str, more: str | None, written: str) -> None:
    """Where the head would be one of them it stays dense, which is told."""
    text = textwrap.dedent(one_shot(targets=targets)).replace('  ignore: ["re:.*lm_head"]\n', "")
    migration = migrated(text)
    assert migration.outcome == "whole" and migration.text is not None, migration.findings
    assert f"targets  = {written}" in migration.text
    said = [] if more is None else ["the head stays dense: it is not a layer"]
    assert [d.message for d in migration.findings if d.code == "W132"] == said


@pytest.mark.parametrize("head", ["lm_head", "re:.*lm_head", "re:.*head.*"])
def test_a_head_that_is_named_is_refused(head: str) -> None:
    text = textwrap.dedent(one_shot(targets=f"[Linear, '{head}']")).replace('  ignore: ["re:.*lm_head"]\n', "")
    migration = migrated(text)
    assert only(migration) == ("E113", "layers are pruned one after another, and the head is not a layer")
    assert migration.text is not None and "targets  = @linear & @decoder" in migration.text


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ("[Foo]", "`Foo` is not a class of a supported family"),
        ("['re:(a']", "the targets cannot be read: this regular expression cannot be used"),
    ],
)
def test_targets_of_no_family_are_refused(targets: str, message: str) -> None:
    assert migrated(one_shot(targets=targets)).lost[0].message == message


def test_names_that_are_ignored_and_not_there_are_told() -> None:
    migration = migrated(
        one_shot().replace(
            '"re:.*lm_head"', '"re:.*lm_head", "re:.*no_such", "re:.*norm", LlamaRMSNorm, "model.embed_tokens"'
        )
    )
    assert [d.message for d in migration.findings] == ["`re:.*no_such` names nothing in a `llama` model"]


ALL = """
    modifiers:
      - !EpochRangeModifier {{start_epoch: 0, end_epoch: 4}}
      - {modifier}
"""
RAMP = "{init_sparsity: 0.1, final_sparsity: 0.5, start_epoch: 0, end_epoch: 2, update_frequency: 0.5, params: %s}"


@pytest.mark.parametrize(
    ("modifier", "code", "message"),
    [
        (
            f"!GMPruningModifier {RAMP % '__ALL__'}",
            "E113",
            "`__ALL__` includes biases and norms, which are not pruned here",
        ),
        ("!ConstantPruningModifier {params: __ALL__}", "W132", "zeros of biases and norms are not held"),
        (
            f"!GMPruningModifier {RAMP % 're:bert.encoder.layer.*'}",
            "W132",
            "matching biases and norms are not pruned here",
        ),
    ],
)
def test_what_is_named_beyond_matrices_is_told(modifier: str, code: str, message: str) -> None:
    found = [d for d in migrated(ALL.format(modifier=modifier)).findings if d.code in ("E113", "W132")]
    assert [(d.code, d.message) for d in found] == [(code, message)]


# ------------------------------------------------------------------ what is there is not read as if it were not
@pytest.mark.parametrize(
    ("more", "key"),
    [
        ("inter_func: [linear]", "inter_func"),
        ("inter_func: {a: linear}", "inter_func"),
        ("mask_type: [1, 4, 4]", "mask_type"),
        ("score_type: [movement]", "score_type"),
    ],
)
def test_a_list_where_a_word_belongs_is_not_the_default(more: str, key: str) -> None:
    assert only(migrated(prune(more=more))) == ("E113", f"`{key}` must be one word")


@pytest.mark.parametrize(("key", "value"), [("mask_structure", '["2:4"]'), ("sparsity_profile", "[owl]")])
def test_nor_is_one_of_one_shot(key: str, value: str) -> None:
    assert only(migrated(one_shot(more=f"{key}: {value}"))) == ("E113", f"`{key}` must be one word")


def test_a_list_where_names_with_values_belong_is_told() -> None:
    text = prune(more="grad_sampler_kwargs: [batch_size, 4]").replace("GMPruning", "OBSPruning")
    assert only(migrated(text)) == ("E113", "`grad_sampler_kwargs` holds names with values")


@pytest.mark.parametrize("ignore", ["[]", "~", "[~]"])
def test_an_empty_list_of_what_is_ignored_ignores_nothing(ignore: str) -> None:
    text = one_shot(targets="[LlamaDecoderLayer]").replace('["re:.*lm_head"]', ignore)
    assert not migrated(text).lost


def test_a_ramp_from_before_the_start_is_no_ramp_from_the_start() -> None:
    """SparseML counted from -1, so that a part of the ramp was over at the first step."""
    text = prune().replace("start_epoch: 2", "start_epoch: -1")
    assert only(migrated(text)) == ("E113", "a ramp from epoch -1 cannot be migrated")
    flat = text.replace("init_sparsity: 0.05", "init_sparsity: 0.8")
    assert not migrated(flat).lost


def test_a_learning_rate_without_an_end_is_not_guessed() -> None:
    rate = """
      modifiers:
        - !EpochRangeModifier {start_epoch: 0, end_epoch: 10}
        - !LearningRateFunctionModifier
            {start_epoch: 0, end_epoch: -1, lr_func: linear, init_lr: 1.0e-4, final_lr: 0.0}
    """
    assert ("E113", "a learning rate that falls needs an end") in {(d.code, d.message) for d in migrated(rate).lost}


def test_names_beside_a_table_of_sparsities_are_told() -> None:
    text = prune().replace("final_sparsity: 0.8", 'final_sparsity: {0.8: ["re:bert.encoder.layer.0.*query.weight"]}')
    assert only(migrated(text)) == ("E113", "`final_sparsity` already lists names")


@pytest.mark.parametrize("other", ["- text", "- {a: 1}", "- [1]"])
def test_what_is_no_modifier_in_a_list_is_told(other: str) -> None:
    code, message = only(migrated(prune() + f"      {other}\n"))
    assert code == "E113" and message.endswith("is not a modifier")


def test_what_is_no_modifier_in_a_group_is_told() -> None:
    text = one_shot().replace(
        "        SparseGPTModifier:", "        WandaPruning: {sparsity: 0.5}\n        SparseGPTModifier:"
    )
    migration = migrated(text)
    assert only(migration) == ("E113", "`WandaPruning` is not a modifier")
    assert migration.loader is not None and migration.loader.accepts is False


@pytest.mark.parametrize(
    ("targets", "ignore", "told"),
    [
        ("[Linear]", "lm_head", "lm_head"),
        ("[Linear]", "re:.*lm_head$", "re:.*lm_head$"),
        ("[Linear]", "re:.*lm_head", None),
        ("[Linear]", "model.embed_tokens", None),
        ("[LlamaDecoderLayer]", "lm_head", None),
        ('["re:.*q_proj"]', "model.layers.3.self_attn.q_proj", "model.layers.3.self_attn.q_proj"),
        ("[LlamaAttention]", "model.layers.3.self_attn.q_proj", None),
    ],
)
def test_ignored_names_that_the_tool_matches_with_no_layer_are_told(
    targets: str, ignore: str, told: str | None
) -> None:
    text = one_shot(targets=targets).replace('["re:.*lm_head"]', f'["re:.*lm_head", "{ignore}"]')
    found = [d.message for d in migrated(text).findings]
    assert found == ([f"the tensors of `{told}` stay dense here"] if told else [])


@pytest.mark.parametrize(("end", "held"), [("", True), ("end: 2", False)])
def test_zeros_that_grew_again_after_an_epoch_are_not_held(end: str, held: bool) -> None:
    text = f"""
      a_stage:
        a_modifiers:
          ConstantPruningModifier:
            targets: ["re:.*(q|k)_proj.weight"]
            start: 0
            {end}
    """
    found = [d.message for d in migrated(text).lost]
    assert found == (
        [] if held else ["zeros are kept until the stage ends; the original let weights regrow after this epoch"]
    )


def test_a_variable_in_percent_is_no_ratio_itself() -> None:
    text = (
        prune()
        .replace("final_sparsity: 0.8", "final_sparsity: eval(percent / 100)")
        .replace("    modifiers:", "    percent: 80\n    modifiers:")
    )
    assert "sparsity = cubic(5% -> 80%" in recipe(text)


@pytest.mark.parametrize(("more", "told"), [("", True), ("leave_enabled: true", False)])
def test_masks_that_were_lifted_at_their_end_are_told(more: str, told: bool) -> None:
    text = f"""
      a_stage:
        a_modifiers:
          MagnitudePruningModifier:
            {{init_sparsity: 0, final_sparsity: 0.5, start: 0, end: 2, targets: [Linear]{more and ", " + more}}}
    """
    found = [d.message for d in migrated(text).findings]
    assert ("masks stay in force after this epoch" in found) == told

"""Every tensor of a model folder is used, tied, left out and listed, or refused by a code that gives the true reason."""

import json
import math
import os

import numpy as np
import pytest

from recipelang.planning.config_fields import ACTIVATIONS, FIELDS, ROTATIONS, check_fields
from recipelang.planning.facts import read_model_facts
from recipelang.planning.families import FAMILIES, HEADS
from recipelang.planning.weights import check_weights
from recipelang.source import RecipeError
from tests.model_folders import CONFIGS, configure, load, make_folder, save

EVERY = [(f, t) for f in FAMILIES for t in sorted(HEADS[f])]


def code_of(folder, task):
    """The code that a folder is refused with, and all that is said."""
    with pytest.raises(RecipeError) as refused:
        check_weights(read_model_facts(folder, task))
    (d,) = refused.value.diagnostics
    return d.code, " ".join((d.message, *d.notes, *d.help))


def changed(folder, change):
    save(folder, change(load(folder)))
    return folder


@pytest.mark.parametrize("family, task", EVERY)
def test_whole_folder_is_understood(tmp_path, family, task):
    facts = read_model_facts(make_folder(tmp_path / "m", family, task), task)
    check_weights(facts)
    assert set(facts.stored) == {t.name for t in facts.tensors} == set(load(facts.path))
    assert (facts.fresh, facts.copies, facts.left_out, facts.strangers) == ((), (), (), ())


@pytest.mark.parametrize("family, task", EVERY)
def test_folder_of_another_task_is_understood_and_its_head_listed(tmp_path, family, task):
    """Of the body everything is used; the head for the other task is left out by name."""
    if (family, task) == ("llama", "question_answering"):  # its body has another name, which is refused as such
        return
    for other in sorted(HEADS[family] - {task} - ({"question_answering"} if family == "llama" else set())):
        folder = make_folder(tmp_path / other, family, other)
        if task == "causal_lm":
            assert code_of(folder, task)[0] == "E185"
            continue
        facts = read_model_facts(folder, task)
        assert facts.strangers == ()
        assert set(facts.stored.values()) | set(facts.left_out) == set(load(folder))
        body = [t.name for t in facts.tensors if t.layer is not None]
        assert not set(body) & {*facts.fresh, *facts.left_out}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.bool_])
def test_codes_are_no_weights(tmp_path, family, dtype):
    task = min(HEADS[family])
    folder = make_folder(tmp_path / "m", family, task)
    matrix = next(n for n, w in reversed(load(folder).items()) if w.ndim == 2 and "layer" in n)
    changed(folder, lambda w: {**w, matrix: w[matrix].astype(dtype)})
    code, said = code_of(folder, task)
    assert code == "E181" and matrix in said


QUERY = "model.layers.0.self_attn.q_proj"


@pytest.mark.parametrize(
    "suffixes",
    [
        ("qweight", "qzeros", "scales", "g_idx"),  # gptq
        ("qweight", "qzeros", "scales"),  # awq
        ("weight", "weight.absmax", "weight.quant_map", "weight.quant_state.bitsandbytes__nf4"),
        ("weight", "SCB", "weight_format"),  # bitsandbytes, 8 bits
        ("weight", "weight_scale_inv"),  # fp8 in blocks
        ("weight", "weight_scale", "input_scale"),
        ("weight_packed", "weight_scale", "weight_shape"),  # compressed-tensors
        ("weight_packed", "weight_global_scale", "weight_scale", "input_global_scale"),
        ("weight", "weight_scale", "weight_zero_point"),
        ("proj_blocks", "proj_scales"),  # mxfp4
    ],
    ids=lambda s: s[-1],
)
def test_scales_are_never_dropped(tmp_path, suffixes):
    folder = make_folder(tmp_path / "m", "llama", "causal_lm")

    def change(weights):
        whole = weights.pop(f"{QUERY}.weight")
        return {**weights, **{f"{QUERY}.{s}": whole if s == "weight" else np.ones(1, np.float32) for s in suffixes}}

    assert code_of(changed(folder, change), "causal_lm")[0] == "E181"


@pytest.mark.parametrize(
    "config",
    [
        {"quant_method": "fp8"}, {"quant_method": "no-such-method"}, {"quant_method": 5}, {}, [], "int8",
        {"load_in_4bit": True},
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("field", ["quantization_config", "compression_config", "quantization"])
def test_config_of_a_quantised_model_is_refused_whatever_it_says(tmp_path, field, config):
    folder = make_folder(tmp_path / "m", "llama", "causal_lm", **{field: config})
    assert code_of(folder, "causal_lm")[0] == "E181"


@pytest.mark.parametrize("name", ["quantize_config.json", "quant_config.json", "hf_quant_config.json"])
def test_file_of_a_quantisation_tool_is_seen(tmp_path, name):
    folder = make_folder(tmp_path / "m", "llama", "causal_lm")
    (folder / name).write_text("{}")
    assert code_of(folder, "causal_lm")[0] == "E181"


@pytest.mark.parametrize(
    "rename, prefix",
    [
        (lambda n: f"_orig_mod.{n}", "_orig_mod."),
        (lambda n: f"module.{n}", "module."),
        (lambda n: f"_orig_mod.module.{n}", "_orig_mod."),
        (lambda n: n.replace("self_attn.", "self_attn._orig_mod."), "_orig_mod."),
        (lambda n: f"_fsdp_wrapped_module.{n}", "_fsdp_wrapped_module."),
        (lambda n: f"student.{n}", "student."),
        (lambda n: f"language_model.{n}", "language_model."),
        (lambda n: n.replace("model.", "transformer."), "transformer."),
    ],
)
def test_prefix_is_named(tmp_path, rename, prefix):
    folder = make_folder(tmp_path / "m", "llama", "causal_lm")
    code, said = code_of(changed(folder, lambda w: {rename(n): v for n, v in w.items()}), "causal_lm")
    assert code == "E182" and f"`{prefix}`" in said


def test_body_without_its_prefix_is_read(tmp_path):
    folder = make_folder(tmp_path / "m", "bert", "sequence_classification")
    changed(folder, lambda w: {n.removeprefix("bert."): v for n, v in w.items() if "classifier" not in n})
    facts = read_model_facts(folder, "sequence_classification")
    assert facts.fresh == ("classifier.weight", "classifier.bias") and not facts.strangers


@pytest.mark.parametrize(
    "names",
    [
        ("weight_orig", "weight_mask"),
        ("parametrizations.weight.original",),
        ("parametrizations.weight.original0", "parametrizations.weight.original1"),
        ("weight_g", "weight_v"),
    ],
)
def test_weights_in_parts(tmp_path, names):
    folder = make_folder(tmp_path / "m", "llama", "causal_lm")

    def change(weights):
        whole = weights.pop(f"{QUERY}.weight")
        return {**weights, **{f"{QUERY}.{n}": whole for n in names}}

    assert code_of(changed(folder, change), "causal_lm")[0] == "E183"


@pytest.mark.parametrize("name", [f"base_model.model.{QUERY}.lora_A.weight", f"{QUERY}.base_layer.weight"])
def test_adapter(tmp_path, name):
    folder = make_folder(tmp_path / "m", "llama", "causal_lm")
    assert code_of(changed(folder, lambda w: {**w, name: w[f"{QUERY}.weight"]}), "causal_lm")[0] == "E190"


@pytest.mark.parametrize(
    "name",
    [
        f"{QUERY}.bias", "model.layers.0.mlp.up_proj.bias", "model.layers.1.self_attn.q_norm.weight", "lm_head.bias",
        "model.norm.bias", "model.embed_positions.weight", "model.layers.0.mlp.gate.weight", "model.layers.0.scale",
        "model.mtp.0.weight", "layers.0.self_attn.q_proj.weight",
    ],
)  # fmt: skip
def test_what_the_model_does_not_take_is_refused(tmp_path, name):
    folder = make_folder(tmp_path / "m", "llama", "causal_lm")
    code, said = code_of(changed(folder, lambda w: {**w, name: np.ones(8, np.float32)}), "causal_lm")
    assert (code, f"`{name}`" in said) == ("E184", name != "model.embed_positions.weight" or f"`{name}`" in said)


def test_what_lies_outside_the_model_is_listed(tmp_path):
    folder = make_folder(tmp_path / "m", "bert", "sequence_classification")
    changed(folder, lambda w: {**w, "regressor.weight": np.ones(8, np.float32)})
    assert read_model_facts(folder, "sequence_classification").strangers == ("regressor.weight",)


def test_numbers_that_follow_from_the_config_are_listed(tmp_path):
    folder = make_folder(tmp_path / "m", "bert", "sequence_classification")
    changed(folder, lambda w: {**w, "bert.embeddings.position_ids": np.arange(16)[None]})
    assert read_model_facts(folder, "sequence_classification").left_out == ("bert.embeddings.position_ids",)


# --------------------------------------------------------------------- heads of language models
LANGUAGE = [("bert", "masked_lm"), ("roberta", "masked_lm"), ("distilbert", "masked_lm"), ("llama", "causal_lm")]
COPIES = {
    "bert": "cls.predictions.decoder.weight",
    "roberta": "lm_head.decoder.weight",
    "distilbert": "vocab_projector.weight",
    "llama": "lm_head.weight",
}


@pytest.mark.parametrize("family, task", LANGUAGE)
@pytest.mark.parametrize("differs", [False, True])
def test_copy_of_a_tied_matrix_must_be_one(tmp_path, family, task, differs):
    folder = make_folder(tmp_path / "m", family, task, tie_word_embeddings=True)
    words = next(t.name for t in read_model_facts(folder, task).tensors if t.tied)
    changed(folder, lambda w: {**w, COPIES[family]: w[words] + np.float32(differs)})
    if differs:
        assert code_of(folder, task)[0] == "E186"
    else:
        check_weights(read_model_facts(folder, task))


@pytest.mark.parametrize("family, task", LANGUAGE)
def test_tied_matrix_may_be_stored_as_the_head_alone(tmp_path, family, task):
    folder = make_folder(tmp_path / "m", family, task, tie_word_embeddings=True)
    words = next(t.name for t in read_model_facts(folder, task).tensors if t.tied)
    changed(folder, lambda w: {COPIES[family] if n == words else n: v for n, v in w.items()})
    facts = read_model_facts(folder, task)
    check_weights(facts)
    assert facts.stored[words] == COPIES[family]


@pytest.mark.parametrize("family, task", LANGUAGE)
def test_untied_head_that_is_missing(tmp_path, family, task):
    folder = make_folder(tmp_path / "m", family, task, tie_word_embeddings=False)
    changed(folder, lambda w: {n: v for n, v in w.items() if n != COPIES[family]})
    code, said = code_of(folder, task)
    assert code == "E185" and '"tie_word_embeddings": true' in said


# ------------------------------------------------------------------------------- finite numbers
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_weights_are_finite(tmp_path, value, dtype):
    folder = make_folder(tmp_path / "m", "llama", "causal_lm")

    def change(weights):
        weights = {n: w.astype(dtype) for n, w in weights.items()}
        weights[f"{QUERY}.weight"][3, 5] = value
        return weights

    code, said = code_of(changed(folder, change), "causal_lm")
    assert code == "E187" and QUERY in said and "[3, 5]" in said and "1 of its 64" in said


def test_number_beyond_fp32_is_refused(tmp_path):
    folder = make_folder(tmp_path / "m", "llama", "causal_lm")
    changed(
        folder, lambda w: {n: v.astype(np.float64) for n, v in w.items()} | {"lm_head.weight": np.full((24, 8), 1e39)}
    )
    assert code_of(folder, "causal_lm")[0] == "E187"


def test_bfloat16_is_looked_at_by_its_bits(tmp_path):
    import torch
    from safetensors.torch import load_file, save_file

    path = make_folder(tmp_path / "m", "llama", "causal_lm") / "model.safetensors"
    weights = {n: w.bfloat16() for n, w in load_file(path).items()}
    save_file(weights, path, {"format": "pt"})
    check_weights(read_model_facts(path.parent, "causal_lm"))
    weights["model.norm.weight"][1] = torch.nan
    save_file(weights, path, {"format": "pt"})
    assert code_of(path.parent, "causal_lm")[0] == "E187"


def test_damaged_note_of_what_was_found_is_not_believed(tmp_path, monkeypatch):
    monkeypatch.setenv("RECIPELANG_CACHE", str(tmp_path / "cache"))
    folder = make_folder(tmp_path / "m", "llama", "causal_lm")
    changed(folder, lambda w: {**w, "lm_head.weight": np.full((24, 8), np.nan, np.float32)})
    assert code_of(folder, "causal_lm")[0] == "E187"
    (note,) = (tmp_path / "cache" / "weights").iterdir()
    for text in ("", "[]", "nope", '{"lm_head.weight": "all"}'):
        note.write_text(text)
        assert code_of(folder, "causal_lm")[0] == "E187"


# -------------------------------------------------------------------------------------- config
WRONG = [None, "x", 0, -1, 1.5, True, [], [2], {}, 2**31, 10**400]


@pytest.mark.parametrize("value", WRONG, ids=lambda v: str(v)[:20])
@pytest.mark.parametrize("family, field", [(f, k) for f in CONFIGS for k in CONFIGS[f] if k != "pad_token_id"])
def test_size_of_a_wrong_type_is_named(tmp_path, family, field, value):
    if field == "num_key_value_heads" and value is None:
        return
    config = {"model_type": family, **CONFIGS[family], field: value}
    with pytest.raises(RecipeError) as refused:
        check_fields(tmp_path / "config.json", family, config)
    (d,) = refused.value.diagnostics
    assert d.code == "E179" and f"`{field}`" in d.message and d.notes[0].startswith("found ")


@pytest.mark.parametrize("family", FIELDS)
def test_every_field_is_checked(tmp_path, family):
    for field in FIELDS[family]:
        config = {"model_type": family, **CONFIGS[family], field: object()}
        with pytest.raises(RecipeError) as refused:
            check_fields(tmp_path / "config.json", family, config)
        assert refused.value.diagnostics[0].code == "E179"


@pytest.mark.parametrize(
    "field, value",
    [
        ("id2label", ["a", "b"]), ("id2label", {"a": 0}), ("id2label", {"0": 1}), ("id2label", {"1": "a", "2": "b"}),
        ("id2label", {"0": "a", "-1": "b"}), ("id2label", {"0": "a", "1": "a"}),
        ("position_embedding_type", "relative_key"), ("pruned_heads", {"0": [1]}), ("id2label", {}), ("id2label", "a"), ("architectures", 5),
        ("architectures", [1]), ("architectures", "Bert"), ("label2id", []), ("num_labels", "two"),
        ("pad_token_id", "0"), ("eos_token_id", ["1"]), ("eos_token_id", {}), ("tie_word_embeddings", "yes"),
        ("hidden_act", "no-such"), ("hidden_act", 1), ("hidden_dropout_prob", 2), ("hidden_dropout_prob", "0.1"),
        ("layer_norm_eps", 0), ("layer_norm_eps", "small"), ("initializer_range", -1), ("is_decoder", 1),
        ("add_cross_attention", True), ("attn_implementation", "flash_attention_2"), ("_attn_implementation", 2),
    ],
    ids=str,
)  # fmt: skip
def test_field_of_a_wrong_type(tmp_path, field, value):
    folder = make_folder(tmp_path / "m", "bert", "sequence_classification")
    configure(folder, **{field: value})
    code, said = code_of(folder, "sequence_classification")
    assert code == "E179" and f"`{field}`" in said


@pytest.mark.parametrize(
    "family, config, pair",
    [
        ("bert", {"num_attention_heads": 3}, ("hidden_size", "num_attention_heads")),
        ("distilbert", {"n_heads": 3}, ("dim", "n_heads")),
        ("llama", {"num_attention_heads": 4, "num_key_value_heads": 3}, ("num_attention_heads", "num_key_value_heads")),
        ("llama", {"head_dim": 3}, ("head_dim", "num_attention_heads")),
        ("bert", {"num_labels": 2, "id2label": {"0": "a"}}, ("id2label", "num_labels")),
        ("bert", {"pad_token_id": 24}, ("pad_token_id", "vocab_size")),
        ("llama", {"eos_token_id": [1, 24]}, ("eos_token_id", "vocab_size")),
        ("llama", {"bos_token_id": 999}, ("bos_token_id", "vocab_size")),
        ("roberta", {"pad_token_id": 20}, ("max_position_embeddings", "pad_token_id")),
    ],
)
def test_sizes_that_contradict_each_other(tmp_path, family, config, pair):
    with pytest.raises(RecipeError) as refused:
        check_fields(tmp_path / "config.json", family, {"model_type": family, **CONFIGS[family], **config})
    (d,) = refused.value.diagnostics
    assert d.code == "E180" and all(f"`{name}`" in d.message for name in pair)


@pytest.mark.parametrize("made, refused", [("BertForSequenceClassification", True), ("BertForMaskedLM", False)])
def test_head_of_other_classes_than_its_own_config_names(tmp_path, made, refused):
    folder = make_folder(tmp_path / "m", "bert", "sequence_classification", architectures=[made])
    configure(folder, id2label={"0": "a", "1": "b", "2": "c"})
    if refused:
        assert code_of(folder, "sequence_classification")[0] == "E076"
        facts = read_model_facts(folder, "sequence_classification", ("x", "y", "z"), new_head=True)
    else:
        facts = read_model_facts(folder, "sequence_classification")
    assert facts.fresh == ("classifier.weight", "classifier.bias")


def test_config_that_is_a_pipe_is_not_waited_for(tmp_path):
    folder = make_folder(tmp_path / "m", "llama", "causal_lm")
    (folder / "config.json").unlink()
    os.mkfifo(folder / "config.json")
    assert code_of(folder, "causal_lm")[0] == "E076"


@pytest.mark.parametrize("field", ["rope_scaling", "rope_parameters"])
@pytest.mark.parametrize(
    "value",
    [
        {"rope_type": "foo"}, {"type": "foo"}, {"rope_type": 3}, {"rope_theta": 0}, {"rope_theta": "10000"},
        {"rope_type": "linear"}, {"rope_type": "linear", "factor": 0}, {"type": "linear", "factor": "2"},
        {"rope_type": "llama3", "factor": 8}, {"rope_type": "dynamic", "factor": math.inf},
        {"rope_type": "longrope", "short_factor": [1, 0], "long_factor": [1, 1]},
    ],
    ids=str,
)  # fmt: skip
def test_rotary_positions_that_transformers_cannot_make(tmp_path, field, value):
    with pytest.raises(RecipeError) as refused:
        check_fields(tmp_path / "config.json", "llama", {"model_type": "llama", **CONFIGS["llama"], field: value})
    (d,) = refused.value.diagnostics
    assert d.code == "E179" and f"`{field}`" in d.message


@pytest.mark.parametrize(
    "value",
    [
        None, {}, {"rope_type": "default", "rope_theta": 1e4}, {"type": "linear", "factor": 2}, {"rope_theta": 5e5},
        {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0},
        {"rope_type": "longrope", "short_factor": [1.0], "long_factor": [2.0]},
    ],
    ids=str,
)  # fmt: skip
def test_rotary_positions(tmp_path, value):
    check_fields(tmp_path / "config.json", "llama", {"model_type": "llama", **CONFIGS["llama"], "rope_scaling": value})


def test_rotary_positions_are_those_of_transformers():
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    assert {"default", *ROPE_INIT_FUNCTIONS} == {*ROTATIONS}


def test_activations_are_those_of_transformers():
    """Without those that bring parameters of their own."""
    from torch import nn
    from transformers.activations import ACT2FN

    with_parameters = {n for n in ACT2FN if n == "xielu" or list(ACT2FN[n].parameters())}
    assert frozenset(ACT2FN) - with_parameters == ACTIVATIONS
    assert isinstance(ACT2FN["gelu"], nn.Module)


def test_config_of_a_saved_model_is_accepted(tmp_path):
    """What transformers writes by itself, of every family."""
    from transformers import AutoConfig

    for family in FAMILIES:
        AutoConfig.for_model(family).save_pretrained(tmp_path / family)
        config = json.loads((tmp_path / family / "config.json").read_text("utf-8"))
        check_fields(tmp_path / family / "config.json", family, config)

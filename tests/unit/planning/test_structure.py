"""What a model of any type is made of, as transformers itself makes it: the walk, its cache and its refusals."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from recipelang.engine.models import only_used
from recipelang.engine.roles import parts_of
from recipelang.planning import structure as structures
from recipelang.planning.facts import ModelFacts, read_model_facts
from recipelang.planning.families import FAMILIES, HEADS, TensorFact, tensors_of
from recipelang.planning.match import without_role
from recipelang.planning.weights import check_weights
from recipelang.source import RecipeError, waiting
from recipelang.tasks import task_of
from tests.model_configs import walk_here
from tests.model_types import config_of


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(("family", "task"), [(f, t) for f in FAMILIES for t in sorted(HEADS[f])])
def test_the_families_written_by_hand_are_what_the_walk_finds(family, task, tied):
    config = config_of(family)
    config.tie_word_embeddings = tied
    with torch.device("meta"):
        model = getattr(transformers, task_of(task).auto_model).from_config(config)
    hand = {t.name: t for t in tensors_of(family, config.to_dict(), task)}
    walked = {p.name: p for p in parts_of(only_used(model, task))}
    assert walked.keys() == hand.keys()
    for name, part in walked.items():
        assert (part.shape, part.roles, part.layer) == (hand[name].shape, hand[name].roles, hand[name].layer), name


@pytest.fixture(scope="module", autouse=True)
def here(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECIPELANG_CACHE", str(tmp_path_factory.mktemp("cache")))
        walk_here(patch)
        yield


#: as it is
ask = structures._ask


def make(folder: Path, kind: str, auto: str = "AutoModelForCausalLM", **changes: object) -> Path:
    torch.manual_seed(0)
    config = config_of(kind)
    for name, value in changes.items():
        setattr(config, name, value)
    getattr(transformers, auto).from_config(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory) -> Path:
    return make(tmp_path_factory.mktemp("gpt2") / "model", "gpt2")


def copied(folder: Path, to: Path, **changes: object) -> Path:
    to.mkdir()
    config = json.loads((folder / "config.json").read_text("utf-8")) | changes
    (to / "config.json").write_text(json.dumps(config), "utf-8")
    (to / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    return to


def with_tensors(folder: Path, **changes: torch.Tensor | None) -> Path:
    held = load_file(folder / "model.safetensors")
    held = {n: t for n, t in (held | changes).items() if t is not None}
    save_file(held, folder / "model.safetensors", {"format": "pt"})
    return folder


def test_a_transposed_matrix_is_outputs_by_inputs_and_tied_embeddings_have_both_roles(gpt2):
    facts = read_model_facts(gpt2, "causal_lm")
    known = {t.name: t for t in facts.tensors}
    fused = known["transformer.h.1.attn.c_attn.weight"]
    assert (fused.shape, fused.stored_shape, fused.turned, fused.layer) == ((96, 32), (32, 96), True, 1)
    assert fused.roles == {"linear", "decoder", "attention", "query", "key", "value"}
    assert known["transformer.wte.weight"].roles == {"embeddings", "head"}
    assert known["transformer.h.0.mlp.c_proj.weight"].roles == {"linear", "decoder", "ffn", "down"}
    assert (facts.layers, facts.max_positions, facts.config["hidden_size"], facts.has_head) == (2, 64, 32, True)


def test_a_type_is_looked_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(structures, "_ask", ask)
    folder = make(tmp_path / "model", "gpt2", n_inner=40)  # of which nobody has asked
    for name in ("torch.py", "transformers.py", "json.py", "recipelang/__init__.py"):  # beside the caller: not imported
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"raise SystemExit('{name} was run')")
    monkeypatch.chdir(tmp_path)
    said: list[str] = []
    with_words = waiting.shown_by.set(said.append)
    first = read_model_facts(folder, "causal_lm")
    waiting.shown_by.reset(with_words)
    assert said == ["reading the structure of `gpt2` models from transformers (once)"]
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: pytest.fail("a process was started"))
    assert read_model_facts(folder, "causal_lm") == first
    monkeypatch.setattr(structures, "_code", lambda: ("of another release",))
    with pytest.raises(pytest.fail.Exception, match="a process was started"):
        read_model_facts(folder, "causal_lm")


def test_an_answer_that_is_none_is_a_coded_error(gpt2, tmp_path, monkeypatch):
    monkeypatch.setattr(structures, "_ask", ask)
    folder = copied(gpt2, tmp_path / "model", n_head=2)
    done = subprocess.CompletedProcess([], -9, stdout="", stderr="a\nkilled\n")
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: done)
    with pytest.raises(RecipeError, match=r"E076.*transformers cannot make a `gpt2`") as error:
        read_model_facts(folder, "causal_lm")
    assert "status -9: killed" in error.value.diagnostics[0].notes[0]

    def late(*args: object, **named: object) -> None:
        raise subprocess.TimeoutExpired("walk", 1)

    monkeypatch.setattr(subprocess, "run", late)
    with pytest.raises(RecipeError, match="E076") as error:
        read_model_facts(folder, "causal_lm")
    assert "took more than" in error.value.diagnostics[0].notes[0]


def refused(folder: Path, task: str = "causal_lm") -> str:
    with pytest.raises(RecipeError) as error:
        read_model_facts(folder, task)
    d = error.value.diagnostics[0]
    return "\n".join([f"{d.code} {d.message}", *d.notes, *d.help])


def test_configs_that_lie_are_refused(gpt2, tmp_path):
    odd = refused(copied(gpt2, tmp_path / "heads", n_head=5))
    assert "E076 transformers cannot make a `gpt2` of this config" in odd and "divisible" in odd
    assert "the weights lack `transformer.h.2." in refused(copied(gpt2, tmp_path / "deep", n_layer=3))
    assert "E184" in refused(copied(gpt2, tmp_path / "flat", n_layer=1))
    assert "has shape (64, 32), the config says (65, 32)" in refused(copied(gpt2, tmp_path / "words", vocab_size=65))


def test_a_table_of_a_billion_rows_that_is_computed_ends_the_process_and_not_the_machine(tmp_path, monkeypatch):
    """Sinusoidal positions are computed, so that only a limit of memory or time helps."""
    monkeypatch.setattr(structures, "_ask", ask)
    folder = make(tmp_path / "model", "xglm")
    said = refused(copied(folder, tmp_path / "lies", max_position_embeddings=2**31 - 1))
    assert "E076 transformers cannot make a `xglm` of this config" in said


def test_a_head_that_the_type_lacks_is_told_with_those_it_has(gpt2):
    said = refused(gpt2, "masked_lm")
    assert "E073 `gpt2` has no head for masked_lm" in said
    assert "causal_lm" in said and "sequence_classification" in said and "multiple_choice" not in said


def test_a_text_has_an_embedding_in_an_encoder_or_in_a_decoder(gpt2, tmp_path):
    assert read_model_facts(gpt2, "sentence_similarity").fresh == ()
    pooled = make(tmp_path / "mpnet", "mpnet", "AutoModel")
    assert not [t.name for t in read_model_facts(pooled, "sentence_similarity").tensors if "pooler" in t.name]
    both = make(tmp_path / "t5", "t5", "AutoModel")
    assert "E073 `t5` gives no embedding of a text" in refused(both, "sentence_similarity")


@pytest.mark.parametrize(("kind", "task"), [("electra", "masked_lm"), ("xlnet", "multiple_choice")])
def test_an_encoder_learns_no_next_word(kind, task, tmp_path):
    """The library has such a head for most encoders, which would read the word that it predicts."""
    folder = make(tmp_path / "model", kind)
    said = refused(folder, "causal_lm")
    assert f"E073 this `{kind}` model is an encoder: it cannot learn causal_lm" in said and task in said
    assert "causal_lm," not in said


def test_positions_that_are_computed_are_not_lacking(tmp_path):
    """Marian saves none of them."""
    folder = make(tmp_path / "model", "marian", "AutoModelForSeq2SeqLM")
    facts = read_model_facts(folder, "text_to_text")
    name = "model.encoder.embed_positions.weight"
    assert name in {t.name for t in facts.tensors} and name not in facts.stored and facts.fresh == ()
    lacking = with_tensors(copied(folder, tmp_path / "lacking"), **{"model.encoder.layers.0.fc1.weight": None})
    assert "E076 the weights lack `model.encoder.layers.0.fc1.weight`" in refused(lacking, "text_to_text")


def test_an_encoder_made_a_decoder_learns_the_next_word(tmp_path):
    folder = make(tmp_path / "model", "electra", is_decoder=True)
    assert read_model_facts(folder, "causal_lm").chained


def test_a_linear_layer_of_a_model_s_own_is_one(tmp_path):
    """I-BERT's matrices are of a class of its own, which is no `nn.Linear`."""
    facts = read_model_facts(make(tmp_path / "model", "ibert", "AutoModelForMaskedLM"), "masked_lm")
    roles = {t.name: t.roles for t in facts.tensors}
    assert {"linear", "query"} <= roles["ibert.encoder.layer.0.attention.self.query.weight"]
    assert "bias" in roles["ibert.encoder.layer.0.output.dense.bias"]
    assert roles["ibert.embeddings.word_embeddings.weight"] >= {"embeddings"}
    assert "linear" not in roles["ibert.embeddings.word_embeddings.weight"]


def test_a_type_that_brings_its_own_code_is_told_of_attach(gpt2, tmp_path):
    folder = copied(gpt2, tmp_path / "model", model_type="my_own", auto_map={"AutoModel": "modeling_my_own.My"})
    (folder / "modeling_my_own.py").write_text("raise SystemExit('was run')")
    said = refused(folder)
    assert "E076 the installed transformers has no models of type `my_own`" in said
    assert "never run" in said and "recipelang.attach" in said


def test_what_the_weights_hold_is_accounted_for(gpt2, tmp_path):
    name = "transformer.h.1.mlp.c_fc.weight"
    lacking = with_tensors(copied(gpt2, tmp_path / "a"), **{name: None})
    assert f"E076 the weights lack `{name}`" in refused(lacking)
    more = with_tensors(copied(gpt2, tmp_path / "b"), **{"transformer.h.1.extra.weight": torch.ones(2)})
    assert "E184" in refused(more)
    strange = with_tensors(copied(gpt2, tmp_path / "c"), **{"scorer.weight": torch.ones(2, 2)})
    assert read_model_facts(strange, "causal_lm").strangers == ("scorer.weight",)
    tied = load_file(gpt2 / "model.safetensors")["transformer.wte.weight"]
    both = with_tensors(copied(gpt2, tmp_path / "d"), **{"lm_head.weight": tied.clone()})
    assert read_model_facts(both, "causal_lm").copies == (("lm_head.weight", "transformer.wte.weight"),)
    differ = with_tensors(copied(gpt2, tmp_path / "e"), **{"lm_head.weight": tied + 1})
    with pytest.raises(RecipeError, match="E186"):
        check_weights(read_model_facts(differ, "causal_lm"))


def test_a_new_head_is_drawn_and_another_left_out(gpt2, tmp_path):
    facts = read_model_facts(gpt2, "sequence_classification", ("a", "b", "c"))
    assert facts.fresh == ("score.weight",) and not facts.has_head
    body = make(tmp_path / "model", "electra", "AutoModelForMaskedLM")
    facts = read_model_facts(body, "token_classification", ("a", "b"))
    assert set(facts.fresh) == {"classifier.weight", "classifier.bias"}
    assert set(facts.left_out) == {n for n in load_file(body / "model.safetensors") if n.startswith("generator_")}


def test_experts_in_many_tensors_are_one_parameter(tmp_path):
    folder = make(tmp_path / "model", "mixtral")
    facts = read_model_facts(folder, "causal_lm")
    experts = {t.name: t for t in facts.tensors if "experts" in t.roles}
    assert {t.shape for t in experts.values()} == {(4, 96, 32), (4, 32, 48)}
    down = facts.sources("model.layers.0.mlp.experts.down_proj")
    assert down == tuple(f"model.layers.0.block_sparse_moe.experts.{i}.w2.weight" for i in range(4))
    held = load_file(folder / "model.safetensors")
    held[down[2]][0, 0] = torch.nan
    with pytest.raises(RecipeError, match=r"E187.*experts.down_proj"):
        check_weights(read_model_facts(with_tensors(folder, **held), "causal_lm"))
    assert "E076" in refused(with_tensors(folder, **{down[1]: None}))


def test_layers_that_share_weights_are_not_one_after_the_other(gpt2, tmp_path):
    assert read_model_facts(gpt2, "causal_lm").chained
    albert = make(tmp_path / "albert", "albert", "AutoModelForMaskedLM")
    assert not read_model_facts(albert, "masked_lm").chained
    bart = make(tmp_path / "bart", "bart", "AutoModelForSequenceClassification", eos_token_id=2)
    assert read_model_facts(bart, "sequence_classification").stacks == ("model.decoder.layers", "model.encoder.layers")
    assert read_model_facts(bart, "sequence_classification").chained
    xlm = make(tmp_path / "xlm", "xlm", "AutoModelForMaskedLM")
    assert not read_model_facts(xlm, "masked_lm").chained


@pytest.mark.parametrize(("version", "than", "is_newer"), [("5.30.0", "5.4.1", True), ("4.57.1", "5.4.1", False)])
def test_releases_are_compared_by_their_numbers(version, than, is_newer):
    assert structures.newer(version, than) is is_newer


@pytest.mark.parametrize(
    ("kind", "name", "roles"),
    [  # by the name of a block, and by the names of what stands in it
        ("ctrl", "transformer.h.0.multi_head_attention.Wq.weight", "decoder attention query"),
        ("prophetnet", "decoder.layers.0.feed_forward.intermediate.weight", "decoder ffn up"),
        ("prophetnet", "decoder.layers.0.feed_forward.output.weight", "decoder ffn down"),
        ("led", "encoder.layers.0.self_attn.output.weight", "encoder attention out"),
        ("recurrent_gemma", "layers.1.temporal_block.q_proj.weight", "decoder attention query"),
        ("recurrent_gemma", "layers.0.temporal_block.linear_x.weight", "decoder"),
        ("recurrent_gemma", "layers.0.mlp_block.up_proj.weight", "decoder ffn up"),
        ("longcat_flash", "layers.0.mlps.0.gate_proj.weight", "decoder ffn gate"),
        ("mamba", "layers.0.mixer.in_proj.weight", "decoder"),  # `in_proj` is none of attention here
    ],
)
def test_blocks_are_told_by_their_names_or_by_those_of_their_parts(kind, name, roles):
    config = config_of(kind)
    with torch.device("meta"):
        auto = transformers.AutoModelForSeq2SeqLM if config.is_encoder_decoder else transformers.AutoModelForCausalLM
        found = {p.name: p.roles for p in parts_of(auto.from_config(config))}
    (whole,) = (n for n in found if n.endswith(name))
    assert found[whole] == {"linear", *roles.split()}


def test_what_no_word_tells_apart_is_counted():
    def fact(name, roles, shape=(4, 4)):
        return TensorFact(name, shape, frozenset(roles.split()), 0)

    tensors = (
        fact("a", "linear decoder"), fact("b", "linear decoder attention"), fact("c", "decoder"), fact("d", "linear"),
        fact("e", "decoder", (4, 1, 3)), fact("f", "decoder", (4,)), fact("g", "embeddings"), fact("h", "norm", (4, 4)),
    )  # fmt: skip
    facts = ModelFacts(Path(), "some", "causal_lm", {}, tensors, ())
    found = [(r.what, r.tensors, r.example) for r in without_role(facts)]
    assert found == [("linear", 2, "a"), ("none", 1, "c"), ("unprunable", 1, "e")]

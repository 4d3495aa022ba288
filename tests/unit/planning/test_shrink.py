"""`shrink` in the plan: sizes, the smaller config, every shape and its way back, and what cannot be done."""

from fractions import Fraction

import pytest

from recipelang.loading.plan import planned
from recipelang.loading.read import read_around
from recipelang.planning.budgets import Reach, choose, counted
from recipelang.planning.facts import read_model_facts
from recipelang.planning.shrink import before, kept_layers, plan_shrink
from recipelang.planning.shrink_plan import ShrinkPlan
from recipelang.report import plan_screen
from recipelang.source import RecipeError
from recipelang.spec.controls import ShrinkSpec
from recipelang.values import selector as sel
from recipelang.values.composite import Budget, Size
from tests.conftest import make_inputs
from tests.model_configs import walk_here
from tests.model_folders import make_folder

RECIPE = """recipe 1 "a"
model { base = "model", task = question_answering }
data { train = "train.json", validation = "dev.json", max_length = 32 tokens, stride = 8 tokens }
STAGES
"""
SLIM = """stage slim {
  mode = one_shot
  shrink body { AXES }
}
"""
TRAIN = "stage NAME {\n  length = 1 epoch, batch = 8, learning_rate = 1e-3\n  MORE\n}\n"
PRUNE = "prune w { targets = @linear & @encoder, method = magnitude, sparsity = 50% }"
BERT = {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4, "num_hidden_layers": 4}
LLAMA = {**BERT, "num_attention_heads": 8, "num_key_value_heads": 2, "vocab_size": 64}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_inputs(tmp_path_factory.mktemp("shrunk"), layers=4)


@pytest.fixture
def plan(folder):
    def make(*stages: str):
        (folder / "a.recipe").write_text(RECIPE.replace("STAGES", "\n".join(stages)), "utf-8")
        return planned(str(folder / "a.recipe"), read_around([]))[1]

    return make


def facts_of(folder, family: str, **config):
    task = "causal_lm" if family == "llama" else "masked_lm"
    return read_model_facts(make_folder(folder / family, family, task, **config), task)


def saved(folder, kind: str, **config):
    """Of a type that is in no table, which transformers is asked about."""
    from transformers import AutoConfig, AutoModelForCausalLM

    AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **config)).save_pretrained(folder)
    return read_model_facts(folder, "causal_lm")


def shrunk(facts, keep=None, by="activation", multiple_of=None, **axes):
    sizes = tuple(Size(axis, to) for axis, to in axes.items())
    spec = ShrinkSpec(name="b", axes=sizes, by=by, keep=keep, multiple_of=multiple_of)
    return plan_shrink(spec, facts, kept_layers(spec, facts))


def told(facts, **axes) -> str:
    with pytest.raises(RecipeError) as error:
        shrunk(facts, **axes)
    (found,) = error.value.diagnostics
    return f"{found.code}: {found.message}; {' '.join(found.help)}"


def sizes(made: ShrinkPlan) -> dict[str, tuple[int, int]]:
    return {s.axis: (s.before, s.after) for s in made.sizes}


# ------------------------------------------------------------------------- shapes
@pytest.mark.parametrize(
    ("family", "config", "axes"),
    [
        ("bert", BERT, {"ffn": Fraction(1, 2)}),
        ("bert", BERT, {"heads": 2, "hidden": 32}),
        ("bert", BERT, {"layers": 2, "ffn": 48}),
        ("roberta", BERT, {"ffn": 16, "heads": 3, "hidden": 48, "layers": 1}),
        ("llama", LLAMA, {"heads": 4}),
        ("llama", LLAMA, {"hidden": 48}),
        ("llama", LLAMA, {"ffn": 96, "heads": 6, "hidden": 48, "layers": 3}),
    ],
)
def test_the_smaller_model_is_what_its_config_makes_and_the_way_back_is_told(tmp_path, family, config, axes):
    facts = facts_of(tmp_path, family, **config)
    made, left = shrunk(facts, **axes)
    there = {t.name: t.stored_shape for t in left.tensors}
    for reshape in made.reshapes:
        assert there.get(reshape.name, made.shape_of(reshape)) == made.shape_of(reshape)
    same = {t.name for t in facts.tensors} - {r.name for r in made.reshapes}
    assert {n: s for n, s in there.items() if n in same} == {
        t.name: t.stored_shape for t in facts.tensors if t.name in same and t.name in there
    }
    assert made.parameters == (facts.parameters, left.parameters)
    assert before(made, left).tensors == facts.tensors
    assert ShrinkPlan.model_validate_json(made.model_dump_json()) == made


def test_shares_are_rounded_to_what_hardware_likes(tmp_path):
    facts = facts_of(tmp_path, "bert", **{**BERT, "intermediate_size": 160})
    third = Fraction(1, 3)
    assert sizes(shrunk(facts, ffn=third)[0]) == {"ffn": (160, 48)}  # 53.3
    assert sizes(shrunk(facts, ffn=third, multiple_of=5)[0]) == {"ffn": (160, 55)}
    assert sizes(shrunk(facts, ffn=Fraction(1, 1000))[0]) == {"ffn": (160, 16)}, "never nothing"
    odd = facts_of(tmp_path / "odd", "bert", **{**BERT, "intermediate_size": 100})
    assert sizes(shrunk(odd, ffn=third)[0]) == {"ffn": (100, 33)}
    assert sizes(shrunk(facts, layers=Fraction(1, 2))[0]) == {"layers": (4, 2)}


def test_heads_that_share_keys_keep_their_groups(tmp_path):
    facts = facts_of(tmp_path, "llama", **LLAMA)
    made, left = shrunk(facts, heads=Fraction(1, 2))
    assert (made.groups, sizes(made)) == (2, {"heads": (8, 4)})
    assert {r.name.split(".")[-2] for r in made.reshapes} == {"q_proj", "o_proj"}
    assert left.config["head_dim"] == 8, "the config says what a head is"
    assert told(facts, heads=5).startswith("E153: 5 heads cannot be shared out to 2 groups")
    alone = facts_of(tmp_path / "alone", "llama", **{**LLAMA, "num_key_value_heads": 8, "hidden_size": 80})
    made, left = shrunk(alone, heads=5)
    assert (made.groups, left.config["num_key_value_heads"]) == (1, 5)
    assert told(alone, heads=3).startswith("E152: transformers makes no `llama` of these sizes"), (
        "80 is not 3 of anything"
    )


def test_a_table_as_wide_as_the_states_by_chance_stays(tmp_path):
    facts = facts_of(tmp_path, "bert", **BERT, max_position_embeddings=64, vocab_size=64)
    made, _ = shrunk(facts, heads=2, hidden=32)
    cuts = {r.name: [c.dim for c in r.cuts] for r in made.reshapes if "embeddings" in r.name}
    assert cuts["bert.embeddings.position_embeddings.weight"] == cuts["bert.embeddings.word_embeddings.weight"] == [1]


def test_types_in_no_table_are_asked_of_transformers(tmp_path, monkeypatch):
    walk_here(monkeypatch)
    facts = saved(tmp_path, "gpt2", n_embd=32, n_head=4, n_layer=2, vocab_size=64)
    made, left = shrunk(facts, ffn=Fraction(1, 2))
    assert made.config["n_inner"] == 64 and made.config_before["n_inner"] is None
    cut = next(r for r in made.reshapes if r.name.endswith("0.mlp.c_fc.weight"))
    assert (cut.shape, cut.cuts[0].dim) == ((32, 128), 1), "stored inputs first"
    assert before(made, left).tensors == facts.tensors
    assert told(facts, heads=2).startswith("E152: `heads` and `hidden` of a `gpt2` shrink together; write `heads -> 2`")
    both, small = shrunk(facts, heads=2, hidden=16)
    assert (both.config["n_inner"], both.config_before["n_inner"]) == (128, None), "it was four times `n_embd`"
    (cut, _) = next(r for r in both.reshapes if r.name.endswith("0.attn.c_attn.weight")).cuts
    assert (cut.axis, cut.dim, cut.parts, cut.unit) == ("heads", 1, 3, 8)
    assert before(both, small).tensors == facts.tensors
    slopes = saved(tmp_path / "bloom", "bloom", hidden_size=32, n_head=4, n_layer=2, vocab_size=64)
    assert told(slopes, heads=2).startswith("E152: this release cannot shrink `heads` of a `bloom`")


def test_heads_in_one_matrix_keep_the_keys_that_they_share(tmp_path, monkeypatch):
    walk_here(monkeypatch)
    sizes = {"hidden_size": 64, "num_attention_heads": 8, "num_hidden_layers": 2, "vocab_size": 64}
    facts = saved(tmp_path, "falcon", new_decoder_architecture=True, num_kv_heads=2, **sizes)
    made, left = shrunk(facts, heads=4, hidden=32)
    (cut, _) = next(r for r in made.reshapes if r.name.endswith("0.self_attention.query_key_value.weight")).cuts
    assert (cut.blocks, cut.unit, cut.rest, made.groups) == (2, 8, 16, 2)
    assert before(made, left).tensors == facts.tensors
    assert told(facts, heads=3, hidden=24).startswith(
        "E153: 3 heads cannot be shared out to 2 groups of keys and values"
    )


def test_a_budget_counts_parameters_that_stay_beside_heads(tmp_path, monkeypatch):
    walk_here(monkeypatch)
    sizes = {"hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 8, "num_key_value_heads": 2}
    facts = saved(tmp_path, "phi3", num_hidden_layers=2, vocab_size=64, pad_token_id=0, **sizes)
    for heads in (2, 4, 6):
        made, left = shrunk(facts, heads=heads)
        assert counted(facts, made.reshapes, {"heads"})({"heads": heads}) == left.parameters


def test_experts_are_counted_by_layers_that_have_some(tmp_path, monkeypatch):
    walk_here(monkeypatch)
    facts = saved(tmp_path, "mixtral", **{**BERT, "num_local_experts": 8, "vocab_size": 64})
    made, left = shrunk(facts, experts=Fraction(1, 2), layers=2)
    assert sizes(made) == {"experts": (8, 4), "layers": (4, 2)} and made.config["num_local_experts"] == 4
    assert before(made, left).tensors == facts.tensors
    spec = ShrinkSpec(name="b", axes=(Size("experts", None),), budget=Budget("parameters", Fraction(1, 2)))
    assert choose(Reach(spec, facts, ())).chosen == {"experts": 3}
    assert told(facts, experts=1) == "E170: 1 expert of each layer would be too few; write `experts -> 2`"
    assert told(facts, ffn=8).startswith("E152: this release does not shrink the neurons of the experts of a `mixtral`")


def test_what_a_config_cannot_say_is_refused_with_what_to_write(tmp_path):
    facts = facts_of(tmp_path, "bert", **BERT)
    assert told(facts, heads=2) == (
        "E152: `heads` and `hidden` of a `bert` shrink together; write `heads -> 2` and `hidden -> 32`, or shrink `ffn` and "
        "`layers`"
    )
    assert "write `heads -> 3` and `hidden -> 48`" in told(facts, hidden=48)
    assert told(facts, ffn=128).startswith("E153: `ffn -> 128` is not smaller: the model has 128")
    assert told(facts, layers=Fraction(99, 100)).startswith("E153: 99.0% of 4 is too near to all of `layers`")


def test_layers_that_are_kept(tmp_path):
    facts = facts_of(tmp_path, "bert", **BERT)
    ends = sel.Or((sel.Layers(0, 0), sel.Layers(-1, -1)))
    assert shrunk(facts, keep=ends, layers=2)[0].keep == (0, 3)
    assert told(facts, keep=ends, layers=1).startswith("E153: `keep` protects 2 layers, more than the 1 that stay")
    assert told(facts, keep=sel.Role("embeddings"), layers=1).startswith("E153: `keep` selects no layer")


def test_layers_of_several_kinds_are_not_chosen_among(tmp_path, monkeypatch):
    walk_here(monkeypatch)
    kinds = ["full_attention", "sliding_attention"] * 2
    facts = saved(tmp_path, "qwen2", **LLAMA, layer_types=kinds, use_sliding_window=True)
    assert told(facts, layers=2).startswith("E152: the layers of a `qwen2` are not alike")
    assert sizes(shrunk(facts, ffn=64)[0]) == {"ffn": (128, 64)}


@pytest.mark.parametrize(
    "wrong",
    [
        {"sizes": ({"axis": "ffn", "before": 8, "after": 8},)},
        {"sizes": ({"axis": "ffn", "before": 8, "after": 4}, {"axis": "ffn", "before": 8, "after": 2})},
        {"keep": (0,)},
        {"groups": 3, "sizes": ({"axis": "heads", "before": 8, "after": 4},), "reshapes": ()},
        {"reshapes": ({"name": "a", "shape": (7,), "cuts": ({"dim": 0, "axis": "ffn"},)},)},
        {"reshapes": ({"name": "a", "shape": (8,), "cuts": ({"dim": 1, "axis": "ffn"},)},)},
        {"reshapes": ({"name": "a", "shape": (8,), "cuts": ({"dim": 0, "axis": "hidden"},)},)},
    ],
)
def test_a_plan_that_contradicts_itself_is_none(wrong):
    right = {
        "name": "b",
        "by": "magnitude",
        "sizes": ({"axis": "ffn", "before": 8, "after": 4},),
        "reshapes": ({"name": "a", "shape": (8,), "cuts": ({"dim": 0, "axis": "ffn"},)},),
        "config": {"intermediate_size": 4},
        "config_before": {"intermediate_size": 8},
        "parameters": (10, 6),
    }
    ShrinkPlan.model_validate(right)
    with pytest.raises(ValueError):
        ShrinkPlan.model_validate({**right, **wrong})


# ------------------------------------------------------------------------- stages
def test_stages_after_it_are_of_the_smaller_model(plan):
    made = plan(
        TRAIN.replace("NAME", "dense").replace("MORE", "freeze e { targets = @ffn }"),
        SLIM.replace("AXES", "axes = [ffn -> 50%, layers -> 2]"),
        TRAIN.replace("NAME", "s").replace("MORE", f"{PRUNE}\n freeze e {{ targets = @ffn }}"),
    )
    dense, slim, sparse = made.stages
    assert slim.calibration is not None and slim.calibration.samples == 44
    assert dense.freezes[0].weights > 3 * sparse.freezes[0].weights
    assert {t.name.split(".")[3] for t in sparse.prunes[0].targets} == {"0", "1"}
    before, after = slim.shrinks[0].parameters
    assert made.model.parameters == before == made.parameters("dense")
    assert made.parameters("slim") == made.parameters() == after


def test_the_screen_says_what_is_left(plan):
    slim = SLIM.replace("AXES", "axes = ffn -> 50%")
    made = plan(slim)
    before, after = made.stages[0].shrinks[0].parameters
    assert result(made) == f"{before:,} -> {after:,} parameters"
    pruned = plan(slim, TRAIN.replace("NAME", "s").replace("MORE", PRUNE))
    assert result(pruned).startswith(f"{before:,} -> {after:,} parameters; {after:,} -> ")


def result(made) -> str:
    """The line of the plan's head."""
    return plan_screen._result(made)


def test_a_teacher_of_an_earlier_stage_is_the_larger_model(plan):
    distill = "distill { teacher = stage.dense, on = hidden(1 -> 3), hardness = 50%, temperature = 2 }"
    made = plan(
        TRAIN.replace("NAME", "dense").replace("MORE", ""),
        SLIM.replace("AXES", "axes = [heads -> 1, hidden -> 16, layers -> 2]"),
        TRAIN.replace("NAME", "s").replace("MORE", distill),
    )
    (term,) = made.stages[2].distills[0].terms
    assert (term.layers, term.widths) == (((1, 3),), (16, 32))


def test_one_shot_by_magnitude_reads_no_data_and_prunes_what_is_left(plan):
    text = SLIM.replace("AXES", "axes = ffn -> 50%, by = magnitude").replace("\n}\n", f"\n  {PRUNE}\n}}\n")
    made = plan(text)
    assert made.stages[0].calibration is None
    assert {t.shape for t in made.stages[0].prunes[0].targets if "intermediate" in t.name} == {(32, 32)}

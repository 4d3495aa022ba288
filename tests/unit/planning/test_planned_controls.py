"""`freeze`, `group` and `drop layers` in the plan: names, counts and shapes, and what cannot be done."""

import pytest

from recipelang.loading.plan import planned
from recipelang.loading.read import read_around
from recipelang.planning import memory
from recipelang.planning.facts import ModelFacts
from recipelang.planning.families import FAMILIES, HEADS
from recipelang.planning.layers import with_layers
from recipelang.planning.types import Plan
from recipelang.source import RecipeError
from tests.conftest import make_data, make_model

RECIPE = """recipe 1 "a"
model { base = "model", task = question_answering }
data { train = "train.json", validation = "dev.json", max_length = 32 tokens, stride = 8 tokens }
stage s {
  length = 2 epochs
  batch = 8
  optimizer = adamw(weight_decay = 0.01)
  learning_rate = 1e-3
  EXTRA
  prune weights {
    targets = @linear & @encoder
    method = magnitude
    sparsity = cubic(50% -> 90%, over = 50%..90%, every = 2 steps)
  }
}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    where = tmp_path_factory.mktemp("controls")
    make_model(where / "model", layers=6)
    make_data(where / "train.json", 44)
    make_data(where / "dev.json", 20, seed=1)
    return where


@pytest.fixture
def plan(folder):
    def make(extra: str, *changes: tuple[str, str]) -> Plan:
        text = RECIPE.replace("EXTRA", extra)
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (folder / "a.recipe").write_text(text, "utf-8")
        return planned(str(folder / "a.recipe"), read_around([]))[1]

    return make


@pytest.fixture
def refusal(plan):
    def ask(extra: str, *changes: tuple[str, str]) -> tuple[str, str]:
        with pytest.raises(RecipeError) as error:
            plan(extra, *changes)
        (found,) = error.value.diagnostics
        at = found.primary.source.slice(found.primary.span) if found.primary else ""
        return found.code, f"{found.message} | {at}"

    return ask


# -------------------------------------------------------------------------- freeze
def test_frozen_parameters_are_named_and_counted(plan):
    (freeze,) = plan("freeze low { targets = @embeddings | layers(0), until = 1 epoch }").stages[0].freezes
    assert freeze.until == 6
    assert len(freeze.targets) == 5 + 16
    assert "bert.encoder.layer.0.output.LayerNorm.bias" in freeze.targets
    assert freeze.weights == 24 * 32 + 64 * 32 + 2 * 32 + 2 * 32 + 4 * (32 * 32 + 32) + 2 * (64 * 32) + 64 + 32 + 4 * 32


def test_until_the_end_is_the_whole_stage(plan):
    assert [f.until for f in plan("freeze e { targets = @embeddings, until = end }").stages[0].freezes] == [None]


def test_freezing_needs_less_memory(plan, monkeypatch):
    monkeypatch.setattr(memory, "_SHARE", 0)  # holes, which are a share of all that is counted
    # weights with gradients and two moments against weights alone: 16 bytes against 4
    dense, frozen = plan(""), plan("freeze e { targets = @embeddings }")
    weights = frozen.stages[0].freezes[0].weights
    assert dense.peak_memory - frozen.peak_memory == 12 * weights


GRADIENTS = ("method = magnitude", "method = movement")


@pytest.mark.parametrize(
    ("extra", "changes", "code", "said"),
    [
        ('freeze x { targets = "nothing.*" }', (), "E070", "matches nothing"),
        ("freeze x { targets = @norm, until = 3 epochs }", (), "E062", "step 18 is after the stage's end | 3 epochs"),
        ("freeze x { targets = @norm, until = 0 steps }", (), "E063", "this freeze covers no steps | 0 steps"),
        ('freeze x { targets = "**" }', (), "E054", "every parameter is frozen | freeze x"),
        (
            "freeze a { targets = @encoder }\n  freeze b { targets = !@encoder }",
            (),
            "E054",
            "every parameter is frozen",
        ),
        ("freeze x { targets = layers(1) }", (GRADIENTS,), "E054", "`movement` ranks by gradients"),
        ("freeze x { targets = layers(1), until = 6 steps }", (GRADIENTS,), "E054", "ranks by gradients"),
        (
            "freeze x { targets = layers(1), until = 7 steps }",
            (("method = magnitude", "method = snip"),),
            "E054",
            "`snip` ranks",
        ),
    ],
)
def test_what_cannot_be_frozen(refusal, extra, changes, code, said):
    found = refusal(extra, *changes)
    assert found[0] == code
    assert said in found[1]


@pytest.mark.parametrize(
    ("until", "method"), [("5 steps", "movement"), ("6 steps", "snip"), ("end", "magnitude"), ("end", "random")]
)
def test_frozen_weights_are_pruned_where_no_gradient_is_asked_of_them(plan, until, method):
    extra = f"freeze x {{ targets = layers(1), until = {until} }}"
    stage = plan(extra, ("method = magnitude", f"method = {method}")).stages[0]
    assert {t.name for t in stage.prunes[0].targets} & set(stage.freezes[0].targets)


# -------------------------------------------------------------------------- groups
def test_groups_are_a_partition_of_what_they_name(plan):
    extra = "group no_decay { targets = @bias | @norm, weight_decay = 0 }\n  group head { targets = @head, learning_rate = 0.1 }"
    groups = plan(extra).stages[0].groups
    assert [g.names for g in groups] == [("no_decay",), ("head",), ("no_decay", "head")]
    assert [(len(g.targets), g.weights) for g in groups] == [
        (2 + 6 * 10, 64 + 6 * (4 * 32 + 64 + 32 + 4 * 32)),
        (1, 64),
        (1, 2),
    ]
    assert [g.weight_decay for g in groups] == [0, None, 0]
    assert [g.learning_rate[0].start if g.learning_rate else None for g in groups] == [None, 0.1, 0.1]


NOTHING = ("weight_decay = 0.01", "weight_decay = 0.01, no_decay = nothing")


def test_weight_decay_spares_norms_and_biases_unless_said_otherwise(plan):
    names = plan("group all { targets = @bias | @norm, learning_rate = 1 }").stages[0].groups[0].targets
    assert plan("").stages[0].undecayed == names
    assert len(names) == 2 + 6 * 10 + 1
    for change in (NOTHING, ("weight_decay = 0.01", "weight_decay = 0"), ("adamw(weight_decay = 0.01)", "sgd")):
        assert plan("", change).stages[0].undecayed == ()


def test_a_group_with_a_decay_of_its_own_has_it_for_all_that_it_names(plan):
    first = plan("group a { targets = layers(0), weight_decay = 0.1 }").stages[0]
    assert not any(".layer.0." in name for name in first.undecayed)
    assert any(".layer.1." in name for name in first.undecayed)
    assert any(".layer.0." in n for n in plan("group a { targets = layers(0), learning_rate = 1 }").stages[0].undecayed)


@pytest.mark.parametrize(
    ("extra", "codes"),
    [
        ("group a { targets = layers(0), weight_decay = 0.1 }", ["W144"]),
        ("group a { targets = layers(0) except (@norm | @bias), weight_decay = 0.1 }", []),
        ("group a { targets = @norm | @bias, weight_decay = 0.1 }", []),
        ("group a { targets = layers(0), weight_decay = 0 }", []),
        ("group a { targets = layers(0), learning_rate = 1 }", []),
    ],
)
def test_a_group_that_decays_norms_beside_matrices_is_warned_of(folder, plan, extra, codes):
    plan(extra)
    found = planned(str(folder / "a.recipe"), read_around([]), advice=False)[2]
    assert [d.code for d in found if d.code == "W144"] == codes


@pytest.mark.parametrize(
    ("extra", "changes", "code", "said"),
    [
        (
            "group a { targets = @bias, weight_decay = 0 }\n  group b { targets = @head, weight_decay = 0 }",
            (),
            "E054",
            "`a` and `b` both set `weight_decay` of `qa_outputs.bias` | @head",
        ),
        ("group a { targets = @pooler, weight_decay = 0 }", (), "E070", "matches nothing"),
        (
            "group a { targets = @head, learning_rate = linear(1e-3 -> 0, over = 0..1 epoch) }",
            (),
            "E061",
            "ends at step 6 of 12",
        ),
        (
            "group a { targets = @head, weight_decay = 0.1 }",
            (("adamw(weight_decay = 0.01)", "sgd"),),
            "E054",
            "`sgd` has no weight decay | 0.1",
        ),
    ],
)
def test_what_a_group_cannot_be(refusal, extra, changes, code, said):
    found = refusal(extra, *changes)
    assert found[0] == code
    assert said in found[1]


# -------------------------------------------------------------------------- layers
def test_everything_after_is_planned_on_the_layers_that_stay(plan):
    whole, dropped = plan(""), plan("drop layers { keep = [1, 3, 5] }")
    layer = (whole.model.parameters - dropped.model.parameters) // 3
    assert layer == 4 * (32 * 32 + 32) + 2 * 64 * 32 + 64 + 32 + 4 * 32
    assert dropped.model.drop.keep == (1, 3, 5)
    assert (dropped.model.drop.layers, dropped.model.drop.parameters) == (6, whole.model.parameters)
    names = [t.name for t in dropped.stages[0].prunes[0].targets]
    assert len(names) == 3 * 6
    assert not [n for n in names if ".layer.3." in n]
    assert dropped.peak_memory < whole.peak_memory


@pytest.mark.parametrize(
    ("extra", "changes", "code", "said"),
    [
        ("drop layers { keep = [1, 6] }", (), "E073", "there is no layer 6 to keep | [1, 6]"),
        (
            "drop layers { keep = [1, 3] }",
            (("@linear & @encoder", "@linear & layers(5)"),),
            "E073",
            "lies outside the model",
        ),
    ],
)
def test_layers_that_are_not_there(refusal, extra, changes, code, said):
    found = refusal(extra, *changes)
    assert found[0] == code
    assert said in found[1]


def test_layers_are_dropped_before_the_first_stage_only(refusal):
    before = ("stage s {", "stage t { length = 1 epoch, batch = 8, learning_rate = 1e-3 }\nstage s {")
    found = refusal("drop layers { keep = [0] }", before)
    assert found == ("E054", "layers can be dropped only in the first stage | drop layers")


CONFIGS = {
    "bert": {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 4, "max_position_embeddings": 9},
    "distilbert": {"dim": 8, "hidden_dim": 16, "n_layers": 4, "max_position_embeddings": 9},
    "llama": {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2},
}


@pytest.mark.parametrize("family", CONFIGS)
def test_every_family_can_lose_layers(family, tmp_path):
    config = {**CONFIGS[family], "vocab_size": 11, "layer_types": ["a", "b", "c", "d"]}
    task = min(HEADS[family])
    facts = ModelFacts(tmp_path, family, task, config, tuple(FAMILIES[family](config, task)), ())
    left = with_layers(facts, {"": (1, 3)})
    assert (facts.layers, left.layers) == (4, 2)
    assert left.config["layer_types"] == ["b", "d"]

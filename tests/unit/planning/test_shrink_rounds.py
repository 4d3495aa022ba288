"""`shrink` in rounds, in the plan: what is left after each, before which step, and what cannot be done so."""

from fractions import Fraction
from itertools import pairwise

import pytest

from recipelang.loading.plan import planned
from recipelang.loading.read import read_around
from recipelang.planning.facts import read_model_facts
from recipelang.planning.rounds import SAMPLES, plan_rounds
from recipelang.planning.shrink import before
from recipelang.source import RecipeError
from recipelang.spec.controls import ShrinkSpec
from recipelang.values.composite import Size
from tests.conftest import make_inputs
from tests.model_folders import make_folder

BERT = {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4, "num_hidden_layers": 4}
LLAMA = {**BERT, "num_attention_heads": 8, "num_key_value_heads": 2, "vocab_size": 64}


def facts_of(folder, family: str, **config):
    task = "causal_lm" if family == "llama" else "masked_lm"
    return read_model_facts(make_folder(folder / family, family, task, **config), task)


def rounds(facts, many: int, every: int = 10, steps: int = 100, multiple_of=None, **axes):
    sizes = tuple(Size(axis, to) for axis, to in axes.items())
    spec = ShrinkSpec(name="b", axes=sizes, rounds=many, multiple_of=multiple_of)
    return plan_rounds(spec, facts, (), every, steps)


def after(made) -> list[dict[str, int]]:
    return [{s.axis: s.after for s in plan.sizes} for plan, _ in made]


def told(facts, many: int, every: int = 10, steps: int = 100, **axes) -> str:
    with pytest.raises(RecipeError) as error:
        rounds(facts, many, every, steps, **axes)
    (found,) = error.value.diagnostics
    return f"{found.code}: {found.message}; {' '.join(found.help)}"


def test_about_as_much_goes_in_every_round(tmp_path):
    facts = facts_of(tmp_path, "bert", **BERT)
    made = rounds(facts, 3, ffn=Fraction(1, 4), layers=2)
    assert after(made) == [{"ffn": 96, "layers": 3}, {"ffn": 64}, {"ffn": 32, "layers": 2}]
    assert [(p.step, p.samples) for p, _ in made] == [(0, SAMPLES), (10, SAMPLES), (20, SAMPLES)]
    sizes = [facts.parameters, *(left.parameters for _, left in made)]
    assert [p.parameters for p, _ in made] == [*pairwise(sizes)]


def test_the_way_back_is_told_by_the_last_round_first(tmp_path):
    facts = facts_of(tmp_path, "bert", **BERT)
    made = rounds(facts, 2, ffn=32, heads=2, hidden=32, layers=2)
    there = made[-1][1]
    for plan, _ in reversed(made):
        there = before(plan, there)
    assert there.tensors == facts.tensors


def test_heads_and_the_states_that_are_as_wide_stay_together(tmp_path):
    facts = facts_of(tmp_path, "bert", **{**BERT, "num_attention_heads": 8})
    assert after(rounds(facts, 3, heads=4, hidden=32)) == [
        {"heads": 7, "hidden": 56},
        {"heads": 5, "hidden": 40},
        {"heads": 4, "hidden": 32},
    ]


def test_sizes_between_are_multiples_too(tmp_path):
    facts = facts_of(tmp_path, "llama", **LLAMA)
    assert after(rounds(facts, 2, ffn=48)) == [{"ffn": 96}, {"ffn": 48}], "of 16: 88 is none"
    assert after(rounds(facts, 2, ffn=48, multiple_of=8)) == [{"ffn": 88}, {"ffn": 48}]
    facts = facts_of(tmp_path / "wide", "llama", **{**LLAMA, "hidden_size": 48})
    assert after(rounds(facts, 3, heads=2)) == [{"heads": 6}, {"heads": 4}, {"heads": 2}], "of two groups"


def test_rounds_that_do_nothing_or_come_too_late_are_refused(tmp_path):
    facts = facts_of(tmp_path, "bert", **BERT)
    assert told(facts, 3, layers=3) == "E163: round 1 of 3 removes nothing; write fewer `rounds`"
    late = "E164: no step follows the last round; write `every = 49 steps`"
    assert told(facts, 3, every=50, ffn=64) == f"{late}, or `rounds = 2`"
    assert told(facts, 3, every=100, ffn=64) == late
    assert told(facts, 3, steps=2, ffn=64) == "E164: no step follows the last round; lengthen the stage"
    assert told(facts, 2, every=0, ffn=64).startswith("E164: all rounds come before the same step")


RECIPE = """recipe 1 "a"
model { base = "model", task = question_answering }
data { train = "train.json", validation = "dev.json", max_length = 32 tokens, stride = 8 tokens }
stage dense { length = 1 epoch, batch = 8, learning_rate = 1e-3 }
stage slim {
  length = 2 epochs, batch = 8, learning_rate = 1e-3, optimizer = adamw(weight_decay = 0.01)
  shrink body { AXES, rounds = 2, every = 4 steps }
  MORE
}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_inputs(tmp_path_factory.mktemp("rounds"), layers=4)


@pytest.fixture
def plan(folder):
    def make(axes: str, more: str = ""):
        (folder / "a.recipe").write_text(RECIPE.replace("AXES", axes).replace("MORE", more), "utf-8")
        return planned(str(folder / "a.recipe"), read_around([]))[1]

    return make


def test_the_stage_begins_with_the_larger_model_and_leaves_the_smaller(plan):
    made = plan("axes = layers -> 2")
    slim = made.stages[1]
    assert [s.step for s in slim.shrinks] == [0, 4]
    assert [[s.step for s in slim.shrunk(done)] for done in (0, 1, 4, 5)] == [[], [0], [0], [0, 4]]
    assert {n.split(".")[3] for n in slim.undecayed if ".layer." in n} == {"0", "1", "2", "3"}
    assert made.parameters("dense") > made.parameters("slim") == slim.shrinks[-1].parameters[1]
    assert type(made).model_validate_json(made.model_dump_json()) == made


DISTILL = "distill {{ teacher = stage.dense, on = {}, hardness = 50%, temperature = 2 }}"


@pytest.mark.parametrize(
    ("axes", "more", "code"),
    [
        ("axes = ffn -> 50%", "freeze e { targets = @embeddings }", "E054"),
        ("axes = ffn -> 50%", "group b { targets = @bias, weight_decay = 0 }", "E054"),
        ("axes = ffn -> 50%", "prune w { targets = @ffn, method = hold }", "E054"),
        ("axes = ffn -> 50%", "shrink more { axes = layers -> 2, rounds = 2 }", "E054"),
        ("axes = layers -> 2", DISTILL.format("hidden(1)"), "E054"),
        ("axes = layers -> 2", DISTILL.format("logits"), None),
        ("axes = ffn -> 50%", DISTILL.format("hidden(1)"), None),
        ("axes = ffn, budget = parameters -> 85%", "", None),
        ("axes = layers -> 3", "", "E163"),
        ("axes = heads -> 1", "", "E152"),
    ],
)
def test_what_cannot_stand_beside_rounds(plan, axes, more, code):
    try:
        plan(axes, more)
        found = []
    except RecipeError as error:
        found = [d.code for d in error.diagnostics if d.code[0] == "E"]
    assert found == [code] * bool(code)


@pytest.mark.parametrize("wrong", [(None, 4), (4, 0), (0, 100)])
def test_a_plan_whose_rounds_have_no_steps_in_order_is_none(plan, wrong):
    slim = plan("axes = ffn -> 50%").stages[1]
    body = slim.model_dump()
    body["shrinks"] = [{**s, "step": step} for s, step in zip(body["shrinks"], wrong, strict=True)]
    with pytest.raises(ValueError, match="shrinks"):
        type(slim).model_validate(body)

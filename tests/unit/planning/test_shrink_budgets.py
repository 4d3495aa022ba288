"""Budgets of `shrink`: the sizes that the rule gives, exactly, and what cannot be met."""

from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given, settings, strategies as st

from recipelang.loading.plan import planned
from recipelang.loading.read import read_around
from recipelang.planning.budgets import Reach, choose, largest, with_chosen
from recipelang.planning.facts import read_model_facts
from recipelang.planning.shrink import before, kept_layers, plan_shrink
from recipelang.report import shrink_screen
from recipelang.source import RecipeError, Source
from recipelang.spec.canonical import behaviour_digest, spec_digest
from recipelang.spec.check import check
from recipelang.spec.controls import ShrinkSpec
from recipelang.spec.effective import effective
from recipelang.values import selector as sel
from recipelang.values.composite import Budget, Size
from tests.conftest import make_inputs
from tests.model_configs import walk_here
from tests.model_folders import make_folder
from tests.property.examples import examples

BERT = {"hidden_size": 64, "intermediate_size": 256, "num_attention_heads": 4, "num_hidden_layers": 4}
LLAMA = {**BERT, "num_attention_heads": 8, "num_key_value_heads": 2, "vocab_size": 64}
SHARE = Fraction(3, 5)


def facts_of(folder, family: str):
    task, config = ("causal_lm", LLAMA) if family == "llama" else ("masked_lm", BERT)
    return read_model_facts(make_folder(folder / family, family, task, **config), task)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return {family: facts_of(tmp_path_factory.mktemp("budgets"), family) for family in ("bert", "llama")}


def block(budget, *axes: str, keep=None, multiple_of=None, **fixed) -> ShrinkSpec:
    sizes = (*(Size(axis, None) for axis in axes), *(Size(axis, to) for axis, to in fixed.items()))
    limit = Budget("parameters", budget)
    return ShrinkSpec(name="b", axes=sizes, budget=limit, keep=keep, multiple_of=multiple_of)


def reach_of(facts, *args, **more) -> Reach:
    spec = block(*args, **more)
    return Reach(spec, facts, kept_layers(spec, facts))


def chosen(facts, *args, **more) -> dict[str, int]:
    return choose(reach_of(facts, *args, **more)).chosen


def refused(facts, *args, **more) -> str:
    with pytest.raises(RecipeError) as error:
        chosen(facts, *args, **more)
    (found,) = error.value.diagnostics
    return f"{found.code}: {found.message}; {' '.join(found.help)}"


# ------------------------------------------------------------------------ the rule
LEVELS = st.lists(st.integers(1, 12), min_size=1, max_size=5, unique=True).map(
    lambda levels: [Fraction(n, max(levels)) for n in sorted(levels)]
)


@settings(max_examples=examples(200), deadline=None)
@given(st.lists(LEVELS, min_size=1, max_size=3), st.data())
def test_the_budget_is_met_and_no_axis_could_be_larger(shares, data):
    costs = [sorted(data.draw(st.lists(st.integers(0, 50), min_size=len(s), max_size=len(s)))) for s in shares]
    most = data.draw(st.integers(0, 150))

    def cost(at):
        return sum(each[i] for each, i in zip(costs, at, strict=True))

    every = list(product(*(range(len(s)) for s in shares)))
    at = largest(shares, cost, most)
    if at is None:
        assert all(cost(other) > most for other in every)
        return
    assert cost(at) <= most
    for n, each in enumerate(shares):
        more = (*at[:n], at[n] + 1, *at[n + 1 :])
        assert more[n] == len(each) or cost(more) > most

    def smallest(at):
        return min(each[i] for each, i in zip(shares, at, strict=True))

    assert smallest(at) == max(smallest(other) for other in every if cost(other) <= most)


@pytest.mark.parametrize("family", ["bert", "llama"])
@pytest.mark.parametrize("axes", [("ffn",), ("layers",), ("ffn", "layers"), ("ffn", "heads", "hidden", "layers")])
@pytest.mark.parametrize("share", [Fraction(45, 100), Fraction(7, 10), Fraction(95, 100)])
def test_what_the_plan_has_meets_the_budget_and_is_what_transformers_makes(models, family, axes, share):
    facts = models[family]
    try:
        reach = reach_of(facts, share, *axes)
        budget = choose(reach)
    except RecipeError as error:
        assert error.diagnostics[0].code == "E158" and axes in (("ffn",), ("layers",)) and share < SHARE
        return
    made, left = plan_shrink(reach.sized(budget.chosen), facts, (), budget)
    assert made.parameters == (facts.parameters, left.parameters) and left.parameters <= budget.most
    assert left.parameters == reach.parameters(budget.chosen) == sum(t.size for t in left.tensors)
    assert before(made, left).tensors == facts.tensors
    for row in reach.rows:
        larger = [s for s in row.sizes if s[0] > budget.chosen[row.axes[0]]]
        if larger:
            more = {**budget.chosen, **dict(zip(row.axes, larger[0], strict=True))}
            assert reach.parameters(more) > budget.most


def test_one_axis_is_as_large_as_the_budget_allows(models):
    bert = models["bert"]
    each = 4 * (2 * 64 + 1)  # of a neuron in four layers: a row, a column and a bias
    most = bert.parameters - 100 * each
    assert chosen(bert, most, "ffn") == {"ffn": 144}
    assert chosen(bert, most - 1, "ffn", multiple_of=4) == {"ffn": 152}
    assert chosen(bert, bert.parameters - 1, "ffn", multiple_of=1) == {"ffn": 255}
    assert chosen(bert, bert.parameters - 1, "layers") == {"layers": 3}


def test_what_rounding_leaves_over_goes_to_the_axis_with_the_smallest_share(models):
    bert = models["bert"]
    reach = reach_of(bert, SHARE, "ffn", "layers", multiple_of=1)
    found = choose(reach)
    assert found.chosen == {"ffn": 171, "layers": 3}
    assert (found.of, found.share, found.most) == ("parameters", 0.6, bert.parameters * 3 // 5)


def test_heads_and_hidden_units_keep_one_share_and_load(models):
    assert chosen(models["bert"], Fraction(4, 5), "heads", "hidden") == {"heads": 3, "hidden": 48}
    llama = chosen(models["llama"], SHARE, "heads", "hidden")
    assert llama == {"heads": 4, "hidden": 32}, "whole groups of keys and values"
    alone = reach_of(models["llama"], SHARE, "hidden").rows[0].sizes
    assert all(hidden % 8 == 0 for (hidden,) in alone)
    assert [n for (n,) in reach_of(models["llama"], SHARE, "heads").rows[0].sizes] == [2, 4, 8], (
        "64 is no multiple of 6"
    )


def test_sizes_that_are_written_stay(models):
    found = chosen(models["bert"], Fraction(1, 2), "ffn", layers=3)
    assert [*found] == ["ffn"] and found["ffn"] < chosen(models["bert"], Fraction(1, 2), "ffn", layers=2)["ffn"]


def test_protected_layers_bound_the_layers(models):
    ends = sel.Or((sel.Layers(0, 0), sel.Layers(-1, -1)))
    assert reach_of(models["bert"], SHARE, "layers", keep=ends).rows[0].sizes[0] == (2,)
    assert refused(models["bert"], Fraction(1, 4), "layers", keep=ends).startswith("E158")
    every = sel.Layers(0, -1)
    assert refused(models["bert"], SHARE, "layers", keep=every).startswith("E153: `keep` protects every layer")


def test_a_budget_out_of_reach_names_the_nearest_and_what_would_help(models):
    bert = models["bert"]
    said = refused(bert, Fraction(1, 10), "ffn")
    assert said.startswith("E158: `ffn` cannot become small enough for the budget; write `parameters -> ")
    assert said.endswith(", or add `heads` and `hidden` to `axes`"), "with layers it would not be met either"
    nearest = Fraction(said.split("-> ")[1].split("%")[0]) / 100
    assert chosen(bert, nearest, "ffn") == {"ffn": 16}, "what the help says is met"
    least = reach_of(bert, SHARE, "layers").parameters({"layers": 1})
    assert refused(bert, least - 1, "layers").startswith(
        f"E158: `layers` cannot become small enough for the budget; write `parameters -> {least:_}`, or add `ffn`"
    )
    assert refused(bert, bert.parameters, "ffn").startswith("E158: `parameters -> ")
    assert refused(bert, Fraction(9, 10), "ffn", layers=1).startswith("E158: the budget is met without shrinking `ffn`")
    assert refused(bert, SHARE, "ffn", multiple_of=256).startswith("E153: `ffn` can have no smaller size in this model")
    assert refused(bert, SHARE, "heads").startswith("E152")


def test_types_in_no_table_are_counted_from_their_shapes(tmp_path, monkeypatch):
    from transformers import AutoConfig, AutoModelForCausalLM

    walk_here(monkeypatch)
    config = AutoConfig.for_model("qwen2", **LLAMA)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    facts = read_model_facts(tmp_path, "causal_lm")
    reach = reach_of(facts, SHARE, "ffn", "layers")
    budget = choose(reach)
    _, left = plan_shrink(reach.sized(budget.chosen), facts, ())
    assert reach.parameters(budget.chosen) == left.parameters <= budget.most


# ------------------------------------------------------------------------- recipes
RECIPE = """recipe 1 "a"
param share: ratio = 60%
let cap = share
model { base = "model", task = question_answering }
data { train = "train.json", validation = "dev.json", max_length = 32 tokens, stride = 8 tokens }
stage slim {
  mode = one_shot
  shrink body { axes = [ffn, layers], budget = parameters -> cap }
}
stage recover { length = 1 epoch, batch = 8, learning_rate = 1e-3 }
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_inputs(tmp_path_factory.mktemp("budget"), layers=4)


def made(folder, text: str = RECIPE):
    (folder / "a.recipe").write_text(text, "utf-8")
    return planned(str(folder / "a.recipe"), read_around([]))[:2]


def test_the_screen_shows_the_budget_the_sizes_and_what_came_out(folder):
    _, plan = made(folder, RECIPE.replace("= 60%", "= 90%"))
    (shrink,) = plan.stages[0].shrinks
    before_, after = shrink.parameters
    assert shrink_screen.block([shrink]).splitlines()[0] == (
        f"budget: at most 90% ({before_ * 9 // 10:,} of {before_:,}) parameters; chosen ffn 48, layers 4 (all); "
        f"reached {after / before_:.1%}"
    )
    _, plan = made(folder, RECIPE.replace("-> cap", "-> 30_000"))
    (shrink,) = plan.stages[0].shrinks
    assert f"at most 30,000 of {before_:,} parameters" in shrink_screen.block([shrink])
    assert plan.stages[1].steps and plan.parameters() == shrink.parameters[1]


def test_the_effective_recipe_records_the_sizes_and_is_the_same_experiment(folder):
    recipe, plan = made(folder)
    text = effective(with_chosen(recipe, plan))
    (budget,) = (s.budget for s in plan.stages[0].shrinks)
    sizes = ", ".join(f"{axis} -> {to}" for axis, to in budget.chosen.items())
    assert f"axes = [ffn, layers]\n    budget = parameters -> 60%\n    chosen = [{sizes}]" in text
    again = check(Source("b", text), {}, complete=True).recipe
    known = {"model": "sha256:" + "0" * 64, "train.json": "sha256:" + "1" * 64, "dev.json": "sha256:" + "2" * 64}
    for digest in (spec_digest, behaviour_digest):
        assert digest(again, known) == digest(recipe, known)
    assert made(folder, text)[1].stages == plan.stages
    assert (
        with_chosen(*made(folder, RECIPE.replace("[ffn, layers], budget = parameters -> cap", "ffn -> 50%")))
        is not None
    )


def test_the_budget_decides_both_digests_and_sizes_written_are_another_experiment(folder):
    texts = [
        RECIPE,
        RECIPE.replace("= 60%", "= 61%"),
        RECIPE.replace("[ffn, layers], budget = parameters -> cap", "layers -> 2"),
    ]
    digests = [behaviour_digest(made(folder, text)[0], {}) for text in texts]
    assert len({*digests}) == 3

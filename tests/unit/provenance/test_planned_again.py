"""A plan that nobody changed is what its recipe comes to, whatever the recipe holds; and each change is seen."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from recipelang.loading.plan import planned
from recipelang.loading.read import read_around
from recipelang.planning.facts import read_model_facts
from recipelang.planning.layers import with_layers
from recipelang.planning.types import Plan
from recipelang.provenance.recheck import evaluated
from recipelang.provenance.replanned import difference
from recipelang.spec.effective import effective
from tests.conftest import make_model
from tests.decoders import make_decoder, make_text

QA = """recipe 1 "all"
seed = 7
model { base = "model", task = question_answering, dropout = 5% }
data { train = "train.json", validation = "dev.json", max_length = 32 tokens, stride = 8 tokens, samples = 30, seed = 3 }
data other { train = "dev.json", validation = "dev.json", max_length = 24 tokens, stride = 8 tokens }
"""
DENSE = "stage dense {{ length = 2 epochs, batch = 8, learning_rate = 1e-3{more} }}\n"
PRUNE = """  prune weights {{ targets = @linear & @encoder, never = @embeddings | @head, method = {method}, {more} }}
"""
CUBIC = "sparsity = cubic(20% -> 80%, over = 10%..90%, updates = 3 per epoch)"
STAGE = "stage sparse {{ length = 3 epochs, batch = 8, micro_batch = 4, data = other, learning_rate = linear(1e-3 -> 0, over = start..end)\n{body}}}\n"
EVALUATE = "evaluate dev { metrics = [f1], samples = 5, every = 1 epoch, compare = dense }\n"


def pruned(method: str, more: str = CUBIC) -> str:
    return QA + STAGE.format(body=PRUNE.format(method=method, more=more)) + EVALUATE


SHOT = """recipe 1 "shot"
model { base = "decoder", task = causal_lm }
data { train = "train.jsonl", max_length = 16 tokens, samples = 8 }
stage cut {
  mode = one_shot
  prune weights { targets = @linear & @decoder, never = @embeddings | @head, method = wanda, sparsity = 50% }
}
"""
RECIPES = {
    "movement": pruned("movement"),
    "global magnitude": pruned("magnitude(scope = global)"),
    "N:M": pruned("magnitude", "pattern = 2:4, sparsity = 50%"),
    "blocks": pruned("magnitude", f"pattern = block(1, 4), {CUBIC}"),
    "oBERT": pruned("obert", CUBIC),
    "swapped": pruned("rigl", "sparsity = constant(80%, over = start..90%, updates = 2 per epoch)"),
    "two stages": QA
    + STAGE.format(body=PRUNE.format(method="magnitude", more=CUBIC))
    + STAGE.format(body=PRUNE.format(method="hold", more="").replace(",  }", " }")).replace("sparse", "after"),
    "groups and freezes": QA
    + DENSE.format(more="")
    + STAGE.format(
        body="  group head { targets = @head, learning_rate = 1e-2, weight_decay = 0 }\n"
        "  freeze low { targets = @embeddings, until = 1 epoch }\n" + PRUNE.format(method="magnitude", more=CUBIC)
    ),
    "distilled from a stage": QA
    + DENSE.format(more=", checkpoint_every = 3 steps, keep = 4")
    + STAGE.format(
        body=PRUNE.format(method="magnitude", more=CUBIC)
        + "  distill { teacher = stage.dense, hardness = linear(0 -> 90%, over = start..end), temperature = 2, cache = true }\n"
    ),
    "distilled from a wider model": QA
    + STAGE.format(
        body=PRUNE.format(method="magnitude", more=CUBIC)
        + '  distill { teacher = "teacher", on = [logits, hidden], hardness = 50%, temperature = 2 }\n'
    ),
    "one shot": SHOT,
    "a layer less": pruned("movement").replace("prune weights", "drop layers { keep = [0] }\n  prune weights"),
}


@pytest.fixture(scope="module")
def here(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    here = tmp_path_factory.mktemp("planned_again")
    shutil.copytree(tiny, here, dirs_exist_ok=True)
    make_model(here / "teacher", hidden=48, layers=4)
    make_decoder(here / "decoder")
    make_text(here / "train.jsonl", 60)
    return here


def made(here: Path, text: str) -> tuple[Plan, str]:
    (here / "a.recipe").write_text(text, "utf-8")
    recipe, plan, _ = planned(str(here / "a.recipe"), read_around([]))
    return plan, effective(recipe)


@pytest.mark.parametrize("name", RECIPES)
def test_a_plan_that_nobody_changed_is_what_its_recipe_comes_to(name, here):
    plan, text = made(here, RECIPES[name])
    recipe = evaluated(text, "portable.recipe")
    facts = read_model_facts(Path(plan.model.path), plan.model.task, plan.model.labels)
    facts = facts if plan.model.drop is None else with_layers(facts, plan.model.drop.kept)
    assert difference(plan, recipe, facts) == (None, [])
    if plan.model.drop is not None:
        kept = plan.model.model_copy(update={"drop": plan.model.drop.model_copy(update={"keep": (1,)})})
        assert difference(plan.model_copy(update={"model": kept}), recipe, facts)[0] == "model.drop"
    back = Plan.model_validate_json(plan.model_dump_json())
    assert difference(back, recipe, facts) == (None, [])


def test_a_teacher_that_is_not_here_is_named(here, tmp_path):
    plan, text = made(here, RECIPES["distilled from a wider model"])
    (d,) = plan.stages[0].distills
    stages = (plan.stages[0].model_copy(update={"distills": (d.model_copy(update={"teacher": str(tmp_path)}),)}),)
    recipe = evaluated(text, "portable.recipe")
    facts = read_model_facts(Path(plan.model.path), plan.model.task)
    differs, unchecked = difference(plan.model_copy(update={"stages": stages}), recipe, facts)
    assert differs is None
    assert "teacher" in unchecked[0]

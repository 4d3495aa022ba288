"""What training under a recipe guarantees: exact counts, exact zeros, protected tensors, the same result however cut."""

import json

import pytest
import torch
import yaml

from recipelang.loading.plan import planned
from recipelang.loading.read import read_around
from recipelang.modifiers.modifier import Modifier
from recipelang.modifiers.prune import KeepZeros

from .steps import Steps, also_acting, run, same, weights

TARGETS = "encoder.layer"


def targets(out):
    return {n: w for n, w in weights(out).items() if TARGETS in n and w.dim() == 2}


class Watch(Modifier):
    """Checks after every step that zeros are zero, in weights and moments, and counts them."""

    def __init__(self, drawn=()):
        """`drawn`: targets of a method that keeps masked weights and their moments for their return."""
        self.counts, self.drawn = [], drawn

    def on_step_end(self, state):
        assert state.masks.holds()
        for name, parameter, mask in state.masks:
            for key in () if name in self.drawn else ("exp_avg", "exp_avg_sq"):
                assert not bool((state.optimizer.state[parameter][key][~mask] != 0).any())
        self.counts.append(sum(int((~m).sum()) for _, _, m in state.masks))


@pytest.fixture
def watch(monkeypatch):
    seen = []
    also_acting(monkeypatch, lambda stage: seen.append((stage, Watch())) or seen[-1][1])
    return seen


@pytest.mark.parametrize("window", ["0%..80%", "0%..100%"])
@pytest.mark.parametrize("scope", ["uniform", "global"])
def test_zeros_are_exact_at_every_step_and_the_last_event_is_exact(project, tmp_path, watch, scope, window):
    recipe = project(replace=("over = 0%..80%", f"over = {window}"))
    result = run(recipe, tmp_path / "out", params=(f"scope={scope}",))
    stage, seen = watch[1]
    planned = {e.step: sum(e.zeros) for e in stage.prunes[0].events}
    in_force = 0
    for step, count in enumerate(seen.counts):
        in_force = planned.get(step, in_force)
        assert count == in_force
    total = sum(w.numel() for w in targets(tmp_path / "out").values())
    zeros = sum(int((w == 0).sum()) for w in targets(tmp_path / "out").values())
    assert zeros == planned[max(planned)]
    assert (max(planned) == stage.steps) == (window == "0%..100%")  # then it comes at the very end
    if scope == "global":
        assert zeros == round(0.9 * total)
    assert result.gained == {}
    assert not result.failed


def test_uniform_scope_prunes_each_tensor_to_the_target(project, tmp_path):
    run(project(), tmp_path / "out")
    for weight in targets(tmp_path / "out").values():
        assert int((weight == 0).sum()) == round(0.9 * weight.numel())


def test_bf16_autocast_keeps_the_zeros_too(project, tmp_path, watch):
    assert not run(project(), tmp_path / "out", params=("precision=bf16",)).failed
    assert watch[1][1].counts


def test_masks_stay_in_force_in_later_stages(project, tmp_path):
    recipe = project()
    text = recipe.read_text("utf-8").replace(
        "evaluate dev",
        "stage tune { length = 1 epoch, batch = 8, learning_rate = 1e-3 }\n\nevaluate dev",
    )
    recipe.write_text(text, "utf-8")
    assert not run(recipe, tmp_path / "out").failed


def test_gradient_accumulation_is_the_whole_batch(project, tmp_path):
    recipe = project(replace=('base = "model"', 'dropout = 0%, attention_dropout = 0%, base = "model"'))
    one, four = Steps(), Steps()
    run(recipe, tmp_path / "one", one, params=("micro=8",))
    run(recipe, tmp_path / "four", four, params=("micro=2",))
    assert len(one.losses) == len(four.losses) == 18
    for a, b in zip(one.losses, four.losses, strict=True):
        assert a == pytest.approx(b, rel=2e-4)
    # 44 examples in batches of 8: the last batch of an epoch has 4, and is weighed as such
    assert targets(tmp_path / "one").keys() == targets(tmp_path / "four").keys()


def test_same_recipe_gives_the_same_bits(project, tmp_path):
    recipe = project()
    run(recipe, tmp_path / "a")
    run(recipe, tmp_path / "b")
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))


def test_another_seed_draws_another_order(project, tmp_path):
    """With dropout off and the same weights at the start, the order is all that a stage's seed can change."""
    still = ('base = "model"', 'dropout = 0%, attention_dropout = 0%, base = "model"')
    seen = []
    for name, extra in (("a", ""), ("b", "seed = 1")):
        seen.append(Steps())
        run(project(replace=still, extra=extra), tmp_path / name, seen[-1])
    assert seen[0].losses[:6] == seen[1].losses[:6]  # the stage before keeps its own
    assert seen[0].losses[6:] != seen[1].losses[6:]


def test_sgd_and_no_clipping_keep_the_zeros(project, tmp_path, watch, monkeypatch):
    monkeypatch.setattr(Watch, "on_step_end", lambda self, state: self.counts.append(state.masks.holds()))
    run(project(extra="optimizer = sgd(momentum = 0.9)\n  clip = none"), tmp_path / "out")
    assert all(watch[1][1].counts)


def test_without_masked_gradients_the_zeros_would_not_last(project, tmp_path, watch, monkeypatch):
    """The watch can fail: it does when gradients are left alone."""
    monkeypatch.setattr(KeepZeros, "on_gradients", lambda self, state: None)
    with pytest.raises(AssertionError):
        run(project(), tmp_path / "out")


def test_record_tells_sparsity_of_every_matrix_and_the_claims(project, tmp_path):
    run(project(), tmp_path / "out")
    record = json.loads((tmp_path / "out" / "run.json").read_text("utf-8"))
    assert record["status"] == "finished"
    assert record["sparsity"]["targets"] == pytest.approx(0.9, abs=1e-3)
    assert [c["met"] for c in record["claims"]] == [True, True, True]
    tensors = record["sparsity"]["tensors"]
    assert all(tensors[n] == pytest.approx(0.9, abs=1e-3) for n in targets(tmp_path / "out"))


def test_exported_model_loads_with_transformers_and_is_the_one_trained(project, tmp_path):
    from transformers import AutoModelForQuestionAnswering

    run(project(), tmp_path / "out")
    model = AutoModelForQuestionAnswering.from_pretrained(tmp_path / "out")
    assert torch.equal(model.qa_outputs.weight, weights(tmp_path / "out")["qa_outputs.weight"])


def test_effective_recipe_has_the_same_spec_digest(project, tmp_path):
    recipe = project()
    run(recipe, tmp_path / "out", params=("target=80%",))
    _, plan, _ = planned(str(recipe), read_around(["target=80%"]))
    written = json.loads((tmp_path / "out" / "recipe" / "plan.json").read_text("utf-8"))
    assert written["spec_digest"] == plan.spec_digest


def test_card_is_a_whole_table_whatever_the_claims_hold(project, tmp_path):
    run(project(), tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert r"`expect sparsity(@embeddings \| @head) <= 4%`" in card
    rows = [line.replace(r"\|", "") for line in card.splitlines() if line.startswith("| `expect")]
    assert rows and all(row.count("|") == 5 for row in rows)
    front = yaml.safe_load(card.split("---\n")[1])
    assert front["library_name"] == "transformers" and front["tags"][:2] == ["recipelang", "pruning"]


def test_weights_can_be_read_by_whoever_may_read_the_config(project, tmp_path):
    run(project(), tmp_path / "out")
    modes = {(tmp_path / "out" / name).stat().st_mode for name in ("model.safetensors", "config.json")}
    assert len(modes) == 1


def test_gradient_that_is_not_finite_stops_before_the_weights_take_it_in(project, tmp_path, monkeypatch):
    from recipelang.modifiers.learning_rate import LearningRate
    from recipelang.source import RecipeError

    def spoil(self, state):
        if state.step == 3:
            next(state.model.parameters()).grad.fill_(float("inf"))

    monkeypatch.setattr(LearningRate, "on_gradients", spoil, raising=False)
    with pytest.raises(RecipeError, match="E082]: the norm of the gradients is inf at step 3 of stage `dense`"):
        run(project(), tmp_path / "out")


def test_variables_for_loops_of_others_change_no_bit(project, tmp_path, monkeypatch):
    recipe = project(length="2 steps")
    run(recipe, tmp_path / "without")
    for name, value in {
        "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "4",
        "ACCELERATE_GRADIENT_CLIPPING": "0.001",
        "ACCELERATE_MIXED_PRECISION": "bf16",
        "ACCELERATE_DYNAMO_BACKEND": "INDUCTOR",
        "ACCELERATE_DOWNCAST_BF16": "true",
        "FSDP_CPU_RAM_EFFICIENT_LOADING": "true",
    }.items():
        monkeypatch.setenv(name, value)
    run(recipe, tmp_path / "with")
    assert same(weights(tmp_path / "with"), weights(tmp_path / "without"))

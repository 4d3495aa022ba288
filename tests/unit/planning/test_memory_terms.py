"""Each term of the plan's memory, by itself: what a run holds at its peak grows by what was counted by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from recipelang.loading.plan import planned
from recipelang.planning import memory
from recipelang.planning.facts import ModelFacts, read_model_facts
from recipelang.planning.families import TensorFact
from recipelang.planning.memory import memory_of
from recipelang.planning.types import Plan
from tests.model_configs import walk_here
from tests.model_table import make

RECIPE = """recipe 1 "memory"
model { base = "model", task = causal_lm%s }
data { train = "data.jsonl", validation = "data.jsonl", max_length = 16 tokens%s }
stage only { %s }
%s
"""
TRAINED = "length = 4 steps, batch = 8, learning_rate = constant(1e-5, over = start..end)"
SHOT = "mode = one_shot\n prune weights { targets = @linear & @decoder, never = @head, method = wanda, sparsity = 50% }"

Of = Callable[..., tuple[Plan, ModelFacts]]


@pytest.fixture
def of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Of:
    """The plan of a stage of a small Llama, and what is known of that."""
    walk_here(monkeypatch)
    monkeypatch.setattr(memory, "_SHARE", 0)  # holes, which are a share of all that is counted
    make(tmp_path, "llama", "causal_lm")

    def planning(stage: str, evaluate: str = "", model: str = "") -> tuple[Plan, ModelFacts]:
        samples = ", samples = 8 samples" if "one_shot" in stage else ""
        (tmp_path / "a.recipe").write_text(RECIPE % (model, samples, stage, evaluate), "utf-8")
        plan = planned(str(tmp_path / "a.recipe"))[1]
        return plan, read_model_facts(Path(plan.model.path), "causal_lm")

    return planning


def peak(plan: Plan, facts: ModelFacts) -> int:
    return memory_of(plan, {"only": facts})["peak_memory"]


def larger(facts: ModelFacts, *tensors: TensorFact) -> ModelFacts:
    return replace(facts, tensors=(*facts.tensors, *tensors))


BIG = TensorFact("big", (10_000, 10_000), frozenset())
SIZE = 10**8


def test_the_plan_is_what_is_computed_here(of):
    plan, facts = of(TRAINED)
    assert plan.peak_memory == peak(plan, facts)


def test_moments_are_counted_for_each_weight_that_is_trained(of):
    adamw, facts = of(TRAINED)
    sgd, _ = of(TRAINED + ", optimizer = sgd")
    assert peak(adamw, larger(facts, BIG)) - peak(sgd, larger(facts, BIG)) == 2 * 4 * (facts.parameters + SIZE)


def test_gradients_take_the_place_of_activations(of):
    """Of a large matrix that no token passes there are its gradient and two temporaries of it in the optimizer's step."""
    plan, facts = of(TRAINED + ", optimizer = sgd")
    few = peak(plan, larger(facts, BIG))
    assert few > 4 * SIZE * 4
    many = plan.model_copy(update={"stages": (plan.stages[0].model_copy(update={"micro_batch": 64, "batch": 64}),)})
    assert (
        peak(many, larger(facts, BIG)) == few
    )  # its activations are less than that matrix, and gone when it is updated
    assert peak(many, facts) > peak(plan, facts)


def test_an_earlier_micro_batch_leaves_its_gradients(of):
    _, facts = of(TRAINED)
    cut, _ = of(TRAINED + ", micro_batch = 4")
    once = cut.stages[0].model_copy(update={"micro_batch": 4, "batch": 4, "accumulation": 1})
    alone = cut.model_copy(update={"stages": (once,)})
    four = larger(facts, *(replace(BIG, name=f"big{i}") for i in range(4)))
    # gradients of all and of the next one that is added, beside the new ones; without, two temporaries of the optimizer
    assert peak(cut, four) - peak(alone, four) == pytest.approx(4 * SIZE * (4 + 1 - 2), rel=0.01)


def test_a_logit_takes_16_bytes_where_the_backward_pass_begins(of):
    plan, facts = of(TRAINED)
    more = replace(facts, config=facts.config | {"vocab_size": facts.config["vocab_size"] + 10**6})
    most = replace(facts, config=facts.config | {"vocab_size": facts.config["vocab_size"] + 2 * 10**6})
    assert peak(plan, most) - peak(plan, more) == 10**6 * (8 * 16 * 16 + memory._WORD)


def test_weights_are_cast_for_arithmetic_of_half_as_many_bits(of):
    plan, facts = of(TRAINED)
    bf16, _ = of(TRAINED + ", precision = bf16")
    assert peak(bf16, larger(facts, BIG)) - peak(plan, larger(facts, BIG)) == pytest.approx(2 * SIZE, rel=0.01)


def test_files_of_another_type_are_there_until_all_weights_are_made(of):
    plan, facts = of(SHOT, model=", dtype = bf16")
    huge = larger(facts, replace(BIG, shape=(100_000, 10_000)))
    weights = 10 * SIZE + facts.parameters
    assert peak(plan, huge) == (2 + 4) * weights + memory._LOADED
    alike, _ = of(SHOT)  # weights lie in memory as they lie in the files
    assert 4 * weights < peak(alike, huge) < 4 * weights + 10**9


def test_a_stack_of_experts_is_made_of_its_files_and_taken_apart_again(of):
    plan, facts = of(SHOT)
    stack = larger(facts, TensorFact("experts", (100, 1000, 1000), frozenset(), 0))
    assert peak(plan, stack) >= 2 * 4 * SIZE
    assert peak(plan, stack) - peak(plan, larger(facts, BIG)) > 3 * SIZE


def test_what_is_measured_after_a_stage_is_measured_without_moments(of):
    evaluate = 'evaluate dev { split = "validation", batch = 4096%s }'
    plan, facts = of(TRAINED, evaluate % "")
    between, _ = of(TRAINED, evaluate % ", every = 2 steps")
    alone, _ = of(TRAINED)
    assert peak(alone, facts) < peak(plan, facts)
    # moments of all weights, and the room of their gradients
    assert peak(between, facts) - peak(plan, facts) == pytest.approx((8 + 4) * facts.parameters, abs=2)


def test_a_pass_of_one_shot_grows_with_its_micro_batch(of):
    small, facts = of(SHOT + "\n micro_batch = 2")
    large, _ = of(SHOT + "\n micro_batch = 4")
    huge, _ = of(SHOT + "\n micro_batch = 8")
    assert peak(huge, facts) - peak(large, facts) == pytest.approx(2 * (peak(large, facts) - peak(small, facts)), abs=4)


def test_a_matrix_that_is_ranked_takes_its_scores(of):
    """Of a stack it is one expert."""
    plan, facts = of(SHOT.replace("wanda", "magnitude"))
    name = plan.stages[0].prunes[0].targets[0].name
    wide = replace(facts, tensors=tuple(replace(t, shape=BIG.shape) if t.name == name else t for t in facts.tensors))
    stack = replace(
        facts, tensors=tuple(replace(t, shape=(100, 1000, 1000)) if t.name == name else t for t in facts.tensors)
    )
    assert peak(plan, wide) - peak(plan, larger(facts, BIG)) == pytest.approx(8 * SIZE, rel=0.01)
    assert peak(plan, stack) < peak(plan, wide) + SIZE * 4


def test_on_disk_a_matrix_that_is_not_ranked_is_only_counted_and_written(of):
    plan, facts = of(SHOT.replace("wanda", "magnitude"), model=", dtype = bf16")
    huge = larger(facts, replace(BIG, shape=(100_000, 10_000)))
    on_disk = memory_of(plan, {"only": huge})["offloaded_memory"]
    assert on_disk == pytest.approx(10 * SIZE * (2 + 2 + 1), rel=0.05)


def test_holes_are_a_share_of_what_is_counted_up_to_a_limit(of, monkeypatch):
    plan, facts = of(TRAINED)
    without = peak(plan, facts), peak(plan, larger(facts, BIG))
    monkeypatch.undo()
    counted = without[0] - memory._BESIDE - memory._WORD * facts.config["vocab_size"]
    assert peak(plan, facts) - without[0] == pytest.approx(0.15 * counted, abs=2)
    assert peak(plan, larger(facts, BIG)) - without[1] == 63 * 10**6

"""`keep_best`: a stage ends with the best weights that were measured once its target was reached, however it was interrupted."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from recipelang.engine.records import Interrupted, Reporter
from recipelang.loading.plan import planned
from recipelang.loading.read import read_around
from recipelang.source import RecipeError

from ..other_tasks import make_task
from .steps import run, same, stopped_often, weights

TASK, METRIC = "masked_lm", "perplexity"
#: events before steps 0, 2, 4 and 6: the last masks are in force from the seventh step on
SINCE, STEPS = 7, 16
#: so fast that the weights of the last step are not the best
RATE = "learning_rate = linear(2e-2 -> 4e-2, over = start..end)"


def recipe_of(folder: Path, line: str = "keep_best = dev.perplexity", *, evaluate: str = "every = 3 steps") -> Path:
    path = make_task(folder, TASK)
    text = path.read_text("utf-8").replace("length = 8 steps", f"length = {STEPS} steps\n  {line}")
    text = text.replace("learning_rate = linear(1e-3 -> 1e-4, over = start..end)", RATE)
    text = text.replace("over = 0%..80%", "over = 0%..40%")
    path.write_text(text.replace('split = "validation"', f'split = "validation", {evaluate}'), "utf-8")
    return path


class Measured(Reporter):
    """What was measured in the second stage, by steps; none is its end. `stop_at`: a signal inside the n-th."""

    def __init__(self, stop_at: int = 0) -> None:
        self.left = stop_at
        self.values: dict[int | None, float] = {}

    def measuring(self, evaluation, done, of) -> None:
        self.left -= done == 0
        if self.left == 0 and done:
            self.left = -1
            os.kill(os.getpid(), signal.SIGTERM)

    def evaluated(self, stage, name, metrics, step=None, on="") -> None:
        if stage == "sparse":
            self.values[step] = metrics[METRIC]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> tuple[Path, Measured]:
    folder = tmp_path_factory.mktemp("best")
    seen = Measured()
    run(recipe_of(folder), folder / "out", seen)
    return folder, seen


def record(out: Path) -> dict:
    return json.loads((out / "run.json").read_text("utf-8"))


def test_the_stage_ends_with_the_best_weights_that_were_measured_after_the_target(whole) -> None:
    folder, seen = whole
    inside = {step: value for step, value in seen.values.items() if step is not None}
    assert sorted(inside) == [3, 6, 9, 12, 15, 16]
    counted = {step: value for step, value in inside.items() if step >= SINCE}
    best = min(counted, key=lambda s: counted[s])
    assert best < STEPS, "the last weights are the best: nothing is shown"
    told = record(folder / "out")["best"]
    assert told == {"sparse": {"path": "dev.perplexity", "step": best, "value": counted[best]}}
    assert seen.values[None] == counted[best]  # measured again, at the end of the stage
    assert record(folder / "out")["metrics"]["dev.perplexity"] == counted[best]


def test_a_better_value_before_the_target_does_not_count(tmp_path: Path) -> None:
    """After it the rate is so high that nothing is left of what was learned."""
    recipe, seen = recipe_of(tmp_path), Measured()
    rate = "learning_rate = exponential(1e-3 -> 100, over = start..end)"
    recipe.write_text(recipe.read_text("utf-8").replace(RATE, rate), "utf-8")
    run(recipe, tmp_path / "out", seen)
    inside = {step: value for step, value in seen.values.items() if step is not None}
    assert min(inside, key=lambda s: inside[s]) < SINCE <= record(tmp_path / "out")["best"]["sparse"]["step"]


def test_the_weights_are_those_of_that_step(whole, tmp_path: Path) -> None:
    """Of a run without `keep_best` that stops there."""
    folder, _ = whole
    step = record(folder / "out")["best"]["sparse"]["step"]
    path = recipe_of(tmp_path, "")

    class Stop(Reporter):
        def stepped(self, stage, number, loss, rate, sparsity) -> None:
            if (stage.name, number) == ("sparse", step):
                os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted):
        run(path, tmp_path / "out", Stop())
    newest = tmp_path / "out" / "checkpoints" / f"stage-01-step-{step:08d}"
    there, here = load_file(newest / "model.safetensors"), weights(folder / "out")
    assert same(there, {n: here[n] for n in there})
    assert sum(int((t == 0).sum()) for t in here.values()) > 0


@pytest.mark.parametrize("steps", [1, 5])
def test_interrupted_after_steps_it_is_the_same(whole, steps: int, tmp_path: Path) -> None:
    folder, _ = whole
    assert stopped_often(recipe_of(tmp_path), tmp_path / "out", steps) > 2
    assert same(weights(tmp_path / "out"), weights(folder / "out"))
    assert record(tmp_path / "out")["best"] == record(folder / "out")["best"]


@pytest.mark.parametrize("number", [5, 6, 8, 9])
def test_interrupted_inside_a_measurement_it_is_the_same(whole, number: int, tmp_path: Path) -> None:
    """The first two are of the stage before, the eighth is that of the last step, the ninth that of the stage's end."""
    folder, _ = whole
    recipe = recipe_of(tmp_path)
    with pytest.raises(Interrupted):
        run(recipe, tmp_path / "out", Measured(number))
    run(recipe, tmp_path / "out", resume=True)
    assert same(weights(tmp_path / "out"), weights(folder / "out"))
    assert record(tmp_path / "out")["best"] == record(folder / "out")["best"]


def test_a_checkpoint_without_its_best_weights_is_not_used(tmp_path: Path) -> None:
    from recipelang.engine.fitting import unfit
    from recipelang.engine.models import load_model
    from recipelang.engine.position import Position

    recipe = recipe_of(tmp_path)
    _, plan, _ = planned(str(recipe), read_around([]))
    with pytest.raises(Interrupted):
        run(recipe, tmp_path / "out", Measured(6))
    newest = sorted((tmp_path / "out" / "checkpoints").iterdir())[-1]
    body = json.loads((newest / "state.json").read_text("utf-8"))
    position = Position(**{k: v for k, v in body.items() if k not in ("format", "python")})
    weights_, state = load_file(newest / "model.safetensors"), load_file(newest / "state.safetensors")
    model = load_model(Path(plan.model.path), plan.model, plan.seed)
    assert unfit(weights_, state, model, plan, position) is None
    kept = [n for n in state if n.startswith("best/weight/")]
    assert len(kept) == len(weights_)
    less = {n: t for n, t in state.items() if n != kept[0]}
    assert "of the best weights" in str(unfit(weights_, less, model, plan, position))
    pruned = next(n for n in state if n.startswith("best/mask/"))
    name = pruned.removeprefix("best/mask/")
    revived = {**state, f"best/weight/{name}": torch.ones_like(state[f"best/weight/{name}"])}
    assert "is not zero where its mask is zero" in str(unfit(weights_, revived, model, plan, position))
    position.best = {}
    assert "does not belong there" in str(unfit(weights_, state, model, plan, position))


def test_the_next_stage_goes_on_with_the_best(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path)
    text = recipe.read_text("utf-8")
    more = "stage after {\n  length = 1 step, batch = 8, learning_rate = 0\n"
    more += "  prune p { targets = @linear & @encoder, method = hold }\n}\n"
    recipe.write_text(text.replace("evaluate dev", more + "\nevaluate dev"), "utf-8")
    seen = Measured()
    run(recipe, tmp_path / "out", seen)
    told = record(tmp_path / "out")
    assert told["metrics"]["stage.after.dev.perplexity"] == told["best"]["sparse"]["value"]


# ------------------------------------------------------------------------- plans
def plan_of(recipe: Path):
    return planned(str(recipe), read_around([]))[1]


def test_the_plan_says_from_when_on_it_counts(tmp_path: Path) -> None:
    best = plan_of(recipe_of(tmp_path)).stages[1].best
    assert (best.path, best.since, best.every, best.falls) == ("dev.perplexity", SINCE, 3, True)
    assert [*best.counted(STEPS)] == [9, 12, 15]


def test_data_that_chooses_weights_is_in_the_behaviour_digest(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    with_it, without = recipe_of(tmp_path), recipe_of(tmp_path / "b", "")
    for path in (with_it, without):  # whose meaning no split decides
        columns = 'max_length = 24 tokens\n  columns { text = "text" }'
        path.write_text(path.read_text("utf-8").replace("max_length = 24 tokens", columns), "utf-8")
    before = [plan_of(p).behaviour_digest for p in (with_it, without)]
    for folder in (tmp_path, tmp_path / "b"):
        rows = (folder / "dev.jsonl").read_text("utf-8").splitlines()
        (folder / "dev.jsonl").write_text("\n".join(rows[:-3]) + "\n", "utf-8")
    after = [plan_of(p).behaviour_digest for p in (with_it, without)]
    assert before[0] != after[0] and before[1] == after[1]


def test_how_it_is_measured_is_in_the_behaviour_digest(tmp_path: Path) -> None:
    first = plan_of(recipe_of(tmp_path)).behaviour_digest
    assert plan_of(recipe_of(tmp_path, evaluate="every = 2 steps")).behaviour_digest != first
    assert plan_of(recipe_of(tmp_path, evaluate="every = 3 steps, samples = 8 samples")).behaviour_digest != first


def test_what_counts_only_at_the_end_is_refused(tmp_path: Path) -> None:
    for evaluate in ("every = 20 steps", "every = 8 steps"):
        recipe = recipe_of(tmp_path, evaluate=evaluate)
        if evaluate == "every = 8 steps":
            recipe.write_text(recipe.read_text("utf-8").replace("over = 0%..40%", "over = 0%..100%"), "utf-8")
        with pytest.raises(RecipeError) as refused:
            plan_of(recipe)
        assert [d.code for d in refused.value.diagnostics if d.severity == "error"] == ["E258"]


@pytest.mark.parametrize(
    "change",
    [
        (("method = magnitude", "method = redrawn_movement(learning_rate = 1e-2)")),
        (("method = magnitude", "method = movement")),
        (("distill", "distill")),
        (
            (
                "  prune weights",
                "  adapter low { method = lora(rank = 4), targets = @linear & @encoder }\n  prune weights",
            )
        ),
    ],
    ids=["redrawn", "movement", "plain", "adapter"],
)
def test_what_a_method_does_at_the_end_of_a_stage_leaves_the_best_weights(change, tmp_path: Path) -> None:
    """Measured again behind the end, the weights are as good as they were at that step, and have the zeros of the plan."""
    recipe, seen = recipe_of(tmp_path), Measured()
    text = recipe.read_text("utf-8").replace(*change).replace("over = 0%..40%", "over = 10%..40%")
    recipe.write_text(text, "utf-8")
    result = run(recipe, tmp_path / "out", seen)
    told = record(tmp_path / "out")["best"]["sparse"]
    assert seen.values[None] == told["value"] == seen.values[told["step"]]
    plan = planned(str(recipe))[1]
    (prune,) = plan.stages[1].prunes
    assert [result.measurements.zeros[t.name] for t in prune.targets] == list(prune.events[-1].zeros)
    assert stopped_often(recipe, tmp_path / "cut", 5) > 2
    assert same(weights(tmp_path / "cut"), weights(tmp_path / "out"))

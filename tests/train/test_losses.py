"""Label smoothing and class weights: torch's own cross-entropy, however a batch is cut, in a run and in a loop of one's own."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import recipelang
from recipelang.engine.losses import CrossEntropy, loss_of
from recipelang.engine.models import load_model
from recipelang.engine.order import batches
from recipelang.engine.shares import scaled
from recipelang.loading.plan import planned
from recipelang.loading.read import read_around
from recipelang.planning.data import load_split
from recipelang.planning.loss_plan import LossPlan
from recipelang.planning.losses import balanced
from recipelang.source import RecipeError
from recipelang.tasks import task_of
from recipelang.tasks.encoding import IGNORED

from ..other_tasks import make_task
from .steps import Steps, run, same, stopped_often, weights as weights_of

BOTH = LossPlan(label_smoothing=0.1, class_weights=(0.5, 1.0, 3.0))
SMOOTH = LossPlan(label_smoothing=0.25)


def drawn(*shape: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(len(shape))
    logits = torch.randn(*shape, generator=generator).requires_grad_()
    labels = torch.randint(0, shape[-1], shape[:-1], generator=generator)
    return logits, labels


@pytest.mark.parametrize("plan", [BOTH, SMOOTH])
def test_a_batch_of_texts_is_torchs_own_cross_entropy(plan: LossPlan) -> None:
    logits, labels = drawn(8, 3)
    weight = torch.tensor(plan.class_weights) if plan.class_weights else None
    expected = F.cross_entropy(logits, labels, weight=weight, label_smoothing=plan.label_smoothing)
    ours = CrossEntropy(plan, "classes", frozenset())(SimpleNamespace(logits=logits), {"labels": labels})
    assert torch.equal(ours, expected)


def test_tags_leave_out_what_is_no_first_token_and_the_next_token_is_shifted() -> None:
    logits, labels = drawn(4, 6, 3)
    labels[:, ::2] = IGNORED
    tags = CrossEntropy(BOTH, "classes", frozenset())(SimpleNamespace(logits=logits), {"labels": labels})
    there = labels >= 0
    weight = torch.tensor(BOTH.class_weights)
    assert torch.allclose(tags, F.cross_entropy(logits[there], labels[there], weight=weight, label_smoothing=0.1))
    following = CrossEntropy(SMOOTH, "next", frozenset())(SimpleNamespace(logits=logits), {"labels": labels})
    shifted = labels[:, 1:] >= 0
    expected = F.cross_entropy(logits[:, :-1][shifted], labels[:, 1:][shifted], label_smoothing=0.25)
    assert torch.allclose(following, expected)


def test_a_choice_that_a_question_lacks_takes_no_part() -> None:
    """By hand: the mean of -log p over the choices that are there, in doubles."""
    logits, _ = drawn(2, 4)
    labels = torch.tensor([1, 3])
    less = logits.detach().clone()
    less[0, 2:] = -torch.inf
    less.requires_grad_()
    ours = CrossEntropy(SMOOTH, "choices", frozenset())(SimpleNamespace(logits=less), {"labels": labels})
    each = []
    for row, label, many in ((logits[0, :2], 1, 2), (logits[1], 3, 4)):
        logp = row.detach().double().log_softmax(0)
        each.append(-0.75 * logp[label] - 0.25 * logp.sum() / many)
    assert float(ours.detach()) == pytest.approx(float(sum(each)) / 2, abs=1e-6)
    ours.backward()
    assert less.grad is not None and torch.isfinite(less.grad).all() and not less.grad[0, 2:].any()


@pytest.mark.parametrize(("plan", "shape"), [(BOTH, (12, 3)), (BOTH, (12, 5, 3)), (SMOOTH, (12, 5, 3))])
def test_a_batch_in_parts_is_the_whole_batch(plan: LossPlan, shape: tuple[int, ...]) -> None:
    logits, labels = drawn(*shape)
    if labels.dim() > 1:
        labels[1:7, 1:] = IGNORED  # rows of other lengths
    loss = CrossEntropy(plan, "classes", frozenset())
    whole = loss(SimpleNamespace(logits=logits), {"labels": labels})
    counts = loss.counts({"labels": labels.numpy()})
    assert counts is not None
    parts = [slice(0, 2), slice(2, 7), slice(7, 12)]
    cut = [
        scaled(loss(SimpleNamespace(logits=logits[p]), {"labels": labels[p]}), counts, p) * ((p.stop - p.start) / 12)
        for p in parts
    ]
    torch.testing.assert_close(sum(cut), whole)
    torch.testing.assert_close(*(torch.autograd.grad(x, logits, retain_graph=True)[0] for x in (sum(cut), whole)))


def test_balanced_weights_make_all_classes_count_alike() -> None:
    counts = [7, 30, 3]
    weights = balanced(counts, ["a", "b", "c"])
    assert weights == tuple(float(Fraction(40, 3 * n)) for n in counts)
    assert {round(w * n, 9) for w, n in zip(weights, counts, strict=True)} == {round(40 / 3, 9)}


# ------------------------------------------------------------------------- runs
def recipe_of(folder: Path, task: str, line: str, distill: str = "") -> Path:
    path = make_task(folder, task, distill=distill)
    text = path.read_text("utf-8").replace(
        f"task = {task} }}", f"task = {task}, dropout = 0%, attention_dropout = 0% }}"
    )
    path.write_text(text.replace("  batch = 8\n", f"  batch = 8\n  {line}\n"), "utf-8")
    return path


def first_batch(recipe: Path) -> tuple[Any, dict[str, Tensor], Any]:
    """Plan, model inputs of the first step, and the model that takes it."""
    _, plan, _ = planned(str(recipe), read_around([]))
    _, features = load_split(plan.data[0], "train", Path(plan.model.path))
    rows = next(iter(batches(plan.stages[0], len(features), True, plan.stages[0].seed, 0, 1)))
    model = load_model(Path(plan.model.path), plan.model, plan.seed).eval()
    return plan, {k: torch.from_numpy(v) for k, v in features.batch(rows).items()}, model


@pytest.mark.parametrize("task", ["sequence_classification", "token_classification"])
def test_a_run_trains_on_the_weighted_loss_however_it_is_cut(task: str, tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, task, "label_smoothing = 10%, class_weights = balanced")
    plan, batch, model = first_batch(recipe)
    loss = plan.stages[0].loss
    _, features = load_split(plan.data[0], "train", Path(plan.model.path))
    labels = features.labels[features.labels >= 0]  # type: ignore[attr-defined]
    assert loss.class_counts == tuple(np.bincount(labels)) and sum(loss.class_counts) == len(labels)
    whole, cut = Steps(), Steps()
    run(recipe, tmp_path / "whole", whole)
    run(recipe, tmp_path / "cut", cut, params=("micro=2",))
    with torch.no_grad():
        logits = model(**{k: v for k, v in batch.items() if k != "labels"}).logits.flatten(0, -2)
    weight = torch.tensor(loss.class_weights)
    expected = F.cross_entropy(logits, batch["labels"].flatten(), weight=weight, label_smoothing=0.1)
    assert whole.losses[0] == pytest.approx(float(expected), rel=1e-6)
    assert cut.losses == pytest.approx(whole.losses, rel=1e-4)
    assert abs(float(F.cross_entropy(logits, batch["labels"].flatten())) - float(expected)) > 1e-5


def test_with_a_teacher_interrupted_and_resumed_is_uninterrupted(tmp_path: Path) -> None:
    teacher = "distill { teacher = stage.dense, hardness = 50%, temperature = 2 }"
    recipe = recipe_of(tmp_path, "sequence_classification", 'class_weights = ["1" -> 4]', teacher)
    run(recipe, tmp_path / "whole")
    assert stopped_often(recipe, tmp_path / "cut", 4) >= 2
    assert same(weights_of(tmp_path / "cut"), weights_of(tmp_path / "whole"))


@pytest.mark.parametrize("task", ["masked_lm", "multiple_choice"])
def test_other_tasks_smooth_their_labels(task: str, tmp_path: Path) -> None:
    told = Steps()
    recipe = recipe_of(tmp_path, task, "label_smoothing = 20%")
    run(recipe, tmp_path / "out", told)
    assert len(told.losses) in (12, 13) and all(np.isfinite(told.losses))


# ------------------------------------------------------------------------ loops
def test_a_loop_of_ones_own_is_the_engine_bit_for_bit(tmp_path: Path) -> None:
    line = 'label_smoothing = 10%, class_weights = ["2" -> 3]'
    recipe = recipe_of(tmp_path, "sequence_classification", line)
    text = recipe.read_text("utf-8")
    start, end = text.index("stage dense"), text.index("stage sparse")
    recipe.write_text(text[:start] + text[end:], "utf-8")
    run(recipe, tmp_path / "out")
    plan, _, model = first_batch(recipe)
    _, features = load_split(plan.data[0], "train", Path(plan.model.path))
    stage = plan.stages[0]
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0, fused=True, **stage.optimizer_args)
    named = dict(model.named_parameters())
    spared = [named[n] for n in stage.undecayed]
    others = [p for n, p in named.items() if n not in stage.undecayed]
    optimizer = torch.optim.AdamW(
        [{"params": others}, {"params": spared, "weight_decay": 0.0}], lr=0.0, fused=True, **stage.optimizer_args
    )
    pruning = recipelang.attach(recipe, model.train(), optimizer, steps_per_epoch=stage.steps_per_epoch)
    assert pruning.plan.loss == stage.loss
    for rows in batches(stage, len(features), True, stage.seed, 0, stage.steps):
        batch = {k: torch.from_numpy(v) for k, v in features.batch(rows).items()}
        pruning.step_start()
        outputs = model(**batch)
        pruning.loss(outputs.loss, outputs, batch).backward()
        pruning.gradients()
        torch.nn.utils.clip_grad_norm_(model.parameters(), stage.clip)
        optimizer.step()
        optimizer.zero_grad()
        pruning.step_end()
    pruning.end()
    assert same({n: p.detach() for n, p in model.named_parameters()}, weights_of(tmp_path / "out"))


def test_a_loop_that_never_asks_for_the_loss_or_has_no_labels_is_told(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, "sequence_classification", "label_smoothing = 10%")
    _, batch, model = first_batch(recipe)
    pruning = recipelang.attach(
        recipe, model.train(), torch.optim.AdamW(model.parameters()), steps_per_epoch=5, stage="dense"
    )
    pruning.step_start()
    outputs = model(**batch)
    with pytest.raises(RecipeError, match=r"E086.*needs `labels`"):
        pruning.loss(outputs.loss, outputs, {k: v for k, v in batch.items() if k != "labels"})
    outputs.loss.backward()
    pruning._losses = 0
    with pytest.raises(RecipeError, match=r"E086.*never called `pruning.loss`"):
        pruning.gradients()


def test_counts_are_refused_in_a_loop(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, "sequence_classification", "class_weights = balanced")
    _, _, model = first_batch(recipe)
    with pytest.raises(RecipeError, match="E256"):
        recipelang.attach(recipe, model, torch.optim.AdamW(model.parameters()), steps_per_epoch=5, stage="dense")


def test_a_model_need_not_compute_a_loss_that_nobody_asks_for() -> None:
    assert loss_of(SMOOTH, task_of("causal_lm")).withheld == {"labels"}
    assert not loss_of(SMOOTH, task_of("text_to_text")).withheld, "of its labels a decoder's inputs are made"
    assert not loss_of(None, task_of("causal_lm")).withheld

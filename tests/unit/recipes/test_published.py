"""The published oBERT set: every recipe of it against the file it transcribes, event by event and step by step."""

import json

import pytest

from recipelang.loading.plan import planned
from recipelang.loading.read import read_around
from recipelang.schedules.stepwise import at
from tests.model_configs import make_config, pretend
from tests.unit.recipes.published import modifiers, named, rates, sparsities

LABELS = ("entailment", "neutral", "contradiction")
PRUNED = {
    "squad-90": "30epochs_unstructured90_squad",
    "squad-97": "30epochs_unstructured97_squad",
    "squad-4block-80": "30epochs_4block80_squad",
    "squad-4block-90": "30epochs_4block90_squad",
    "squad-init30-80": "30epochs_init30_unstructured80_squad",
    "squad-init30-90": "30epochs_init30_unstructured90_squad",
    "squad-init30-4block-90": "30epochs_init30_4block90_squad",
    "mnli-80": "30epochs_unstructured80_mnli",
    "mnli-97": "30epochs_unstructured97_mnli",
    # the paper gives QQP the recipe of MNLI
    "qqp-80": "30epochs_unstructured80_mnli",
    "qqp-97": "30epochs_unstructured97_mnli",
    "mlm-97": "3epochs_unstructured97_mlm",
}
#: not among the files: the one that differs in the final sparsity alone
DERIVED = {
    "squad-80": ("30epochs_unstructured97_squad", {"final_sparsity": 0.8}),
    "squad-init30-4block-80": ("30epochs_init30_4block90_squad", {"final_sparsity": 0.8}),
    "mnli-90": ("30epochs_unstructured97_mnli", {"final_sparsity": 0.9}),
    "qqp-90": ("30epochs_unstructured97_mnli", {"final_sparsity": 0.9}),
    "mlm-90": ("3epochs_unstructured97_mlm", {"final_sparsity": 0.9}),
}
UNPRUNED = {
    "squad-dense": "30epochs_dense_squad",
    "transfer-squad": "8epochs_sparse_transfer_squad",
    "transfer-mnli": "8epochs_sparse_transfer_mnli",
    "transfer-qqp": "8epochs_sparse_transfer_mnli",
}
TASKS = {"squad": "question_answering", "mlm": "masked_lm"}
BATCH = {"squad": 16, "mlm": 256}


PAIRS = [{"sentence1": "a", "sentence2": "b", "label": label} for label in LABELS]
ROWS = {
    "squad": [{"id": "1", "question": "a", "context": "b", "answers": {"text": ["b"], "answer_start": [0]}}],
    "mlm": [{"text": "a b"}],
}


def original(shared, name):
    (file,) = (shared / "corpus" / "files").glob(f"*-{name}.yaml")
    return modifiers(file)


def stage_of(name, per_epoch, tmp_path, monkeypatch):
    """The one stage of a recipe of the set, with this many steps an epoch."""
    kind = next(p for p in name.split("-") if p in ("squad", "mlm", "mnli", "qqp"))
    task = TASKS.get(kind, "sequence_classification")
    pretend(monkeypatch, per_epoch * BATCH.get(kind, 32))
    model = make_config(tmp_path / "model", "bert-base", task, LABELS if kind in ("mnli", "qqp") else ())
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS.get(kind, PAIRS)), "utf-8")
    data = tmp_path / "data.jsonl"
    given = [f"base={model}", f"teacher={model}", f"train={data}", f"dev={data}"]
    given += [f"other={data}"] if kind == "mnli" else []
    _, plan, _ = planned(f"lib://obert/{name}", read_around(given), advice=False)
    (stage,) = plan.stages
    assert stage.steps_per_epoch == per_epoch
    return stage


def pruning_of(published):
    (found,) = named(published, "OBSPruningModifier")
    return found


@pytest.mark.parametrize("name", [*PRUNED, *DERIVED])
def test_sparsity_is_that_of_the_original_at_every_event(shared, tmp_path, monkeypatch, name):
    file, changed = DERIVED.get(name, (PRUNED.get(name), {}))
    published = original(shared, file)
    pruning_of(published).update(changed)
    stage = stage_of(name, 20, tmp_path, monkeypatch)
    (prune,) = stage.prunes
    theirs = sparsities(published, 20)
    assert len(theirs) == (12 if "mlm" in name else 7)
    assert [e.step for e in prune.events] == [step for step, _ in theirs]
    assert [e.sparsity for e in prune.events] == pytest.approx([s for _, s in theirs], abs=1e-12)


@pytest.mark.parametrize("name", [*PRUNED, *DERIVED, *UNPRUNED])
def test_learning_rate_is_that_of_the_original_at_every_step(shared, tmp_path, monkeypatch, name):
    published = original(shared, PRUNED.get(name) or UNPRUNED.get(name) or DERIVED[name][0])
    stage = stage_of(name, 20, tmp_path, monkeypatch)
    theirs = rates(published, 20)
    ours = [at(stage.learning_rate, step) for step in range(stage.steps)]
    assert len(ours) == len(theirs)
    assert max(abs(mine - peer) for mine, peer in zip(ours, theirs, strict=True)) <= 1e-18


@pytest.mark.parametrize("name", [*PRUNED, *DERIVED, *UNPRUNED])
def test_everything_else_is_that_of_the_original(shared, tmp_path, monkeypatch, name):
    published = original(shared, PRUNED.get(name) or UNPRUNED.get(name) or DERIVED[name][0])
    stage = stage_of(name, 20, tmp_path, monkeypatch)
    (kd,) = named(published, "DistillationModifier")
    (distill,) = stage.distills
    assert [(s.start, s.end) for s in distill.hardness] == [(kd["hardness"],) * 2]
    assert [(s.start, s.end) for s in distill.temperature] == [(kd["temperature"],) * 2]
    assert [t.output for t in distill.terms] == ["logits"]  # of question answering start and end
    if name == "squad-dense":
        assert not stage.prunes
        return
    (prune,) = stage.prunes
    assert len(prune.targets) == 72 and not any(t.purpose in ("embeddings", "head", "pooler") for t in prune.targets)
    if name.startswith("transfer"):
        assert prune.method == "hold" and named(published, "ConstantPruningModifier")
        return
    theirs = pruning_of(published)
    assert (prune.method, prune.scope) == ("obert", "global") and theirs["global_sparsity"]
    block = (prune.pattern, prune.pattern_size) if prune.pattern == "block" else prune.pattern
    assert block == {"unstructured": "unstructured", "block4": ("block", (1, 4))}[theirs["mask_type"]]
    assert prune.args["block"] == theirs["fisher_block_size"]
    assert prune.args["gradients"] == theirs["num_grads"] and prune.args["damp"] == theirs["damp"]
    assert prune.args["batch"] == theirs["grad_sampler_kwargs"]["batch_size"]


@pytest.mark.parametrize("per_epoch", [5533, 7])
def test_events_do_not_depend_on_the_steps_of_an_epoch(shared, tmp_path, monkeypatch, per_epoch):
    """5,533 is an epoch of SQuAD. Whole epochs are whole steps, whatever their number."""
    stage = stage_of("squad-90", per_epoch, tmp_path, monkeypatch)
    published = original(shared, PRUNED["squad-90"])
    assert [e.step for e in stage.prunes[0].events] == [step for step, _ in sparsities(published, per_epoch)]
    assert list(stage.learning_rate[1].cycles) == [step * per_epoch for step in range(2, 30, 4)]


def test_quarters_of_an_epoch_that_are_no_whole_steps_differ_by_less_than_a_step_each(shared, tmp_path, monkeypatch):
    """Theirs takes the next whole step, and counts the next quarter from there; ours rounds each by itself."""
    stage = stage_of("mlm-97", 22, tmp_path, monkeypatch)
    theirs = sparsities(original(shared, PRUNED["mlm-97"]), 22)
    ours = [(e.step, e.sparsity) for e in stage.prunes[0].events]
    assert ours != theirs
    assert all(abs(mine - k * 5.5) <= 0.5 for k, (mine, _) in enumerate(ours))
    # behind by half a step at the first quarter, and by half a step more at every later one
    assert theirs[1][0] == 6 and theirs[4][0] == 24 and ours[4][0] == 22
    assert ours[-1][1] == theirs[-1][1] == 0.97

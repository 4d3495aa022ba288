"""Every recipe plans for models of full size, as far as their families go, and the plan keeps the rules."""

import io
import json
import math

import pytest
from rich.console import Console

from recipelang.lint import judge, levels_for, read_plan
from recipelang.loading.locking import beside
from recipelang.loading.read import check_all, read_around, read_source
from recipelang.report import prune_screen
from tests.decoders import chat, write_instruct_tokenizer
from tests.model_configs import make_config, pretend, walk_here
from tests.unit.recipes.test_library import LIBRARY, RECIPES

#: an epoch of SQuAD at batch 16
INPUTS = 88_524
TASKS = [str(path.relative_to(LIBRARY).with_suffix("")) for path in RECIPES if path.stem != "quickstart"]
DECODERS = (
    "oneshot/adapters-50",
    "oneshot/alps-50",
    "oneshot/owl-70",
    "oneshot/reconstructed-60",
    "oneshot/decoder-50",
    "oneshot/magnitude-50",
    "oneshot/sparsegpt-50",
    "oneshot/wanda-50",
    "chat/instruct-50",
)
#: those that shrink, and types whose layers are alike and whose config has a size of the feed-forward blocks
SMALLER = {
    "shrink/decoder": ("llama-1b", "qwen2-0.5b", "mistral-7b"),
    "shrink/experts": ("qwen2-moe",),
    "shrink/sst2": ("bert-base", "roberta-large", "electra-base"),
    "shrink/squad": ("bert-base", "roberta-large", "deberta-v3-base"),
}
#: of models of an encoder and a decoder
TWO_STACKS = ("cnn/summaries-50",)
#: of every family: they ask for layers, whichever
ANY = ("baselines/magnitude", "baselines/movement", "baselines/rigl", "baselines/soft-movement")
#: of the types that are read from the model class, one for each recipe in turn
READ = ("modernbert-base", "electra-base", "deberta-v3-base")
#: the layers of each, and the matrices that a layer has
LAYERS = {
    "bert-base": (12, 6),
    "roberta-large": (24, 6),
    "llama-1b": (16, 7),
    "modernbert-base": (22, 4),
    "electra-base": (12, 6),
    "deberta-v3-base": (12, 6),
    "gpt2": (12, 4),
    "qwen2-0.5b": (24, 7),
    "mistral-7b": (32, 7),
    "t5-small": (6, 16),
    "bart-base": (6, 16),
    "mt5-small": (8, 18),
}
ENCODED = [name for name in TASKS if name not in (*DECODERS, *SMALLER, *TWO_STACKS)]
CASES = [
    *((name, model) for name in ENCODED for model in ("bert-base", "roberta-large")),
    *((name, READ[i % len(READ)]) for i, name in enumerate(ENCODED)),
    *((name, model) for name in DECODERS for model in ("llama-1b", "gpt2", "qwen2-0.5b")),
    *((name, model) for name, models in SMALLER.items() for model in models),
    *((name, model) for name in TWO_STACKS for model in ("t5-small", "bart-base", "mt5-small")),
    ("oneshot/sparsegpt-50", "mistral-7b"),
    *((name, "llama-1b") for name in ANY),
]
#: what is said of models of 12 layers and more where a recipe is for 6: the first step
SAID = {
    "obert/squad-init30-90": {"L013"},
    "obert/squad-init30-4block-90": {"L013"},
    "studies/smc-way": {"L013"},
    "studies/smc-guided": {"L013"},
}
PRUNES_NOTHING = {"obert/squad-dense", "studies/fine-tuned"}
ROW = {"sentence1": "a", "sentence2": "b", "label": 0, "tokens": ["a"], "ner_tags": ["B-X"], "question": "q"}


def plan_of(name, model, tmp_path, monkeypatch, *extra):
    """The plan of a recipe of the library for a model, and what the rules say of it."""
    source = read_source(f"lib://{name}")
    free = {p.name for p in check_all(source, {}).recipe.params}
    task = check_all(source, {}).recipe.model.task
    pretend(monkeypatch, INPUTS)
    walk_here(monkeypatch)
    labels = (
        ("no", "yes") if task == "sequence_classification" else ("O", "B-X") if task == "token_classification" else ()
    )
    labels = ("LABEL_0",) if task == "regression" else labels
    folder = make_config(tmp_path / "model", model, task, labels)
    rows = [ROW | {"label": label, "ner_tags": [tag]} for label, tag in ((0, "O"), (1, "B-X"))]
    if labels == ("no", "yes"):  # by name, as numbers could be in another order than the model's
        rows = [row | {"label": name} for row, name in zip(rows, labels, strict=True)]
    if labels == ("O", "B-X"):
        rows = [{k: r[k] for k in ("tokens", "ner_tags")} for r in rows]
    if task == "question_answering":
        rows = [{"question": "q", "context": "a b", "answers": {"text": ["b"], "answer_start": [2]}}]
    if name.startswith("chat/"):
        rows = [{"messages": chat("a", "b")}]
        write_instruct_tokenizer(folder)
    if task == "sentence_similarity":
        rows = [{"anchor": "a", "positive": "b", "negative": "c"}]
    if task == "text_to_text":
        rows = [{"article": "a b", "highlights": "a"}]
    teacher = make_config(tmp_path / "teacher", model, task, labels)
    values = {"base": folder, "teacher": teacher}
    for part in ("train", "dev", "other"):
        values[part] = tmp_path / f"{part}.jsonl"
        values[part].write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    values["scored"] = tmp_path / "scored.jsonl"
    rows = [{"sentence1": "a", "sentence2": "b", "score": score} for score in (0, 1)]
    values["scored"].write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    given = [f"{name}={value}" for name, value in values.items() if name in free]
    checked = check_all(source, read_around([*given, *extra]).given, complete=True)
    assert [f"{d.code} {d.message}" for d in checked.diagnostics] == []
    plan, absent = read_plan(checked.recipe, beside(source.name), checked.diagnostics)
    assert [d.code for d in checked.diagnostics] == ["W103"] * (name in PRUNES_NOTHING) and absent is None
    return plan, judge(checked, plan, levels_for(beside(source.name), {}), as_written=False)


@pytest.mark.parametrize(("name", "model"), CASES)
def test_recipe_plans_and_keeps_the_rules(tmp_path, monkeypatch, name, model):
    reads = {"gpt2": 1024, "qwen2-moe": 64}
    shorter = [f"max_length={reads[model]} tokens"] if model in reads else []  # it reads no more
    plan, found = plan_of(name, model, tmp_path, monkeypatch, *shorter)
    assert [f"{d.code} {d.message}" for d in found if d.code not in SAID.get(name, set())] == []
    last = [p for p in plan.stages[-1].prunes if p.targets]
    everything = name in ("studies/smc-way", "commonsenseqa/smc")
    if last and not everything:
        assert {t.purpose for t in last[0].targets}.isdisjoint({"embeddings", "head"})
        assert len(last[0].targets) == math.prod(LAYERS[model])


def test_the_router_of_a_mixture_stays_dense(tmp_path, monkeypatch):
    plan, _ = plan_of("oneshot/magnitude-50", "qwen2-moe", tmp_path, monkeypatch, "max_length=64 tokens")
    (prune,) = plan.stages[0].prunes
    assert {t.purpose for t in prune.targets} == {"other matrices"}
    (router,) = (d for d in prune.dense if d.what == "router")
    assert router.tensors == 4  # a linear layer that weighs the shared expert, too
    shown = Console(width=120, file=io.StringIO())
    shown.print(prune_screen.targets(prune, plan.parameters()))
    assert "dense: router (not named)" in shown.file.getvalue()


@pytest.mark.parametrize(
    ("target", "layers", "epochs", "first", "events", "restarts"),
    [
        ("80%", 12, 10, 0.7, 13, [8]),
        ("90%", 12, 10, 0.7, 13, [8]),
        ("91%", 12, 30, 0.7, 7, [2, 6, 10, 14, 18, 22, 26]),
        ("97%", 12, 30, 0.7, 7, [2, 6, 10, 14, 18, 22, 26]),
        ("90%", 6, 10, 0.3, 13, [8]),
        ("60%", 24, 10, 0.3, 13, [8]),
        ("25%", 12, 10, 0.0, 13, [8]),
    ],
)
def test_schedule_follows_target_and_depth(tmp_path, monkeypatch, target, layers, epochs, first, events, restarts):
    extra = (f"target={target}", f"layers={layers}")
    plan, _ = plan_of("scaled/squad", "bert-base", tmp_path, monkeypatch, *extra)
    stage = plan.stages[1]
    (prune,) = stage.prunes
    assert stage.epochs == epochs and len(prune.events) == events
    assert prune.events[0].sparsity == first and prune.events[0].step == 2 * stage.steps_per_epoch
    assert f"{prune.events[-1].sparsity:.0%}" == target
    assert [k / stage.steps_per_epoch for k in stage.learning_rate[1].cycles] == restarts


def test_smc_has_the_four_events_of_its_code(tmp_path, monkeypatch):
    """A cubic over steps 300..2400, looked at every 500: what is left of the target at the last is 99.31 %."""
    plan, _ = plan_of("commonsenseqa/smc", "roberta-large", tmp_path, monkeypatch, "target=80%")
    (stage,) = plan.stages
    (prune,) = stage.prunes
    steps = [500, 1000, 1500, 2000]
    # what holds before the first `step` is said, too
    happening = [e for e in prune.events if e.sparsity]
    assert [e.step for e in happening] == steps and stage.steps == 3000
    wanted = [0.8 * (1 - (1 - (k - 300) / 2100) ** 3) for k in steps]
    assert [e.sparsity for e in happening] == pytest.approx(wanted, abs=1e-12)
    assert {"embeddings", "head"} <= {t.purpose for t in prune.targets} and prune.scope == "global"
    assert not stage.distills

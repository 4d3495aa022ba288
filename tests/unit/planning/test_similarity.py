"""Plans of embeddings: what acts is shown, and what a loss over a batch, a metric or a teacher cannot have is refused."""

import json

import pytest

from recipelang import processes
from recipelang.engine.start import may_start
from recipelang.loading.plan import planned
from recipelang.planning.facts import read_model_facts
from recipelang.report.plan_screen import full
from recipelang.source import RecipeError
from tests.conftest import make_model
from tests.model_folders import load, make_folder, save

RECIPE = """recipe 1 "similar"
model {{ base = "model", task = sentence_similarity }}
data {{ train = "train.json", validation = "dev.json", max_length = 16 tokens {data} }}
stage sparse {{
  length = 4 steps, batch = {batch}, learning_rate = constant(1e-3)
  {stage}
  prune weights {{ targets = @linear & @encoder, never = @embeddings, method = {method}, sparsity = 50% }}
}}
evaluate dev {{ {dev} }}
"""
ROWS = {
    "scores": [{"sentence1": "gold", "sentence2": "iron", "score": s} for s in (0, 0.5, 1, 1)],
    "pairs": [{"anchor": "gold", "positive": w} for w in ("the", "of", "is", "in")],
    "triples": [{"anchor": "gold", "positive": w, "negative": "a"} for w in ("the", "of", "is", "in")],
}
METRIC = {"scores": "spearman", "pairs": "mrr", "triples": "accuracy"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("similar")
    make_model(place / "model")
    return place


def plan_of(folder, kind, **words):
    dev = words.pop("dev", f"metrics = [{METRIC[kind]}]")
    rows = words.pop("rows", None) or ROWS[kind]
    for name in ("train", "dev"):
        (folder / f"{name}.json").write_text(json.dumps(rows), "utf-8")
    words = {"batch": 4, "stage": "", "data": "", "method": "magnitude", **words}
    (folder / "a.recipe").write_text(RECIPE.format(dev=dev, **words), "utf-8")
    return planned(str(folder / "a.recipe"))


def refused(folder, kind, **words):
    with pytest.raises(RecipeError) as error:
        plan_of(folder, kind, **words)
    (found,) = [d for d in error.value.diagnostics if d.code.startswith("E")]
    at = found.primary and found.primary.source.text[found.primary.span.start : found.primary.span.end]
    return found.code, at, " ".join((found.message, *found.notes, *found.help))


def shown(recipe, plan):
    from rich.console import Console

    console = Console(width=200, file=open("/dev/null", "w"), record=True)  # noqa: SIM115
    console.print(full(recipe, plan, 200))
    return console.export_text()


@pytest.mark.parametrize(
    ("kind", "loss"),
    [
        ("scores", "squared difference of cosine and score"),
        ("pairs", "among the pairs of its batch"),
        ("triples", "among the pairs and negatives of its batch"),
    ],
)
def test_the_plan_shows_the_loss_that_follows_from_the_columns(folder, kind, loss):
    recipe, plan, found = plan_of(folder, kind)
    assert {d.code for d in found} <= {"W101"}
    assert plan.model.pooling == "mean"
    assert not plan.model.fresh_head
    assert plan.data[0].sequences == (3 if kind == "triples" else 2)
    text = shown(recipe, plan)
    assert loss in text
    assert "embeddings are the mean of all tokens" in text
    assert "encoder.layer.*.output.dense" in text


def test_the_highest_score_is_in_plan_and_meaning(folder):
    rows = [{**row, "score": 5 * row["score"]} for row in ROWS["scores"]]
    recipe, plan, _ = plan_of(folder, "scores", rows=rows, data="\n max_score = 5")
    assert plan.data[0].meaning.max_score == 5
    assert "scores are divided by 5" in shown(recipe, plan)
    assert refused(folder, "scores", rows=rows)[0] == "E075"


@pytest.mark.parametrize("kind", ["pairs", "triples"])
def test_a_batch_whose_texts_are_compared_stays_whole(folder, kind, monkeypatch):
    code, at, said = refused(folder, kind, stage="micro_batch = 2")
    assert (code, at) == ("E055", "2")
    assert "other pairs of its batch" in said
    assert plan_of(folder, "scores", stage="micro_batch = 2")[1].stages[0].micro_batch == 2
    assert plan_of(folder, kind, stage="micro_batch = 4")[1].stages[0].micro_batch == 4
    plan = plan_of(folder, kind)[1]
    may_start(plan)
    monkeypatch.setattr(processes, "world", lambda: 2)
    with pytest.raises(RecipeError) as error:
        may_start(plan)
    assert error.value.diagnostics[0].code == "E055"
    assert "divide" in error.value.diagnostics[0].message


def test_scores_may_be_divided_among_processes(folder, monkeypatch):
    plan = plan_of(folder, "scores")[1]
    monkeypatch.setattr(processes, "world", lambda: 2)
    monkeypatch.setattr(processes, "each", lambda value: [value])
    may_start(plan)


@pytest.mark.parametrize(
    ("words", "at"),
    [({"batch": 1}, "1"), ({"method": "obert(batch = 1)"}, "obert(batch = 1)")],
)
def test_one_pair_has_nothing_to_be_compared_with(folder, words, at):
    assert refused(folder, "pairs", **words)[:2] == ("E054", at)
    assert plan_of(folder, "triples", **words)[1]
    assert plan_of(folder, "scores", **words)[1]


@pytest.mark.parametrize("kind", ["scores", "pairs", "triples"])
@pytest.mark.parametrize("metric", ["spearman", "mrr", "accuracy"])
def test_each_kind_of_data_has_its_metric(folder, kind, metric):
    if METRIC[kind] == metric:
        assert plan_of(folder, kind, dev=f"metrics = [{metric}]")[1].evaluations[0].metrics == (metric,)
        return
    code, at, said = refused(folder, kind, dev=f"metrics = [{metric}]")
    assert (code, at) == ("E054", f"[{metric}]")
    assert f"`metrics = [{METRIC[kind]}]`" in said


def test_spearman_is_measured_where_nothing_is_said(folder):
    assert plan_of(folder, "scores", dev="")[1].evaluations[0].metrics == ("spearman",)
    assert refused(folder, "triples", dev="")[0] == "E054"


@pytest.mark.parametrize("samples", ["", "samples = 2 samples, "])
def test_scores_without_ranks_are_refused_before_a_run(folder, samples):
    rows = [{**row, "score": s} for row, s in zip(ROWS["scores"], (1, 1, 1, 0) if samples else (1,) * 4, strict=True)]
    code, _, said = refused(folder, "scores", rows=rows, dev=f"{samples}metrics = [spearman]")
    assert code == "E054"
    assert "equal" in said


def test_a_setting_of_scores_is_refused_by_other_tasks(folder):
    text = RECIPE.replace("sentence_similarity", "masked_lm").format(
        data="\n max_score = 5", batch=4, stage="", method="magnitude", dev=""
    )
    (folder / "train.json").write_text('[{"text": "gold of peru"}]', "utf-8")
    (folder / "b.recipe").write_text(text, "utf-8")
    with pytest.raises(RecipeError) as error:
        planned(str(folder / "b.recipe"))
    assert error.value.diagnostics[0].code == "E054"
    assert "`max_score` does not apply to masked_lm" in error.value.diagnostics[0].message


# ------------------------------------------------------------------------ teachers
def test_a_teacher_has_its_own_pooling_and_any_labels(folder, tmp_path):
    teacher = make_model(tmp_path / "teacher", labels=5)
    (teacher / "1_Pooling").mkdir()
    (teacher / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}', "utf-8")
    words = f'distill {{ teacher = "{teacher}", on = embeddings, hardness = 50%, temperature = 1 }}'
    recipe, plan, _ = plan_of(folder, "triples", stage=words)
    (distill,) = plan.stages[0].distills
    assert (plan.model.pooling, distill.pooling) == ("mean", "cls")
    assert "no effect: embeddings are compared by cosine" in shown(recipe, plan)


def test_a_teacher_of_another_width_has_no_embeddings_to_compare(folder, tmp_path):
    teacher = make_model(tmp_path / "teacher", hidden=64)
    words = 'distill {{ teacher = "{}", on = {}, hardness = 50%, temperature = 1 }}'
    for on in ("logits", "embeddings"):
        assert refused(folder, "scores", stage=words.format(teacher, on))[0] == "E080"
    (term,) = plan_of(folder, "scores", stage=words.format(teacher, "hidden(-1)"))[1].stages[0].distills[0].terms
    assert term.widths == (32, 64)


def test_embeddings_are_the_only_outputs(folder):
    words = 'distill { teacher = "model", on = start_logits, hardness = 50%, temperature = 1 }'
    code, _, said = refused(folder, "scores", stage=words)
    assert code == "E054"
    assert "no `start_logits`" in said


@pytest.mark.parametrize(("on", "refused"), [("hidden(-1)", "hidden"), ("attention", "attention"), ("embeddings", "")])
def test_states_of_a_sharded_model_are_not_matched(folder, monkeypatch, on, refused):
    words = f'distill {{ teacher = "model", on = {on}, hardness = 50%, temperature = 1 }}'
    plan = plan_of(folder, "scores", stage=words)[1]
    monkeypatch.setattr(processes, "world", lambda: 2)
    monkeypatch.setattr(processes, "each", lambda value: [value])
    if not refused:
        may_start(plan, shard=True)
        return
    with pytest.raises(RecipeError) as error:
        may_start(plan, shard=True)
    (found,) = error.value.diagnostics
    assert (found.code, f"`{refused}`" in found.message) == ("E055", True)


# ------------------------------------------------------------------------- weights
@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "llama"])
@pytest.mark.parametrize("task", ["sequence_classification", "token_classification", "sentence_similarity"])
def test_the_body_of_any_model_is_used_and_its_head_listed(tmp_path, family, task):
    folder = make_folder(tmp_path / "m", family, task)
    facts = read_model_facts(folder, "sentence_similarity")
    assert facts.fresh == ()
    assert facts.strangers == ()
    assert {*facts.stored.values(), *facts.left_out} == set(load(folder))
    assert not any("head" in t.roles or "pooler" in t.roles for t in facts.tensors)
    assert all(t.layer is None or ".".join(("", t.name)).count(f".{t.layer}.") for t in facts.tensors)


@pytest.mark.parametrize("extra", ["encoder.layer.2.output.dense.weight", "bert.encoder.layer.2.output.dense.weight"])
def test_a_layer_beyond_the_config_is_refused(tmp_path, extra):
    task = "question_answering" if extra.startswith("bert") else "sentence_similarity"
    folder = make_folder(tmp_path / "m", "bert", task)
    tensors = load(folder)
    save(folder, {**tensors, extra: tensors[extra.replace(".2.", ".1.")]})
    with pytest.raises(RecipeError) as error:
        read_model_facts(folder, "sentence_similarity")
    assert error.value.diagnostics[0].code == "E076"
    assert "more layers" in error.value.diagnostics[0].message


@pytest.mark.parametrize(
    ("name", "expected"), [("encoder.layer.0.extra.weight", "E184"), ("regressor.weight", "stranger")]
)
def test_what_the_config_does_not_declare_is_refused_and_what_is_beside_the_model_is_told(tmp_path, name, expected):
    folder = make_folder(tmp_path / "m", "bert", "sentence_similarity")
    tensors = load(folder)
    save(folder, {**tensors, name: tensors["encoder.layer.0.output.dense.weight"]})
    if expected == "stranger":
        assert read_model_facts(folder, "sentence_similarity").strangers == (name,)
        return
    with pytest.raises(RecipeError) as error:
        read_model_facts(folder, "sentence_similarity")
    assert error.value.diagnostics[0].code == expected

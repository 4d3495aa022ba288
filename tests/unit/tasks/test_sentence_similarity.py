"""Embeddings: what columns mean, scores as shares of the highest, figures against references in fractions and loops."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from recipelang.source import RecipeError
from recipelang.tasks import sentence_similarity as task
from recipelang.tasks.correlation import spearman
from recipelang.tasks.meaning import Meaning
from recipelang.tasks.pooling import lower_cases, pooling_of
from tests.conftest import make_model

SCORED = [{"sentence1": "gold", "sentence2": "iron", "score": s} for s in (0, 0.5, 1)]
PAIRS = [{"anchor": "gold of peru", "positive": "the gold"}, {"anchor": "iron", "positive": "fe is iron"}]
TRIPLES = [{**row, "negative": "paris"} for row in PAIRS]


def opened(folder, rows, columns=None, max_score=None):
    (folder / "d.json").write_text(json.dumps(rows), "utf-8")
    table = task.TASK.read(str(folder / "d.json"), "train", columns, None)
    decided = task.decide({"train": table}, Meaning(columns=dict(columns or {}), max_score=max_score))
    found = task.TASK.open_split(str(folder / "d.json"), "train", columns, None, decided)
    return decided, found


def refused(folder, rows, columns=None, max_score=None):
    with pytest.raises(RecipeError) as error:
        opened(folder, rows, columns, max_score)
    (found,) = error.value.diagnostics
    return found.code, " ".join((found.message, *found.help, *found.notes))


# ------------------------------------------------------------------------ columns
@pytest.mark.parametrize(
    ("row", "columns", "form", "texts"),
    [
        ({"sentence1": "a", "sentence2": "b", "score": 1}, {}, "scores", ("a", "b")),
        ({"sentence_A": "a", "sentence_B": "b", "relatedness_score": 1}, {}, "scores", ("a", "b")),
        ({"idx": 3, "anchor": "a", "positive": "b"}, {}, "pairs", ("a", "b")),
        ({"anchor": "a", "positive": "b", "negative": "c"}, {}, "triples", ("a", "b", "c")),
        ({"query": "a", "positive": "b", "negative": "c"}, {}, "triples", ("a", "b", "c")),
        ({"premise": "a", "hypothesis": "b"}, {}, "pairs", ("a", "b")),
        ({"x": "a", "y": "b", "label": 1}, {"text": "x", "pair": "y", "score": "label"}, "scores", ("a", "b")),
        ({"x": "a", "y": "b", "label": 1}, {"text": "x", "pair": "y"}, "pairs", ("a", "b")),
        ({"anchor": "a", "y": "b"}, {"pair": "y"}, "pairs", ("a", "b")),
        ({"anchor": "a", "positive": "b", "n": "c"}, {"negative": "n"}, "triples", ("a", "b", "c")),
        ({"anchor": "a", "positive": "b", "negative": "c", "score": 1}, {"score": "score"}, "scores", ("a", "b")),
        (
            {"anchor": "a", "positive": "b", "negative": "c", "score": 1},
            {"negative": "negative"},
            "triples",
            tuple("abc"),
        ),
    ],
)
def test_columns_are_found_and_decide_what_is_trained(tmp_path, row, columns, form, texts):
    decided, found = opened(tmp_path, [row], columns)
    assert task.form(decided.columns) == form
    assert found[0].texts == texts
    assert (found[0].score is None) == (form != "scores")
    assert task.in_batch(decided.columns) == (form != "scores")


@pytest.mark.parametrize(
    ("rows", "columns", "most", "code", "said"),
    [
        ([{"premise": "a", "hypothesis": "b", "label": 0}], {}, None, "E074", 'score = "label"'),
        ([{"question1": "a", "question2": "b", "is_duplicate": 1}], {}, None, "E074", "is_duplicate"),
        ([{"anchor": "a", "positive": "b", "negative": "c", "score": 1}], {}, None, "E074", "scores and negatives"),
        (
            [{"anchor": "a", "positive": "b", "negative": "c", "score": 1}],
            {"score": "score", "negative": "negative"},
            None,
            "E074",
            "from `columns`",
        ),
        (PAIRS, {}, 5.0, "E074", "no scores"),
        (PAIRS, {"score": "points"}, None, "E074", "no column `points`"),
        ([{"a": "x"}], {}, None, "E074", "no column `text`"),
        ([{"anchor": "a", "positive": None}], {}, None, "E075", "not text"),
        ([{"anchor": "a", "positive": "b", "negative": "c"}, {"anchor": "a", "positive": "b"}], {}, None, "E075", "null"),
        ([{**SCORED[0], "score": s} for s in (1, "high")], {}, None, "E075", "text `high`"),
        ([{**SCORED[0], "score": s} for s in (1, None)], {}, None, "E075", "null"),
        ([{**SCORED[0], "score": s} for s in (1, True)], {}, None, "E075", "Boolean"),
        ([{**SCORED[0], "score": s} for s in (1, "nan")], {}, None, "E075", "not finite"),
        ([{**SCORED[0], "score": s} for s in (1, 3.2, 4.6)], {}, None, "E075", "`max_score = 5`"),
        ([{**SCORED[0], "score": s} for s in (1, -1.5)], {}, None, "E075", "`max_score = 2`"),
        ([{**SCORED[0], "score": s} for s in (1, 5.5)], {}, 5.0, "E075", "at most 5"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused(tmp_path, rows, columns, most, code, said):
    found = refused(tmp_path, rows, columns, most)
    assert found[0] == code
    assert said in found[1]


def test_scores_are_shares_of_the_highest(tmp_path):
    rows = [{**SCORED[0], "score": s} for s in (0, "2.5", 5)]
    assert [e.score for e in opened(tmp_path, rows, max_score=5.0)[1]] == [0, 0.5, 1]
    assert [e.score for e in opened(tmp_path, [{**SCORED[0], "score": s} for s in (-1, 0.25)])[1]] == [-1, 0.25]


# --------------------------------------------------------------------------- rows
@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    return task.load_tokenizer(make_model(tmp_path_factory.mktemp("m")))


@pytest.mark.parametrize(("rows", "texts"), [(SCORED, 2), (PAIRS, 2), (TRIPLES, 3)])
def test_an_item_has_a_sequence_for_every_text(tmp_path, reader, rows, texts):
    found = opened(tmp_path, rows)[1]
    features = task.featurize(found, reader, 16, 0)
    batch = features.batch(np.arange(len(rows)))
    assert batch["input_ids"].shape[:2] == batch["attention_mask"].shape[:2] == (len(rows), texts)
    one, other = (reader.tokenizer.encode(t).ids for t in found[0].texts[:2])
    assert batch["input_ids"][0, 0, : len(one)].tolist() == one
    assert batch["input_ids"][0, 1, : len(other)].tolist() == other
    assert batch["attention_mask"][0].sum(1).tolist()[:2] == [len(one), len(other)]
    scored = texts == 2 and rows is SCORED
    assert batch["labels"].dtype == (np.float32 if scored else np.int64)
    assert features.sequences == texts
    if scored:
        assert batch["labels"].tolist() == [0, 0.5, 1]


# ------------------------------------------------------------------------- figures
def kept(embeddings, labels):
    return {
        k: v.flatten(1).numpy()
        for k, v in task.kept(SimpleNamespace(embeddings=embeddings), {"labels": labels}).items()
    }


def drawn(items, texts, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(items, texts, 7)).astype(np.float32))


def cosine(a, b):
    a, b = a.double().numpy(), b.double().numpy()
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def test_spearman_is_that_of_cosines_and_scores_ties_included():
    scores = np.array([0, 0.5, 0.5, 1, 0.25, 1, 0], np.float32)
    embeddings = drawn(7, 2)
    found = task.measure(kept(embeddings, torch.from_numpy(scores)), SimpleNamespace(labels=scores), ())
    assert found == {"spearman": spearman(np.array([cosine(*e) for e in embeddings]), scores)}


def test_spearman_of_one_cosine_for_all_pairs_is_an_error():
    scores = np.array([0, 1, 0.5], np.float32)
    with pytest.raises(RecipeError) as error:
        task.measure(kept(torch.ones(3, 2, 4), torch.from_numpy(scores)), SimpleNamespace(labels=scores), ())
    assert error.value.diagnostics[0].code == "E082"


def test_a_triple_is_right_if_its_pair_is_nearer_than_its_negative():
    embeddings = drawn(20, 3)
    right = sum(cosine(a, p) > cosine(a, n) for a, p, n in embeddings)
    found = task.measure(kept(embeddings, torch.zeros(20, dtype=torch.int64)), None, ())
    assert 0 < right < 20
    assert found == {"accuracy": right / 20}


@pytest.mark.parametrize("at_once", [1, 40, 1 << 24])
def test_mean_reciprocal_rank_is_over_the_pairs_of_all_texts(monkeypatch, at_once):
    monkeypatch.setattr(task, "_AT_ONCE", at_once)
    embeddings = drawn(13, 2)
    embeddings[4, 1] = embeddings[9, 1] * 3  # two pairs with one direction share their place
    ranks = []
    for i, (text, _) in enumerate(embeddings):
        near = [round(cosine(text, p), 5) for _, p in embeddings]
        ranks.append(1 + sum(c > near[i] for c in near) + (sum(c == near[i] for c in near) - 1) / 2)
    assert any(rank % 1 for rank in ranks)
    found = task.measure(kept(embeddings, torch.zeros(13, dtype=torch.int64)), None, ())
    assert found["mrr"] == pytest.approx(sum(1 / r for r in ranks) / 13, abs=1e-12)


def test_equal_embeddings_have_no_lucky_rank():
    found = task.measure(kept(torch.ones(9, 2, 4), torch.zeros(9, dtype=torch.int64)), None, ())
    assert found["mrr"] == pytest.approx(1 / 5)


# ------------------------------------------------------------------------- pooling
MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
]
MEAN = {"word_embedding_dimension": 8, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}


def sentence_folder(folder, pooling=None, modules=MODULES, **files):
    folder.mkdir(exist_ok=True)
    (folder / "modules.json").write_text(json.dumps(modules), "utf-8")
    if pooling is not None:
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling), "utf-8")
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content), "utf-8")
    return folder


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        (None, "mean"),
        (MEAN, "mean"),
        ({**MEAN, "pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}, "cls"),
        ({"pooling_mode": "mean"}, "mean"),
        ({"pooling_mode": ["cls"]}, "cls"),
    ],
)
def test_pooling_is_what_the_folder_says_and_the_mean_without_a_word(tmp_path, pooling, expected):
    assert pooling_of(sentence_folder(tmp_path / "m", pooling)) == expected
    (tmp_path / "m" / "modules.json").unlink()
    assert pooling_of(tmp_path / "m") == expected


@pytest.mark.parametrize(
    ("pooling", "modules", "files", "said"),
    [
        ({**MEAN, "pooling_mode_max_tokens": True}, MODULES, {}, "`mean` and `max`"),
        ({"pooling_mode_lasttoken": True}, MODULES, {}, "`lasttoken`"),
        ({"pooling_mode": "weightedmean"}, MODULES, {}, "`weightedmean`"),
        ({"pooling_mode_mean_tokens": False}, MODULES, {}, "nothing"),
        (MEAN, [*MODULES, {"path": "3_Dense", "type": "sentence_transformers.models.Dense"}], {}, "`Dense`"),
        (MEAN, [MODULES[1], MODULES[1]], {}, "no one folder"),
        (MEAN, [{**MODULES[1], "path": "../other"}], {}, "no one folder"),
        (MEAN, {"0": "Transformer"}, {}, "not a list of modules"),
        (MEAN, MODULES, {"config_sentence_transformers": {"default_prompt_name": "query"}}, "prompt"),
    ],
)
def test_other_embeddings_are_refused(tmp_path, pooling, modules, files, said):
    with pytest.raises(RecipeError) as error:
        pooling_of(sentence_folder(tmp_path / "m", pooling, modules, **files))
    (found,) = error.value.diagnostics
    assert found.code == "E076"
    assert said in " ".join((found.message, *found.notes))


def test_texts_are_put_in_lower_case_where_the_folder_says_so(tmp_path):
    folder = make_model(tmp_path / "m")
    plain = task.load_tokenizer(folder).tokenizer.encode("GOLD").ids
    assert not lower_cases(folder)
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 8, "do_lower_case": true}', "utf-8")
    reader = task.load_tokenizer(folder)
    assert reader.tokenizer.encode("GOLD").ids == reader.tokenizer.encode("gold").ids != plain

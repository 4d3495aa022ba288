"""Pooling and losses of embeddings against references in double precision, and the model that gives them."""

import copy

import numpy as np
import pytest
import torch
import transformers

from recipelang.engine.embeddings import embed, loss_of, pooled, ranking_loss, score_loss
from recipelang.engine.models import check_models, load_model
from recipelang.modifiers.distill_terms import embedding_loss
from recipelang.planning.types import ModelPlan
from tests.model_folders import make_folder


def drawn(items, texts, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(items, texts, 7)))


def cosine(a, b):
    a, b = a.numpy(), b.numpy()
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_loss_of_scores_is_the_mean_squared_difference(dtype):
    embeddings, scores = drawn(9, 2), torch.linspace(-1, 1, 9, dtype=torch.float64)
    expected = np.mean([(cosine(a, b) - s) ** 2 for (a, b), s in zip(embeddings, scores.tolist(), strict=True)])
    found = loss_of(embeddings.to(dtype), scores.to(dtype))
    assert float(found) == pytest.approx(expected, rel=1e-6 if dtype == torch.float32 else 1e-13)


@pytest.mark.parametrize("texts", [2, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_loss_of_a_ranking_is_the_cross_entropy_over_all_pairs_and_negatives(texts, dtype):
    embeddings = drawn(6, texts)
    candidates = [e[k] for k in range(1, texts) for e in embeddings]
    each = []
    for i, item in enumerate(embeddings):
        near = np.array([20 * cosine(item[0], c) for c in candidates])
        each.append(np.log(np.exp(near).sum()) - near[i])
    found = loss_of(embeddings.to(dtype), torch.zeros(6, dtype=torch.int64))
    assert float(found) == pytest.approx(np.mean(each), rel=1e-6 if dtype == torch.float32 else 1e-13)


def test_a_ranking_hangs_on_the_batch_and_a_score_does_not():
    """Why a batch that is ranked may not be split, and one with scores may."""
    embeddings, scores = drawn(6, 2), torch.linspace(0, 1, 6, dtype=torch.float64)
    halves = [embeddings[:3], embeddings[3:]]
    parts = [score_loss(e, s) for e, s in zip(halves, scores.split(3), strict=True)]
    assert torch.allclose(sum(parts) / 2, score_loss(embeddings, scores))
    assert sum(map(ranking_loss, halves)) / 2 < ranking_loss(embeddings) - 0.1


def test_losses_of_the_lengths_of_embeddings_are_the_same():
    embeddings = drawn(5, 3)
    assert torch.allclose(ranking_loss(embeddings), ranking_loss(embeddings * torch.rand(5, 3, 1, dtype=torch.float64)))


def test_embeddings_of_student_and_teacher_are_compared_by_cosine():
    ours, theirs = drawn(4, 2), drawn(4, 2, seed=1)
    expected = np.mean([1 - cosine(a, b) for x, y in zip(ours, theirs, strict=True) for a, b in zip(x, y, strict=True)])
    assert float(embedding_loss(ours, theirs)) == pytest.approx(expected, rel=1e-6)
    assert float(embedding_loss(ours, ours * 3)) == pytest.approx(0, abs=1e-6)


def test_padding_has_no_part_in_an_embedding():
    states = drawn(2, 5).float()
    mask = torch.tensor([[1, 1, 0, 0, 0], [1, 1, 1, 1, 1]])
    assert torch.allclose(pooled(states, mask, "mean")[0], states[0, :2].mean(0))
    assert torch.allclose(pooled(states, mask, "mean")[1], states[1].mean(0))
    assert torch.equal(pooled(states, mask, "cls"), states[:, 0])


# --------------------------------------------------------------------------- model
FAMILIES = ("bert", "roberta", "distilbert", "llama")


def folder_of(tmp_path, family, task="sentence_similarity"):
    return make_folder(tmp_path / "m", family, task)


def plan_of(folder, **more):
    return ModelPlan(ref="m", path=str(folder), task="sentence_similarity", **more)


@pytest.fixture
def batch():
    ids = torch.randint(2, 24, (3, 2, 6), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[0, 1, 3:] = 0
    return {"input_ids": ids, "attention_mask": mask}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("pooling", ["mean", "cls"])
@torch.no_grad()
def test_an_embedding_is_that_of_the_model_without_a_head(tmp_path, family, pooling, batch):
    folder = folder_of(tmp_path, family)
    model = load_model(folder, plan_of(folder, pooling=pooling), 0).eval()
    plain = transformers.AutoModel.from_pretrained(folder).eval()
    found = model(**batch)
    assert found.embeddings.shape == (3, 2, 8)
    for item in range(3):
        for text in range(2):
            ids = batch["input_ids"][item, text][batch["attention_mask"][item, text].bool()]
            states = plain(input_ids=ids[None]).last_hidden_state[0]
            expected = states.mean(0) if pooling == "mean" else states[0]
            assert torch.allclose(found.embeddings[item, text], expected, atol=1e-5)
    assert found.loss is None


@pytest.mark.parametrize("task", ["masked_lm", "sequence_classification", "question_answering", "sentence_similarity"])
def test_weights_of_any_head_have_the_body(tmp_path, task):
    """Stored with the prefix that a head gives, or without one; every parameter is used, and gets a gradient."""
    folder = folder_of(tmp_path, "bert", task)
    model = load_model(folder, plan_of(folder), 0)
    assert not [n for n, _ in model.named_parameters() if n.startswith(("bert.", "pooler", "cls"))]
    ids = torch.randint(2, 24, (3, 2, 6))
    loss = model(input_ids=ids, attention_mask=torch.ones_like(ids), labels=torch.tensor([0.0, 0.5, 1.0])).loss
    loss.backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("family", FAMILIES)
def test_states_and_maps_are_given_where_they_are_asked_for(tmp_path, family, batch):
    folder = folder_of(tmp_path, family)
    model = load_model(folder, plan_of(folder), 0)
    model.set_attn_implementation("eager")
    found = model(**batch, output_hidden_states=True, output_attentions=True)
    assert found.hidden_states[-1].shape == (6, 6, 8)
    assert found.attentions[0].shape == (6, 2, 6, 6)


@pytest.mark.parametrize("family", FAMILIES)
def test_layers_can_be_dropped(tmp_path, family, batch):
    folder = folder_of(tmp_path, family)
    small = load_model(folder, plan_of(folder), 0, keep={"": (1,)}).eval()
    whole = load_model(folder, plan_of(folder), 0).eval()
    last = {n.replace(".1.", ".0."): p for n, p in whole.named_parameters() if ".0." not in n}
    assert {n for n, _ in small.named_parameters()} == set(last)
    assert all(torch.equal(p, last[n]) for n, p in small.named_parameters())
    assert small(**batch).embeddings.shape == (3, 2, 8)


def test_a_call_that_failed_leaves_nothing_behind(tmp_path, batch):
    folder = folder_of(tmp_path, "bert")
    model = load_model(folder, plan_of(folder), 0).eval()
    expected = model(**batch).embeddings
    broken = copy.copy(batch) | {"input_ids": batch["input_ids"] + 1000}
    with pytest.raises(IndexError):
        model(**broken, labels=torch.tensor([1.0, 0, 0]))
    found = model(**batch)
    assert found.loss is None
    assert torch.equal(found.embeddings, expected)


def test_embeddings_are_made_in_full_precision(tmp_path, batch):
    folder = folder_of(tmp_path, "bert")
    model = load_model(folder, plan_of(folder), 0).eval()
    with torch.autocast("cpu", torch.bfloat16):
        found = model(**batch, labels=torch.tensor([1.0, 0.0, 0.5]))
    assert found.embeddings.dtype == found.loss.dtype == torch.float32


def test_what_transformers_makes_is_what_was_planned(tmp_path):
    from types import SimpleNamespace

    folder = folder_of(tmp_path, "bert", "masked_lm")
    check_models(SimpleNamespace(model=plan_of(folder), stages=()))


def test_embed_works_on_any_model_without_a_head(batch):
    config = transformers.AutoConfig.for_model(
        "albert", hidden_size=8, embedding_size=8, num_attention_heads=2, intermediate_size=8, vocab_size=24
    )
    model = transformers.AutoModel.from_config(config)
    embed(model, "mean")
    assert model(**batch).embeddings.shape == (3, 2, 8)

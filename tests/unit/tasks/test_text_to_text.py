"""Texts for texts: what columns mean, what batches hold, the loss against transformers' own, and what layers are shown."""

import json
import math
import sys
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import AutoModelForSeq2SeqLM

from recipelang.engine.layers import Layers
from recipelang.engine.models import leave_out_cache
from recipelang.engine.shares import weights
from recipelang.engine.writing import ENDED, write
from recipelang.pruning.inputs import Squares
from recipelang.source import RecipeError
from recipelang.tasks import text_to_text as task
from recipelang.tasks.meaning import Meaning
from recipelang.tasks.written_scores import can_be_counted, scores
from tests.conftest import WORDS
from tests.model_table import tokenizer
from tests.model_types import config_of

ROWS = [
    {"source": " ".join(WORDS[i : i + 2 + i % 3]), "target": " ".join(WORDS[i : i + 1 + i % 4][::-1])} for i in range(6)
]


def opened(folder, rows, columns=None, prefix=""):
    (folder / "d.json").write_text(json.dumps(rows), "utf-8")
    path = str(folder / "d.json")
    table = task.read(path, "train", columns, None)
    decided = task.decide({"train": table}, Meaning(columns=dict(columns or {}), prefix=prefix))
    return decided, task.TASK.open_split(path, "train", columns, None, decided)


def rows_of(folder, rows=ROWS, length=16, pair=True, **config):
    folder.mkdir(exist_ok=True)
    tokenizer(folder, 64, pair)
    (folder / "config.json").write_text(json.dumps({"pad_token_id": 0, "eos_token_id": 2, **config}), "utf-8")
    _, examples = opened(folder, rows)
    return task.featurize(examples, task.load_tokenizer(folder), length, 0)


# ------------------------------------------------------------------------ columns
@pytest.mark.parametrize(
    ("row", "columns", "read"),
    [
        ({"source": "a", "target": "b"}, {}, ("source", "target")),
        ({"id": 1, "article": "a", "highlights": "b"}, {}, ("article", "highlights")),
        ({"text": "a", "summary": "b", "title": "c"}, {}, ("text", "summary")),
        ({"document": "a", "x": "b"}, {"target": "x"}, ("document", "x")),
        (
            {"translation": {"de": "b", "en": "a"}, "id": 3},
            {"source": "translation.en", "target": "translation.de"},
            ("translation.en", "translation.de"),
        ),
    ],
)
def test_columns_are_found(tmp_path, row, columns, read):
    decided, examples = opened(tmp_path, [row], columns, "do: ")
    assert (decided.columns["source"], decided.columns["target"]) == read
    assert (examples[0].source, examples[0].target) == ("do: a", "b")


@pytest.mark.parametrize(
    ("rows", "columns", "code", "words"),
    [
        ([{"source": "a", "b": "c"}], {}, "E074", ("has no column `target`", "summary")),
        ([{"translation": {"en": "a", "de": "b"}}], {}, "E074", ("no column `source`", "`translation.en`")),
        ([{"source": "a", "target": "b"}, {"source": "a", "target": None}], {}, "E075", ("`target` of record 1", "null")),
        ([{"source": "a", "target": "b"}, {"source": ["a"], "target": "b"}], {}, "E075", ("`source` of record 1", "list")),
        ([{"t": {"en": "a", "de": 3}}], {"source": "t.en", "target": "t.de"}, "E075", ("`t.de` of record 0", "int")),
        ([{"t": {"en": "a", "de": "b"}}, {"t": {"en": "a"}}], {"source": "t.en", "target": "t.de"}, "E075", ("record 1",)),
    ],
)  # fmt: skip
def test_what_is_no_text_is_refused_at_its_record(tmp_path, rows, columns, code, words):
    with pytest.raises(RecipeError) as error:
        opened(tmp_path, rows, columns)
    (found,) = error.value.diagnostics
    said = " ".join((found.message, *found.help, *found.notes))
    assert found.code == code and all(word in said for word in words), said


# ------------------------------------------------------------------------ batches
def test_batches_hold_sources_and_targets_each_with_its_own_padding(tmp_path):
    rows = rows_of(tmp_path)
    batch = rows.batch([1, 3])
    assert {k: v.shape for k, v in batch.items()} == {"input_ids": (2, 8), "attention_mask": (2, 8), "labels": (2, 8)}
    for at, i in enumerate((1, 3)):
        for name, text, fill in (("input_ids", "source", 0), ("labels", "target", -100)):
            ids = [1, *(5 + WORDS.index(w) for w in ROWS[i][text].split()), 2]
            assert batch[name][at].tolist() == ids + [fill] * (8 - len(ids))
    assert batch["attention_mask"].tolist() == (batch["input_ids"] > 0).astype(int).tolist()
    assert weights(batch).tolist() == (batch["labels"] >= 0).sum(1).tolist()
    assert rows.tokens_predicted == sum(len(r["target"].split()) + 2 for r in ROWS)
    assert rows.longest_target == max(len(r["target"].split()) for r in ROWS) + 2


@pytest.mark.parametrize("pair", [True, False])
def test_a_target_ends_with_the_end_token_whatever_the_tokenizer_adds(tmp_path, pair):
    rows = rows_of(tmp_path, length=4, pair=pair)
    labels = rows.batch(np.arange(6))["labels"]
    assert labels.shape[1] == 4 and [row[row >= 0][-1] for row in labels] == [2] * 6
    assert rows.cut == sum(
        max(len(r["source"].split()) + 2 * pair, len(r["target"].split()) + 1 + pair) > 4 for r in ROWS
    )


def test_blank_texts_are_counted_and_a_text_without_a_token_is_refused(tmp_path):
    blank = [*ROWS, {"source": " ", "target": "gold"}]
    assert rows_of(tmp_path, blank).blank == 1
    with pytest.raises(RecipeError) as error:
        rows_of(tmp_path, blank, pair=False)
    assert error.value.diagnostics[0].code == "E075" and "source of record 6" in error.value.diagnostics[0].message


# ------------------------------------------------------------- against transformers
@pytest.fixture(params=["t5", "bart", "mbart"])
def model(request):
    torch.manual_seed(0)
    found = AutoModelForSeq2SeqLM.from_config(config_of(request.param)).eval()
    leave_out_cache(found)
    return found


@torch.no_grad()
def test_perplexity_is_of_the_loss_that_transformers_computes(tmp_path, model):
    rows = rows_of(tmp_path)
    total = 0.0
    for i in range(len(ROWS)):
        batch = {k: torch.from_numpy(v) for k, v in rows.batch([i]).items()}
        total += float(model(**batch).loss) * int((batch["labels"] >= 0).sum())
    batch = {k: torch.from_numpy(v) for k, v in rows.batch(np.arange(len(ROWS))).items()}
    kept = {k: v.numpy() for k, v in task.kept(model(**batch), batch).items()}
    found = task.measure(kept, rows, ())["perplexity"]
    assert found == pytest.approx(math.exp(total / rows.tokens_predicted), rel=1e-4)


@torch.no_grad()
def test_layers_are_shown_the_tokens_of_their_own_text(tmp_path, model):
    """Of matrices in the decoder those of the target, but of the source where they read what the encoder gave."""
    rows, given = rows_of(tmp_path), {}
    names = [
        n for n, m in model.named_modules() if isinstance(m, torch.nn.Linear) and any(p.isdigit() for p in n.split("."))
    ]
    layers = Layers(model, rows, task.TASK.labels, 2, nullcontext, lambda done, of: None)
    for found in layers([f"{n}.weight" for n in names], Squares, "parallel"):
        given |= found
    seen: dict[str, list[torch.Tensor]] = {n: [] for n in names}
    for name in names:
        hook = lambda module, args, name=name: seen[name].append(args[0][0])  # noqa: E731
        model.get_submodule(name).register_forward_pre_hook(hook)
    for i in range(len(ROWS)):  # one by one, without padding
        batch = {k: torch.from_numpy(v) for k, v in rows.batch([i]).items()}
        source, target = int(batch["attention_mask"].sum()), int((batch["labels"] >= 0).sum())
        model(input_ids=batch["input_ids"][:, :source], labels=batch["labels"][:, :target])
    assert given.keys() == {f"{n}.weight" for n in names}
    for name in names:
        x = torch.cat(seen[name])
        assert given[f"{name}.weight"].tokens == len(x), name
        assert torch.allclose(given[f"{name}.weight"].sums, x.double().square().sum(0), rtol=1e-3, atol=1e-5), name


@torch.no_grad()
def test_the_model_writes_the_most_probable_token_again_and_again(tmp_path, model):
    """As a loop without keys and values that are kept, whatever the folder's own settings of generation say."""
    rows, own = rows_of(tmp_path), model.generation_config
    own.update(num_beams=4, do_sample=True, min_length=9, forced_eos_token_id=5, no_repeat_ngram_size=1, max_length=3)
    batch = {k: torch.from_numpy(v) for k, v in rows.batch(np.arange(6)).items()}
    found = write(model, batch, 7)
    assert model.generation_config is own and torch.equal(found, write(model, batch, 7))
    for i in range(6):  # one by one, without padding
        source = batch["input_ids"][i : i + 1, : int(batch["attention_mask"][i].sum())]
        given = model.prepare_decoder_input_ids_from_labels(labels=batch["labels"][i : i + 1])[:, :1]
        for place in range(7):
            logits = model(input_ids=source, decoder_input_ids=given, use_cache=False).logits[0, -1]
            token = int(logits.argmax())
            top = logits.topk(2).values
            assert token == found[i, place] or (token == 2 and found[i, place] == ENDED) or top[0] - top[1] < 1e-4
            if token == 2:
                assert (found[i, place:] == ENDED).all()
                break
            given = torch.cat([given, torch.tensor([[token]])], 1)


# ------------------------------------------------------------------ what was written
WRITTEN = ["the gold of peru", "iron", ""]
TARGETS = ["the gold mines of peru", "iron is a metal", "paris"]


def test_written_texts_are_compared_as_the_libraries_do():
    from rouge_score.rouge_scorer import RougeScorer
    from sacrebleu import corpus_bleu

    found = scores(WRITTEN, TARGETS, ("rouge1", "rouge2", "rougeL", "bleu", "perplexity"))
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True)
    each = [scorer.score(t, w) for w, t in zip(WRITTEN, TARGETS, strict=True)]
    for metric in ("rouge1", "rouge2", "rougeL"):
        assert found[metric] == pytest.approx(np.mean([e[metric].fmeasure for e in each]))
    assert found["bleu"] == pytest.approx(corpus_bleu(WRITTEN, [TARGETS]).score / 100)
    # by hand: 4 of 4 and of 5 words, 1 of 1 and of 4, none
    assert found["rouge1"] == pytest.approx((2 * 4 / 9 + 2 * 1 / 5 + 0) / 3)
    assert scores(TARGETS, TARGETS, ("rougeL", "bleu")) == pytest.approx({"rougeL": 1.0, "bleu": 1.0})


def test_what_was_written_becomes_text_up_to_its_end(tmp_path):
    rows, inf = rows_of(tmp_path), -np.inf
    _, examples = opened(tmp_path, ROWS)
    written = np.full((6, 8), inf, np.float32)
    for i, row in enumerate(ROWS):
        ids = [*(5 + WORDS.index(w) for w in row["target"].split()), ENDED]
        written[i, : len(ids)] = ids
    kept = {"loss": np.ones((6, 1), np.float32), "written": written}
    found = task.measure(kept, rows, examples, SimpleNamespace(metrics=("rouge1", "rougeL")))
    assert found == pytest.approx({"perplexity": math.exp(6 / rows.tokens_predicted), "rouge1": 1.0, "rougeL": 1.0})
    assert set(task.measure({"loss": kept["loss"]}, rows, examples)) == {"perplexity"}


@pytest.mark.parametrize(("metric", "package"), [("rouge1", "rouge-score"), ("bleu", "sacrebleu")])
def test_a_package_that_is_not_there_is_named_with_its_command(monkeypatch, metric, package):
    assert can_be_counted(metric, package) and can_be_counted("perplexity", "")
    for name in [n for n in sys.modules if n.partition(".")[0] == package.replace("-", "_")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package.replace("-", "_"), None)
    for ask in (lambda: can_be_counted(metric, package), lambda: scores(WRITTEN, TARGETS, (metric,))):
        with pytest.raises(RecipeError) as error:
            ask()
        (found,) = error.value.diagnostics
        assert (found.code, found.help) == ("E144", ("`pip install 'recipelang[text]'`",)) and package in found.message

"""Texts for texts: what columns mean, what batches hold, the loss against transformers' own, and what layers are shown."""

import json
import math
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from transformers import AutoModelForSeq2SeqLM

from recipelang.engine.layers import Layers
from recipelang.engine.models import leave_out_cache
from recipelang.engine.shares import weights
from recipelang.pruning.inputs import Squares
from recipelang.source import RecipeError
from recipelang.tasks import text_to_text as task
from recipelang.tasks.meaning import Meaning
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
    return decided, task.open_split(path, "train", columns, None, decided)


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
    layers = Layers(model, rows, task.LABELS, 2, nullcontext, lambda done, of: None)
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

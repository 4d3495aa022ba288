"""An embedding for every text, near for texts that mean the same: pairs with a score, pairs alike, or triples.

What the columns are decides what is trained, as in sentence-transformers:

- `text`, `pair`, `score`: the squared difference of the cosine and the score (`CosineSimilarityLoss`).
- `text`, `pair`: the pair of each text is to be nearer than the pairs of the other texts of the batch, and
- `text`, `pair`, `negative`: also nearer than every negative of the batch (`MultipleNegativesRankingLoss`, arXiv
  1705.00652, scale 20).

Numpy and `tokenizers` only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from recipelang.source import fail
from recipelang.tasks import encoding, meaning, pooling
from recipelang.tasks.correlation import spearman
from recipelang.tasks.encoding import Reader, Rows
from recipelang.tasks.meaning import Meaning
from recipelang.tasks.numbers import as_number, number
from recipelang.tasks.records import read_table
from recipelang.tasks.table import Table, objects
from recipelang.tasks.task import Counting, First, Task

#: names by which two texts are known
PAIRS = (
    ("anchor", "positive"),
    ("sentence1", "sentence2"),
    ("sentence_A", "sentence_B"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("query", "positive"),
    ("query", "answer"),
    ("question", "answer"),
    ("text1", "text2"),
    ("text_a", "text_b"),
    ("text", "pair"),
)
NEGATIVE = ("negative",)
SCORE = ("score", "similarity_score", "similarity", "relatedness_score")
#: what may be a score, or say that two texts differ
_LABELS = ("label", "labels", "gold_label", "is_duplicate")

#: what a cosine is multiplied by before the softmax over the texts of a batch
SCALE = 20.0
#: cosines that differ by less are equal: texts that are the same may stand in batches of other widths
_EQUAL = 1e-6
#: cosines at a time
_AT_ONCE = 1 << 24

#: what a data set is: pairs with a score, pairs that are alike, or triples
Form = Literal["scores", "pairs", "triples"]
#: the metric of each
METRIC: dict[Form, str] = {"scores": "spearman", "pairs": "mrr", "triples": "accuracy"}


@dataclass(frozen=True)
class Example:
    texts: tuple[str, ...]  # text and pair, and the negative of a triple
    score: float | None  # -1 to 1


def form(columns: Mapping[str, str]) -> Form:
    return "scores" if "score" in columns else "triples" if "negative" in columns else "pairs"


def in_batch(columns: Mapping[str, str]) -> bool:
    """Whether the loss of an item depends on the other items of its batch."""
    return form(columns) != "scores"


def decide(tables: Mapping[str, Table], wanted: Meaning) -> Meaning:
    """The columns of the texts, and of the score or the negative if there is one. E074.

    What is missing `open_split` refuses.
    """
    several, named = list(tables.values()), wanted.columns
    text, pair = meaning.two(several, named, ("text", "pair"), PAIRS)
    columns = {"text": text, "pair": pair}
    for field, usual, other in (("negative", NEGATIVE, "score"), ("score", SCORE, "negative")):
        column = named.get(field) or (None if other in named else meaning.found(several, usual))
        if column is not None:
            columns[field] = column
    name = several[0].name
    if {"score", "negative"} <= set(columns):
        help = f'name one of them: `columns {{ score = "{columns["score"]}" }}` in `data`'
        if {"score", "negative"} <= set(named):
            help = "remove one of them from `columns`"
        raise fail("E074", f"`{name}` has both scores and negatives", help=help)
    unused = meaning.unused(several, columns.values())
    label = next((c for c in _LABELS if c in unused), None)
    if form(columns) == "pairs" and label is not None and not {"text", "pair"} <= set(named):
        notes = [f"`{label}` may be a score, or mark pairs that differ"]
        help = f'name the score: `columns {{ score = "{label}" }}`; if every pair is alike, name its texts: '
        help += f'`columns {{ text = "{text}", pair = "{pair}" }}`'
        raise fail("E074", f"it is not clear which pairs of `{name}` are alike", help=help, notes=notes)
    if wanted.max_score is not None and "score" not in columns:
        raise fail("E074", f"`max_score` is set, but `{name}` has no scores", help="remove `max_score`")
    return wanted.model_copy(update={"columns": columns, "unused": unused})


def _examples(table: Table, decided: Meaning, named: Mapping[str, str], reference: str) -> tuple[Example, ...]:
    columns = decided.columns
    first, second = (tuple(dict.fromkeys(names)) for names in zip(*PAIRS, strict=True))
    table.needs(columns, named, {"text": first, "pair": second, "negative": NEGATIVE, "score": SCORE})
    texts = [columns[field] for field in ("text", "pair", "negative") if field in columns]
    score, most = columns.get("score"), decided.max_score or 1.0
    return tuple(
        Example(tuple(table.text(i, c) for c in texts), None if score is None else _score(table, i, score, most))
        for i in range(len(table.rows))
    )


def _score(table: Table, i: int, column: str, most: float) -> float:
    """A share of the highest score. E075."""
    found = number(table, i, column)
    if abs(found) > most:
        largest = max(
            abs(n) for row in table.rows if (n := as_number(row.get(column))) is not None and math.isfinite(n)
        )
        notes = [f"it is {found:g}, and a score is at most {most:g}: an identical pair has it"]
        help = f"write the highest possible score, as in `max_score = {math.ceil(largest)}` in `data`"
        message = f"`{column[:40]}` of {table.record(i)} is too large"
        raise fail("E075", message, help=help, notes=notes)
    return found / most


def constant(examples: Sequence[Example]) -> bool:
    """Whether their scores cannot be ranked."""
    return len({e.score for e in examples}) < 2


def load_tokenizer(folder: Path) -> Reader:
    reader = encoding.load_reader(folder)
    if pooling.lower_cases(folder):
        from tokenizers import normalizers

        own = reader.tokenizer.normalizer
        steps = [normalizers.Lowercase(), *([] if own is None else [own])]
        reader.tokenizer.normalizer = normalizers.Sequence(steps)  # type: ignore[assignment]
    return reader


def featurize(
    examples: Sequence[Example], tokenizer: Reader, max_length: int, stride: int, names: Sequence[str] = ()
) -> Rows:
    """One row a pair or triple, of as many sequences as it has texts. `labels`: scores in fp32, or else whole numbers
    that stand for none."""
    texts = [text for e in examples for text in e.texts]
    many = [len(e.texts) for e in examples]
    rows = encoding.rows_of(tokenizer, texts, [0] * len(examples), max_length, many)
    if examples and examples[0].score is not None:
        rows = replace(rows, labels=np.array([e.score for e in examples], np.float32))
    return replace(rows, blank=sum(not all(t.strip() for t in e.texts) for e in examples))


def kept(outputs: Any, batch: Mapping[str, Any]) -> dict[str, Any]:
    """Cosines of the text with each other text of its item; of pairs alike, which are ranked among all, embeddings."""
    found = outputs.embeddings.float()
    unit = found / found.norm(dim=-1, keepdim=True).clamp_min(1e-12)
    if unit.shape[1] == 2 and not batch["labels"].is_floating_point():
        return {"embeddings": unit}
    return {"cosines": (unit[:, :1] * unit[:, 1:]).sum(-1)}


def measure(
    kept: Mapping[str, np.ndarray], features: Rows, examples: Sequence[Example], how: Counting | None = None
) -> dict[str, float]:
    if "embeddings" in kept:
        text, pair = np.split(kept["embeddings"], 2, axis=1)
        return {"mrr": mean_reciprocal_rank(text, pair)}
    cosines = kept["cosines"]
    if cosines.shape[1] == 2:
        return {"accuracy": int((cosines[:, 0] > cosines[:, 1]).sum()) / len(cosines)}
    found = spearman(cosines[:, 0], features.labels)
    if found is None:
        help = "check the model: it may give all texts the same embedding"
        raise fail("E082", "`spearman` is undefined: all cosines are equal", help=help)
    return {"spearman": found}


def mean_reciprocal_rank(texts: np.ndarray, pairs: np.ndarray) -> float:
    """Of the pair of each text among the pairs of all, nearest first; those equally near share their mean place.

    Args:
        texts, pairs: [items, width], of length 1.
    """
    texts, pairs = texts.astype(np.float64), pairs.astype(np.float64)
    inverse: list[float] = []
    some = max(1, _AT_ONCE // len(pairs))
    for first in range(0, len(texts), some):
        near = texts[first : first + some] @ pairs.T  # [some, items]
        own = near[np.arange(len(near)), first + np.arange(len(near))][:, None]
        nearer, alike = (near > own + _EQUAL).sum(1), (np.abs(near - own) <= _EQUAL).sum(1)
        inverse += (1 / (1 + nearer + (alike - 1) / 2)).tolist()
    return math.fsum(inverse) / len(inverse)


TASK = Task(
    "sentence_similarity",
    "AutoModel",
    gives="embeddings",
    outputs=("embeddings",),
    prepare="recipelang.engine.embeddings:prepare",
    # how sentence-transformers makes embeddings of a model
    carried=("modules.json", "sentence_*_config.json", "config_sentence_transformers.json", "1_Pooling/config.json"),
    fields=("text", "pair", "negative", "score"),
    needs=("text", "pair"),
    settings=("max_score",),
    items="pairs",
    shortest=3,
    read=read_table,
    streams=objects,
    decide=decide,
    examples=_examples,
    load_tokenizer=load_tokenizer,
    featurize=featurize,
    forms=(Rows,),
    kept=kept,
    measure=measure,
    first=First(
        "hf://sentence-transformers/all-MiniLM-L6-v2",
        "hf://sentence-transformers/all-nli",
        "recover",
        (
            ("config", "triplet"),
            ("validation", "dev"),
        ),
        metrics=("accuracy",),
        measured=lambda columns: (METRIC[form(columns)],),
        target="50%",
        lengths=("2 epochs", "6 epochs"),
        batch=64,
    ),
)

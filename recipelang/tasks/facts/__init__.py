"""`lib://facts`: a small reading comprehension set that the project makes itself.

Passages state several facts about several things of one kind, so a question can
only be answered by matching both the thing and what is asked of it; guessing
from the form of the answer leads to a distractor. Validation asks about things
and in words that training never saw. Everything comes from one seed, the same
on every platform.
"""

from __future__ import annotations

import random
from typing import Any

from recipelang.tasks.facts.tables import KINDS

SPLITS = ("train", "validation")
SEED = 20_26
TRAIN_PASSAGES = 1_600
VALIDATION_PASSAGES = 200
QUESTIONS = 3  # a passage
THINGS = 2  # a passage
HELD_OUT = 0.25  # share of the things that only validation asks about
UNSEEN = 2  # phrasings at the end of each list are for validation only


def generate(split: str) -> dict[str, Any]:
    """One split in SQuAD's own format.

    >>> data = generate("validation")["data"]
    >>> qa = data[0]["paragraphs"][0]["qas"][0]
    >>> a = qa["answers"][0]
    >>> data[0]["paragraphs"][0]["context"][a["answer_start"] :].startswith(a["text"])
    True
    """
    rng = random.Random(f"{SEED}/{split}")
    kinds = list(KINDS)
    count = TRAIN_PASSAGES if split == "train" else VALIDATION_PASSAGES
    paragraphs = [_paragraph(rng, kinds[i % len(kinds)], split, i) for i in range(count)]
    return {"version": "facts-1", "data": [{"title": "facts", "paragraphs": paragraphs}]}


def _paragraph(rng: random.Random, kind: str, split: str, index: int) -> dict[str, Any]:
    attributes = KINDS[kind][1]
    rows = rng.sample(_rows(kind, split), THINGS)
    sentences: list[tuple[str, int, int, int]] = []  # text, offset of the value in it, thing, attribute
    for thing, row in enumerate(rows):
        for attribute in rng.sample(range(len(attributes)), 2):
            phrasing = rng.choice(_phrasings(attributes[attribute][0], split))
            sentences.append((*_fill(phrasing, row[0], row[1 + attribute]), thing, attribute))
    rng.shuffle(sentences)
    context, places = "", {}
    for text, at, thing, attribute in sentences:
        context += " " if context else ""
        places[thing, attribute] = len(context) + at
        context += text
    qas = []
    for n, (thing, attribute) in enumerate(rng.sample(sorted(places), QUESTIONS)):
        row = rows[thing]
        question = rng.choice(_phrasings(attributes[attribute][1], split)).replace("{e}", row[0])
        answer = {"text": row[1 + attribute], "answer_start": places[thing, attribute]}
        qas.append({"id": f"{split}-{index}-{n}", "question": _capital(question), "answers": [answer]})
    return {"context": context, "qas": qas}


def _fill(phrasing: str, entity: str, value: str) -> tuple[str, int]:
    """The sentence, and where in it the value stands."""
    text = phrasing.replace("{e}", entity)
    at = text.index("{v}")
    text = text.replace("{v}", value)
    return _capital(text), at


def _capital(text: str) -> str:
    # a symbol or number at the front stays as it is: the answer must stand there unchanged
    return text[0].upper() + text[1:]


def _phrasings(phrasings: list[str], split: str) -> list[str]:
    return phrasings[:-UNSEEN] if split == "train" else phrasings[-UNSEEN:]


def _rows(kind: str, split: str) -> list[list[str]]:
    rows = [line.split("|") for line in KINDS[kind][0].strip().split("\n")]
    random.Random(f"{SEED}/{kind}").shuffle(rows)
    held_out = max(THINGS + 2, round(len(rows) * HELD_OUT))
    return rows[held_out:] if split == "train" else rows[:held_out]

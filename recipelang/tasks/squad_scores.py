"""F1 and exact match of answers, as the two evaluations of SQuAD count them; ratios."""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence

from recipelang.tasks.squad_format import Example


def version_1(predictions: Mapping[str, str], examples: Sequence[Example]) -> dict[str, float]:
    """As SQuAD v1.1 has it: the best over the answers given, then the mean. There is always an answer."""
    scores = []
    for example in examples:
        said = predictions.get(example.id, "")
        answers = example.answers or ("",)
        scores.append((max(_f1(said, a, 0.0) for a in answers), max(_exact(said, a) for a in answers)))
    return _means("", scores)


def version_2(predictions: Mapping[str, str], examples: Sequence[Example]) -> dict[str, float]:
    """As SQuAD 2.0 has it: of a question without an answer an empty one is right, and nothing else.

    `has_answer` and `no_answer` are over the questions of either kind, where there are some.
    """
    scores: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    for example in examples:
        said = predictions.get(example.id, "")
        answers = [a for a in example.answers if normalise(a)] or [""]
        f1 = max(_f1(said, a, float(normalise(said) == normalise(a))) for a in answers)
        scores[bool(example.answers)].append((f1, max(_exact(said, a) for a in answers)))
    found = _means("", [*scores[True], *scores[False]]) | _means("has_answer_", scores[True])
    if scores[False]:
        found["no_answer"] = _means("", scores[False])["exact_match"]
    return found


def _means(what: str, scores: Sequence[tuple[float, float]]) -> dict[str, float]:
    if not scores:
        return {}
    f1, exact = (sum(each) / len(scores) for each in zip(*scores, strict=True))
    return {f"{what}f1": f1, f"{what}exact_match": exact}


_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise(text: str) -> str:
    """Lower case, without punctuation, articles and extra white space (SQuAD v1.1).

    Characters of no width at either end go too: tokenizers drop them, so no model could say them.
    """
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", _bare(text).lower().translate(_PUNCTUATION)).split())


def _bare(text: str) -> str:
    if text.isascii():
        return text
    seen = [i for i, c in enumerate(text) if not c.isspace() and unicodedata.category(c) != "Cf"]
    return text[seen[0] : seen[-1] + 1] if seen else ""


def _exact(said: str, answer: str) -> float:
    return float(normalise(said) == normalise(answer))


def _f1(said: str, answer: str, empty: float) -> float:
    """Of words in common; `empty` where either has none."""
    a, b = normalise(said).split(), normalise(answer).split()
    if not a or not b:
        return empty
    common = sum((Counter(a) & Counter(b)).values())
    if not common:
        return 0.0
    precision, recall = common / len(a), common / len(b)
    return 2 * precision * recall / (precision + recall)

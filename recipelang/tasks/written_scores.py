"""Written texts against those that should have been written: ROUGE and BLEU, by the packages that papers cite.

The packages are loaded where something is measured. E144 where one is not installed.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from importlib.util import find_spec

from recipelang.source import RecipeError, fail

ROUGE = ("rouge1", "rouge2", "rougeL")
BLEU = "bleu"


def scores(written: Sequence[str], targets: Sequence[str], metrics: Collection[str]) -> dict[str, float]:
    """Of these metrics those that compare texts, as ratios."""
    found = rouge(written, targets, [m for m in ROUGE if m in metrics])
    if BLEU in metrics:
        found[BLEU] = bleu(written, targets)
    return found


def rouge(written: Sequence[str], targets: Sequence[str], metrics: Sequence[str]) -> dict[str, float]:
    """F-measure with Porter's stemmer, as transformers' `run_summarization` has it, mean over examples."""
    if not metrics:
        return {}
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ImportError:
        raise lacking(metrics[0], "rouge-score") from None
    scorer = RougeScorer(list(metrics), use_stemmer=True)
    each = [scorer.score(target, text) for text, target in zip(written, targets, strict=True)]
    return {m: math.fsum(e[m].fmeasure for e in each) / len(each) for m in metrics}


def bleu(written: Sequence[str], targets: Sequence[str]) -> float:
    """Of the whole corpus, with sacreBLEU's own words (`13a`) and smoothing (`exp`)."""
    try:
        from sacrebleu.metrics import BLEU as Bleu
    except ImportError:
        raise lacking(BLEU, "sacrebleu") from None
    return float(Bleu().corpus_score(list(written), [list(targets)]).score) / 100


def can_be_counted(metric: str, package: str) -> bool:
    """E144 where the package of a metric is not installed; it may need none."""
    if package and find_spec(package.replace("-", "_")) is None:
        raise lacking(metric, package)
    return True


def lacking(metric: str, package: str) -> RecipeError:
    return fail("E144", f"`{metric}` needs the package `{package}`", help="`pip install 'recipelang[text]'`")

"""What an `evaluate` block can measure: every metric of the language, and those of each task."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """A `ratio` is written and shown as a share: `dev.f1 >= 84.9%`; another metric is a plain number."""

    doc: str
    ratio: bool


MEASURES: dict[str, Metric] = {
    "f1": Metric(
        "how far the words of an answer are those of its best reference, mean over questions, as SQuAD counts it", True
    ),
    "exact_match": Metric("questions answered as a reference has it, but for case, articles and punctuation", True),
    "has_answer_f1": Metric("`f1` over the questions that have an answer", True),
    "has_answer_exact_match": Metric("`exact_match` over the questions that have an answer", True),
    "no_answer": Metric("share of unanswerable questions that get no answer", True),
    "accuracy": Metric("examples of which the right class was told", True),
    "matthews": Metric("Matthews correlation of told and right classes", True),
    "perplexity": Metric("e to the mean loss of a token", False),
    "loss": Metric("the mean loss", False),
}

#: every task -> what its `metrics` are when a recipe leaves them out
METRICS = {
    "question_answering": ("f1", "exact_match"),
    "sequence_classification": ("accuracy", "f1", "matthews"),
    "multiple_choice": ("accuracy",),
    "token_classification": ("f1", "accuracy"),
    "masked_lm": ("perplexity", "accuracy"),
    "causal_lm": ("perplexity",),
}

#: what can be measured beside `METRICS`, where it is asked for
MORE_METRICS = {"question_answering": ("has_answer_f1", "has_answer_exact_match", "no_answer")}

TASKS = tuple(METRICS)

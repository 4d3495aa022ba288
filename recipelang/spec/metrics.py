"""The metrics of the language, and those of each task."""

from __future__ import annotations

from recipelang.source.frozen import frozen


@frozen
class Metric:
    """A `ratio` is written and shown as a percentage: `dev.f1 >= 84.9%`; another metric is a plain number."""

    doc: str
    ratio: bool
    #: no value is less; none of a ratio is more than 1
    least: float = 0.0
    #: the package that compares texts, for a metric of which the model writes some; empty: it writes nothing
    package: str = ""
    #: whether the smaller of two values is the better one
    falls: bool = False


MEASURES: dict[str, Metric] = {
    "f1": Metric("word overlap of an answer with its best reference, mean over questions, as in SQuAD", True),
    "exact_match": Metric("share of answers equal to a reference, ignoring case, articles and punctuation", True),
    "has_answer_f1": Metric("`f1` over the answerable questions", True),
    "has_answer_exact_match": Metric("`exact_match` over the answerable questions", True),
    "no_answer": Metric("share of unanswerable questions left unanswered", True),
    "accuracy": Metric(
        "share of examples with the correct class; of triples, of texts nearer to their pair than to the negative", True
    ),
    "matthews": Metric("Matthews correlation of predicted and correct classes", True, -1.0),
    "pearson": Metric("linear correlation of predicted and correct numbers", True, -1.0),
    "spearman": Metric("rank correlation of predicted and correct numbers or scores", True, -1.0),
    "mse": Metric("mean squared error of predicted numbers", False, falls=True),
    "mrr": Metric("mean reciprocal rank of the pair of each text among the pairs of all texts", True),
    "rouge1": Metric("single words that written and target text share (F-measure), mean", True, package="rouge-score"),
    "rouge2": Metric(
        "pairs of words that written and target text share (F-measure), mean", True, package="rouge-score"
    ),
    "rougeL": Metric(
        "longest common subsequence of words of written and target text (F-measure), mean", True, package="rouge-score"
    ),
    "bleu": Metric(
        "BLEU of all written texts against the targets, as sacreBLEU computes it", True, package="sacrebleu"
    ),
    "perplexity": Metric("exponential of the mean loss per token", False, 1.0, falls=True),
    "loss": Metric("mean loss", False, falls=True),
}

#: every task -> what its `metrics` are when a recipe leaves them out
METRICS = {
    "question_answering": ("f1", "exact_match"),
    "sequence_classification": ("accuracy", "f1", "matthews"),
    "regression": ("pearson", "spearman", "mse"),
    "multiple_choice": ("accuracy",),
    "token_classification": ("f1", "accuracy"),
    "masked_lm": ("perplexity", "accuracy"),
    "causal_lm": ("perplexity",),
    "text_to_text": ("perplexity",),
    "sentence_similarity": ("spearman",),
}

#: what can be measured beside `METRICS`, where it is asked for
MORE_METRICS = {
    "question_answering": ("has_answer_f1", "has_answer_exact_match", "no_answer"),
    "sentence_similarity": ("accuracy", "mrr"),
    "text_to_text": ("rouge1", "rouge2", "rougeL", "bleu"),
}

TASKS = tuple(METRICS)

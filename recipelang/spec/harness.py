"""`harness`: a task of lm-eval, measured with the final weights."""

from __future__ import annotations

from typing import Annotated

from recipelang.kinds.measures import Count
from recipelang.kinds.plain import LocalFile, Number
from recipelang.spec.attribute import Attr, Spec
from recipelang.spec.metrics import Metric

#: where the measured paths of these blocks begin: `harness.arc_easy.acc`
HARNESS = "harness"
#: metrics of lm-eval that are its own functions: others it would fetch as code
HARNESS_METRICS: dict[str, Metric] = {
    "acc": Metric("share of questions whose correct choice is the likeliest", True),
    "acc_norm": Metric("the same, by likelihood per byte of a choice", True),
    "exact_match": Metric("share of written answers equal to the reference", True),
    "f1": Metric("F1 of the chosen class", True),
    "mcc": Metric("Matthews correlation of the chosen class", True, -1.0),
    "perplexity": Metric("exponential of the mean loss of an answer", False, 1.0),
    "word_perplexity": Metric("perplexity per word of a text", False, 1.0),
    "byte_perplexity": Metric("perplexity per byte of a text", False, 1.0),
    "bits_per_byte": Metric("bits per byte of a text", False),
}


class HarnessSpec(Spec):
    """A task of lm-eval (`pip install 'recipelang[lm-eval]'`), measured at the end of the run with the final weights. Its
    file is read as data: one that runs code is refused. `harness arc_easy` gives `harness.arc_easy.acc`."""

    LABELS = (1, 1)
    name: str
    task: Annotated[
        str,
        Attr(
            LocalFile('the path of a task file of lm-eval, in quotes: `"arc_easy.yaml"`'),
            "the task's file; its data lies beside it",
            "s",
            example='"arc_easy.yaml"',
        ),
    ]
    few_shot: Annotated[
        int | None,
        Attr(Number(0, whole=True), "examples before each question; default: as the file says, or 0", "s", example="5"),
    ] = None
    samples: Annotated[
        int | None,
        Attr(Count("sample", 1), "use only the first N examples; default: all", "s", example="200 samples"),
    ] = None
    batch: Annotated[int, Attr(Number(1, whole=True), "sequences per forward pass", "-", example="16")] = 8

"""What can be claimed, from `spec/claims.py`, `spec/metrics.py` and `spec/blocks.py`."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.reference.markdown import block, code, page, table
from recipelang.spec.blocks import EvaluateSpec
from recipelang.spec.claims import CLAIMS, FUNCTIONS, LATER_FUNCTIONS, PATHS
from recipelang.spec.metrics import MEASURES, METRICS, MORE_METRICS

#: judged by a test in a recipe with the stages `dense` and `gradual` and the block `evaluate dev`
EXAMPLE = """require warm >= 1 epoch, "leave room before the first mask"
expect sparsity(@linear & @encoder) == target ± 0.1%
expect sparsity(@embeddings | @head) <= 0.01%
expect pattern(@linear & @encoder) in [unstructured, 2:4]
expect params(@head) < 2_000
expect dev.f1 >= 0.98 * stage.dense.dev.f1, "pruning keeps 98 % of the dense F1"
prefer dev.f1 in 87%..90%"""


def text() -> str:
    return page(
        "Claims",
        "A claim is a sentence of the recipe that is true or false. A message may follow after a comma.",
        table(("written", "judged"), ((code(f"{word} CONDITION"), when) for word, when in CLAIMS.items())),
        block(EXAMPLE),
        "A condition compares with the [operators](values.md#operators) of every expression. A recipe that builds on "
        "another keeps its claims and adds its own; a `require` of the base cannot be taken back. Names are checked "
        "by `validate`, long before there is anything to measure.",
        "## Functions\n\nEach takes one [selector](selectors.md), and looks at its matrices in the final weights. "
        "They stand in `expect` and `prefer` only.",
        table(("function", "gives"), ((code(f"{name}(SELECTOR)"), gives) for name, gives in FUNCTIONS.items())),
        f"Of the language, and refused with `E091` for now: {', '.join(code(f'{n}()') for n in LATER_FUNCTIONS)}.",
        "## Measured values\n\nA metric is named by the block that measures it.",
        table(("written", "value", ""), _paths()),
        "## Metrics\n\nThe names that `metrics` of an `evaluate` block takes. A ratio is compared with a ratio, "
        "`84.9%` or `0.849`; its tolerance is in points, so `85% ± 0.5%` is all from 84.5 % to 85.5 %.",
        table(("metric", "measures", "is", "of the tasks", ""), _metrics()),
    )


def _paths() -> Iterator[tuple[str, ...]]:
    later = EvaluateSpec.attributes()["compare"].later
    for path, value in PATHS.items():
        yield code(path), value, "not in this release yet" if ".dense.f1" in path and later else ""


def _metrics() -> Iterator[tuple[str, ...]]:
    later = EvaluateSpec.attributes()["metrics"].later
    for name, metric in MEASURES.items():
        tasks = ", ".join(code(t) for t, names in METRICS.items() if name in (*names, *MORE_METRICS.get(t, ())))
        now = "not in this release yet" if name in later else ""
        yield code(name), metric.doc, "a ratio" if metric.ratio else "a number", tasks, now

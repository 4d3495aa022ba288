"""What can be claimed, from `spec/claims.py`, `spec/metrics.py` and `spec/blocks.py`."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.kinds.formats import RUNTIMES
from recipelang.reference.markdown import block, code, page, table
from recipelang.spec.blocks import EvaluateSpec
from recipelang.spec.claims import CLAIMS, FUNCTIONS, PATHS
from recipelang.spec.figures import FIGURES, SETTINGS
from recipelang.spec.metrics import MEASURES, METRICS, MORE_METRICS

#: judged by a test in a recipe with the stages `dense` and `gradual` and the block `evaluate dev`
EXAMPLE = """require warm >= 1 epoch, "leave room before the first mask"
expect sparsity(@linear & @encoder) == target ± 0.1%
expect sparsity(@embeddings | @head) <= 0.01%
expect pattern(@linear & @encoder) in [unstructured, 2:4]
expect params(@head) < 2_000
expect params() <= 90% * stage.dense.params and flops() <= stage.dense.flops
expect size() <= 80 MB
expect speedup(torch, over = stage.dense, length = 64 tokens, threads = 2) >= 1.5
prefer latency(torch) <= 20 ms
expect dev.f1 >= 0.98 * stage.dense.dev.f1, "pruning keeps 98 % of the dense F1"
prefer dev.f1 in 87%..90%"""


def text() -> str:
    return page(
        "Claims",
        "A claim is a condition that the recipe promises to meet. A message can follow after a comma.",
        table(("written", "checked"), ((code(f"{word} CONDITION"), when) for word, when in CLAIMS.items())),
        block(EXAMPLE),
        "A condition uses the same [operators](values.md#operators) as every expression. A recipe that extends "
        "another keeps the claims of the base and adds its own; a `require` of the base cannot be removed. `validate` "
        "checks the names in claims.",
        "## Functions\n\nEach function takes one [selector](selectors.md) and measures its matrices in the final weights. "
        "Functions are allowed only in `expect` and `prefer`.",
        table(("function", "value"), ((code(f"{name}(SELECTOR)"), gives) for name, gives in FUNCTIONS.items())),
        "## Size and speed\n\nThese are of the whole model at the end of the run. What the plan knows, it judges: a claim "
        "that the run cannot meet is an error before it starts (`E155`). Times are measured once, at the end, as "
        "[`recipelang bench`](../speed.md) measures: on the processor, both models in turn in one process.",
        table(("written", "value"), ((code(written), gives) for written, gives in FIGURES.items())),
        f"`RUNTIME` is one of {', '.join(map(code, RUNTIMES))}; those but `torch` need their format in `export`. Further "
        "arguments, which `flops` has without `threads`:",
        table(("argument", "default", "value"), _settings()),
        "## Measured values\n\nThe name of a metric begins with the block that measures it.",
        table(("written", "value", ""), _paths()),
        "## Metrics\n\nThe possible values of `metrics` in an `evaluate` block. Compare a ratio with a ratio: "
        "`84.9%` or `0.849`. Tolerances are in percentage points: `85% ± 0.5%` means 84.5% to 85.5%.",
        table(("metric", "measures", "type", "tasks", ""), _metrics()),
    )


def _settings() -> Iterator[tuple[str, ...]]:
    for name, (kind, default, doc) in SETTINGS.items():
        yield code(name), code(kind.text(default)), doc


def _paths() -> Iterator[tuple[str, ...]]:
    later = EvaluateSpec.attributes()["compare"].later
    for path, value in PATHS.items():
        yield code(path), value, "not in this release" if ".dense.f1" in path and later else ""


def _metrics() -> Iterator[tuple[str, ...]]:
    later = EvaluateSpec.attributes()["metrics"].later
    for name, metric in MEASURES.items():
        tasks = ", ".join(code(t) for t, names in METRICS.items() if name in (*names, *MORE_METRICS.get(t, ())))
        now = "not in this release" if name in later else ""
        yield code(name), metric.doc, "ratio" if metric.ratio else "number", tasks, now

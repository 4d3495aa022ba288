"""A record's metrics are values that they can have."""

from types import SimpleNamespace

import pytest

from recipelang.provenance.recorded import check_metrics
from recipelang.source import RecipeError
from recipelang.spec.claims import metric_text
from recipelang.spec.metrics import MEASURES

PLAN = SimpleNamespace(stages=())
BELOW_ZERO = {"matthews", "pearson", "spearman"}


@pytest.mark.parametrize("metric", MEASURES)
def test_a_metric_lies_in_its_range(metric):
    least = -1.0 if metric in BELOW_ZERO else 1.0 if metric == "perplexity" else 0.0
    most = 1.0 if MEASURES[metric].ratio else 1e9
    for value in (least, (least + min(most, 2.0)) / 2, most):
        check_metrics({f"dev.{metric}": value}, PLAN)
    for value in (least - 0.01, most + 0.01) if MEASURES[metric].ratio else (least - 0.01,):
        with pytest.raises(RecipeError, match="impossible"):
            check_metrics({f"dev.{metric}": value}, PLAN)


@pytest.mark.parametrize(
    ("path", "value", "shown"),
    [
        ("dev.pearson", -0.1234, "-12.34%"), ("dev.mse", 0.003689, "0.003689"), ("dev.mse", 0.61234, "0.6123"),
        ("dev.mse", 1234.5, "1,234.50"), ("dev.perplexity", 12.068, "12.07"), ("dev.mse", 0.0, "0"),
    ],
)  # fmt: skip
def test_a_small_number_keeps_its_digits(path, value, shown):
    assert metric_text(path, value) == shown

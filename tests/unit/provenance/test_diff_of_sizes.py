"""Two recipes that shrink a model and claim its speed: how they differ, setting by setting."""

import pytest

from recipelang.provenance.diff import diff
from tests.reading import recipe_of

RECIPE = """recipe 1 "a"
model { base = "model", task = question_answering }
data { train = "train.json", validation = "dev.json" }
stage dense { length = 2 epochs, batch = 8, learning_rate = 1e-4 }
stage slim {
  mode = one_shot
  shrink body { axes = [ffn -> 50%, layers -> 4] }
}
expect speedup(torch, over = stage.dense) >= 1.8
"""


@pytest.mark.parametrize(
    ("change", "groups"),
    [
        (("1.8", "1.8"), []),
        (("stage.dense)", "stage.dense, batch = 1, length = 128 tokens, threads = 1)"), []),
        (("stage.dense)", "stage.dense, threads = 2)"), ["claims", "claims"]),
        (("layers -> 4", "layers -> 3"), ["behaviour"]),
    ],
)
def test_a_default_that_is_written_out_is_no_difference(change, groups):
    found = diff(recipe_of(RECIPE), recipe_of(RECIPE.replace(*change)), {}, {})
    assert [c.group for c in found.changes] == groups
    assert found.same is (not groups)

"""The examples of docs/loops.md run as they stand."""

import importlib.util
import re
from pathlib import Path

import pytest

from tests.forked import forked

PAGE = (Path(__file__).parents[2] / "docs" / "loops.md").read_text("utf-8")
(RECIPE,) = re.findall(r"^```\n(recipe 1 .*?)^```", PAGE, re.S | re.M)
MINE, *EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE, re.S | re.M)


@pytest.mark.parametrize("number", range(3), ids=["plain", "transformers", "lightning"])
def test_example_prunes_as_it_says(number, tmp_path):
    if "lightning" in EXAMPLES[number] and importlib.util.find_spec("lightning") is None:
        pytest.skip("lightning is not installed")
    (tmp_path / "loop.recipe").write_text(RECIPE, "utf-8")
    (tmp_path / "mine.py").write_text(MINE, "utf-8")
    (tmp_path / "example.py").write_text(EXAMPLES[number], "utf-8")
    with forked(program="import sys; sys.path.insert(0, ''); import example", cwd=tmp_path) as started:
        out, err = started.communicate(timeout=300)
    assert started.returncode == 0, err
    assert out.splitlines()[-1] == "step 12 of 12: 75.00% zeros, 75.00% planned"


def test_example_adds_fewer_than_fifteen_lines():
    """The lines that speak of pruning, in each."""
    for example in EXAMPLES:
        assert 3 <= sum("prun" in line or "ecipe" in line for line in example.splitlines()) < 15

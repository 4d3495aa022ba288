"""The examples of docs/loops.md run as they stand."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

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
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    out = subprocess.run(
        [sys.executable, "example.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert out.returncode == 0, out.stderr
    assert out.stdout.splitlines()[-1] == "step 12 of 12: 75.00% zeros, 75.00% planned"


def test_example_adds_fewer_than_fifteen_lines():
    """The lines that speak of pruning, in each."""
    for example in EXAMPLES:
        assert 3 <= sum("prun" in line or "ecipe" in line for line in example.splitlines()) < 15

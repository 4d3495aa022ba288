"""Pydantic does the validation: without it, bad values are accepted by the hundred."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
TESTS = (
    "test_bad_plans.py::test_a_bad_value_is_refused_where_it_is_made",
    "test_bad_blocks.py::test_bad_plain_data_are_refused",
)


def test_without_validation_bad_values_are_accepted() -> None:
    tests = [str(Path(__file__).with_name(name)) for name in TESTS]
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "--tb=line", "-p", "tests.unit.validation.switched_off"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run([*command, *tests], cwd=ROOT, env=environment, capture_output=True, text=True)
    accepted = len(re.findall(r"Failed: DID NOT RAISE", ended.stdout))
    assert ended.returncode == 1 and accepted >= 200, ended.stdout[-2_000:]

"""What `formats_in_runtimes.py` tests, in a process of its own: where OpenVINO has computed, training can end the process."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_models_in_other_formats():
    own = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    tests = "tests/train/formats_in_runtimes.py"
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", tests]
    done = subprocess.run(command, cwd=ROOT, env=own, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and " passed" in done.stdout, done.stdout[-4000:] + done.stderr[-1000:]

"""The order of rooms in ARCHITECTURE.md, and "the front half does not load torch", as written in pyproject.toml."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_imports_keep_to_the_order_of_rooms():
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    out = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert out.returncode == 0, out.stdout
    assert "Contracts: 2 kept, 0 broken" in out.stdout

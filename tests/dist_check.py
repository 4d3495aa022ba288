"""What strangers get: wheel and sdist are built, installed into clean environments, and do the main job there.

    python -m tests.dist_check

Each environment holds one of the two and what it asks for, and nothing of this checkout. There a recipe is written by
`init`, planned, run on a tiny model and verified.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

from recipelang import __version__
from tests.conftest import make_inputs

ROOT = Path(__file__).parents[1]
TORCH = "torch==2.13.0"
COMMANDS = (
    ("--version",),
    ("init", "first.recipe", "--data", "train.json", "--model", "model", "--target", "80%", "--yes"),
    ("validate", "first.recipe"),
    ("plan", "first.recipe"),
    ("run", "first.recipe", "--steps", "3", "-o", "out"),
    ("verify", "out"),
    ("library", "squad", "90"),
    ("explain", "E024"),
)


def main() -> int:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make_inputs(folder / "inputs")
        for kind, name in (
            ("wheel", f"recipelang-{__version__}-py3-none-any.whl"),
            ("sdist", f"recipelang-{__version__}.tar.gz"),
        ):
            begun = time.monotonic()
            run([sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(folder)], ROOT)
            bin = install(folder / f"from-{kind}", folder / name)
            place = folder / f"job-{kind}"
            shutil.copytree(folder / "inputs", place)
            for arguments in COMMANDS:
                run([str(bin / "recipelang"), *arguments], place)
            print(f"{kind}: built, installed and used in {time.monotonic() - begun:.0f} s", flush=True)
    return 0


def install(place: Path, package: Path) -> Path:
    """A clean environment with a package; its folder of programs."""
    venv.create(place, with_pip=True)
    bin = place / ("Scripts" if os.name == "nt" else "bin")
    python = str(bin / "python")
    run([python, "-m", "pip", "install", "--quiet", TORCH], place)
    run([python, "-m", "pip", "install", "--quiet", "--constraint", str(ROOT / "constraints.txt"), str(package)], place)
    return bin


def run(command: list[str], folder: Path) -> None:
    """In a folder outside of the checkout, with nothing that leads back to it."""
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=900)
    print(f"{'ok' if done.returncode == 0 else 'FAILED'}: {' '.join(map(str, command[-6:]))}", flush=True)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)


if __name__ == "__main__":
    sys.exit(main())

"""`make matrix`: the tests on every declared Python, and on the oldest and newest torch and transformers.

Each row is an environment of its own below `build/matrix`. torch is only installed from wheels for CPUs: those of
`PIP_FIND_LINKS`, or what `RECIPELANG_TORCH` gives pip (`--index-url https://download.pytorch.org/whl/cpu`); those of
PyPI bring gigabytes of CUDA along. Without torch for a Python, the front half is tested there: all that needs none.
What could not be done is a row that says why. Exit 1 where a test failed.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "build" / "matrix"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
PYTHONS = tuple(c.rpartition(" ")[2] for c in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", c))
#: packages that need torch: not in an environment of the front half
ON_TORCH = ("torch", "torchmetrics", "accelerate", "lightning", "compressed-tensors")
#: tests that need no torch
FRONT = ("syntax", "source", "spec", "values", "schedules", "reference", "storage", "study")


@dataclass(frozen=True)
class Row:
    python: str
    ends: str  # oldest | newest | front half
    result: str
    failed: bool = False


def oldest(package: str) -> str:
    """`torch>=2.8,<3` -> `torch==2.8.*`."""
    (bound,) = re.findall(rf"^{package}>=([\d.]+)", "\n".join(PROJECT["dependencies"]), re.M)
    return f"{package}=={bound}.*"


def declared(package: str) -> str:
    return next(d for d in PROJECT["dependencies"] if re.match(rf"{package}\b", d))


def interpreter(version: str) -> str | None:
    """The one that this runs in, one of pyenv's, or one on the path; one that does not start is none."""
    if f"{sys.version_info[0]}.{sys.version_info[1]}" == version:
        return sys.executable
    roots = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    there = [str(p) for p in sorted(roots.glob(f"{version}.*/bin/python{version}"), reverse=True)]
    if found := shutil.which(f"python{version}"):
        there.append(found)
    return next((p for p in there if run([p, "-c", "pass"]).returncode == 0), None)


def run(command: Sequence[str], **more: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **more}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


def make(name: str, python: str, *packages: str) -> str | None:
    """The environment's Python, with these packages and without others than they need; none where pip finds them not."""
    at = FOLDER / name
    made = run([python, "-m", "venv", "--clear", str(at)])
    if made.returncode:
        print(made.stdout + made.stderr)
        return None
    inside = str(at / "bin" / "python")
    if "torch" in name:
        links = os.environ.get("RECIPELANG_TORCH", "--no-index").split()
        torch, *packages = packages
        if run([inside, "-m", "pip", "install", "--quiet", *links, "--no-deps", torch]).returncode:
            return None
    done = run([inside, "-m", "pip", "install", "--quiet", "--prefer-binary", *packages])
    if done.returncode:
        print(done.stderr[-2000:])
    return None if done.returncode else inside


def versions(python: str) -> str:
    program = (
        "from importlib.metadata import version, PackageNotFoundError as E\n"
        "for p in ('torch', 'transformers', 'numpy', 'pydantic'):\n"
        "    try: print(p, version(p), end=' ')\n"
        "    except E: pass"
    )
    return run([python, "-c", program]).stdout.strip()


def tested(python: str, *paths: str) -> tuple[str, bool]:
    done = run([python, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", *paths], PYTHONPATH=str(ROOT))
    last = (done.stdout.strip().splitlines() or ["no output"])[-1]
    if done.returncode:
        print(done.stdout[-4000:] + done.stderr[-2000:])
    return f"{last.strip('= ')} ({versions(python)})", done.returncode != 0


def whole(version: str, python: str, ends: str) -> Row | None:
    """With torch and transformers of one end; none where there is no such torch for this Python."""
    chosen = [oldest(p) if ends == "oldest" else declared(p) for p in ("torch", "transformers")]
    others = [d for d in PROJECT["dependencies"] if not d.startswith(("torch>", "transformers>"))]
    inside = make(f"{version}-torch-{ends}", python, chosen[0], chosen[1], *others, *extra())
    if inside is None:
        return None
    from tests.quick import FILES

    return Row(version, ends, *tested(inside, *FILES))


def front(version: str, python: str) -> Row:
    packages = [d for d in (*PROJECT["dependencies"], *extra()) if not d.startswith(ON_TORCH)]
    inside = make(f"{version}-front", python, *packages)
    if inside is None:
        return Row(version, "front half", "not done: pip did not find every package for it")
    return Row(version, "front half", *tested(inside, *(f"tests/unit/{room}" for room in FRONT)))


def extra() -> list[str]:
    return [d for d in PROJECT["optional-dependencies"]["test"] if not d.startswith(("ruff", "mypy"))]


def rows(version: str) -> list[Row]:
    python = interpreter(version)
    if python is None:
        return [Row(version, "all", "not done: no such Python on the path or among pyenv's")]
    found: list[Row] = []
    for ends in ("oldest", "newest"):
        row = whole(version, python, ends)
        why = f"not done: no wheel of {oldest('torch') if ends == 'oldest' else declared('torch')} for CPUs"
        found.append(row or Row(version, ends, f"{why}, or not all of its packages"))
    if all(r.result.startswith("not done") for r in found):
        found.append(front(version, python))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", nargs="*", default=PYTHONS, help="only these, as `3.12`")
    found: list[Row] = []
    for version in parser.parse_args().python:
        found += rows(version)
        for row in found[-3:]:
            print(f"{row.python:5}  {row.ends:10}  {row.result}", flush=True)
    print("\n" + "\n".join(f"{r.python:5}  {r.ends:10}  {'FAILED ' if r.failed else ''}{r.result}" for r in found))
    return int(any(r.failed for r in found))


if __name__ == "__main__":
    sys.exit(main())

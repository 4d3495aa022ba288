"""What `recipelang/` imports is declared in pyproject.toml, and what is declared is imported."""

import ast
import re
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
THERE = packages_distributions()
#: a module -> its distribution, where it need not be installed, or where others share its name
KNOWN = {"lightning": "lightning", "sigstore": "sigstore", "google": "protobuf"}


def plain(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", requirement)[0]).lower()


@cache
def imported(folder: str) -> dict[str, str]:
    """Distribution of every module that is imported, anywhere in a file -> a file that does."""
    found: dict[str, str] = {}
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            for name in {n.partition(".")[0] for n in names} - sys.stdlib_module_names - {"recipelang", "tests"}:
                (distribution,) = {KNOWN.get(name) or THERE.get(name, [name])[0]}
                found.setdefault(plain(distribution), f"{name} in {path.relative_to(ROOT)}")
    return found


def declared(*extras: str) -> set[str]:
    chosen = [PROJECT["dependencies"], *(PROJECT["optional-dependencies"][name] for name in extras)]
    return {plain(requirement) for each in chosen for requirement in each}


def test_every_import_is_declared():
    found = imported("recipelang")
    missing = {
        name: where
        for name, where in found.items()
        if name
        not in declared(
            "lightning",
            "sign",
            "sigstore",
            "report",
            "slurm",
            "text",
            "onnx",
            "openvino",
            "compressed-tensors",
            "lsp",
            "trackers",
            "optuna",
            "lm-eval",
        )
    }
    assert not missing


def test_every_dependency_is_imported():
    assert declared() <= imported("recipelang").keys()


def test_what_only_tests_import_is_in_their_extra():
    optional = {"lightning", "sigstore", "llmcompressor", "atheris"}  # of tests that run where these are installed
    assert imported("tests").keys() - declared("test") <= optional

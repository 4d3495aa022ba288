"""How a model was made, told by whatever is at hand: a run's folder, a weight file, a recipe, a packed recipe.

Nothing is checked here but sizes and types; `verify` does that. So all of it is
what the thing says of itself.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recipelang.artifact.contents import Artifact
from recipelang.artifact.manifest import RECIPE
from recipelang.planning.safetensors_header import read_header
from recipelang.provenance.stamp import recipe_stamp
from recipelang.provenance.statement import read_statement, statement_path
from recipelang.source import fail
from recipelang.source.render import line_of

Told = dict[str, Any]
_ENDINGS = (".safetensors",)


def inspected(path: Path) -> Told | None:
    """`kind` and what is known; none for a file that may be a recipe. E135 for what tells nothing."""
    if path.is_dir():
        if os.path.lexists(statement_path(path)):
            return _run(path)
        weights = sorted(path.glob("*.safetensors"))
        if weights:
            return {**_weights(weights[0]), "where": str(path), "files": len(weights)}
        if os.path.isfile(path / "recipe" / "plan.json"):
            raise fail(
                "E135",
                f"the run in `{line_of(str(path))}` is not finished",
                help="continue it with `recipelang resume`",
            )
        help = "name the output folder of a run, a safetensors file, a recipe, or a packed recipe"
        raise fail("E135", f"`{line_of(str(path))}` holds no record of a run", help=help)
    return _weights(path) if path.suffix in _ENDINGS else None


def _run(path: Path) -> Told:
    said = read_statement(path)
    p = said.predicate
    signed = statement_path(path).with_name("statement.sigstore.json").is_file()
    return {
        "kind": "run",
        "where": str(path),
        "name": p["name"],
        "version": p.get("version"),
        "status": p["status"],
        "rehearsal": p.get("rehearsal"),
        "digests": p["digests"],
        "base": _text(p.get("references"), "model.base"),
        "parameters": p["parameters"],
        "seed": p.get("seed"),
        "environment": p["environment"],
        "time": p.get("time"),
        "metrics": p["metrics"],
        **({"figures": p["figures"]} if p.get("figures") else {}),
        "claims": p["claims"],
        "sparsity": _sparsity(p["tensors"]),
        "weights": list(said.subjects),
        "signature": "there, not checked" if signed else "none",
    }


def _text(found: object, key: str) -> str | None:
    value = found.get(key) if isinstance(found, dict) else None
    return value if isinstance(value, str) else None


def _sparsity(tensors: Mapping[str, Mapping[str, int]]) -> float | None:
    size = sum(t["size"] for t in tensors.values())
    return sum(t["zeros"] for t in tensors.values()) / size if size else None


def _weights(path: Path) -> Told:
    stamp = recipe_stamp(path)
    if "spec" not in stamp:
        help = "only files written by `recipelang run` hold one"
        raise fail("E135", f"`{line_of(path.name)}` holds no record of a run", help=help)
    entries = read_header(path)
    return {
        "kind": "weights",
        "where": str(path),
        "name": stamp.get("name"),
        "version": stamp.get("version"),
        "digests": {"spec": stamp["spec"], "run": stamp.get("run")},
        "tensors": len(entries),
        "recipe": stamp.get("source"),
    }


def told_of(artifact: Artifact, where: str) -> Told:
    """A recipe as it was pushed."""
    return {
        "kind": "packed recipe",
        "where": where,
        "name": artifact.name,
        "version": artifact.version or None,
        "artifact_type": RECIPE,
        "digests": {"manifest": artifact.digest, "spec": artifact.spec or None},
        "annotations": dict(artifact.manifest.annotations),
        "files": [d.title for d in artifact.manifest.layers],
        "size": sum(d.size for d in artifact.manifest.layers),
    }

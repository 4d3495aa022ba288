"""What a finished run says of itself: an in-toto statement whose subjects are the model's files.

https://github.com/in-toto/attestation, Statement v1. The predicate tells what
was run, in what, and what was measured; `files` holds the digests of everything
else that the run left, so that one signature covers the folder.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from recipelang.engine.leavings import written_by_runs
from recipelang.planning.types import Plan
from recipelang.spec.canonical import digest
from recipelang.storage.forms import Digest, Form
from recipelang.storage.reading import Unreadable, Why, read_model, read_text, sha256

#: in the folder `recipe/`
STATEMENT = "statement.json"
InToto = Literal["https://in-toto.io/Statement/v1"]
OfRun = Literal["https://recipelang.dev/run/v1"]
STATEMENT_TYPE: InToto = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: OfRun = "https://recipelang.dev/run/v1"
#: a longer recipe is not put into the header of weights
MAX_SOURCE = 64 * 1024
#: written after the statement, or changed by later commands: nothing of the model
_LATER = ("report.html", "plots", "checkpoints", "export", ".lock")

Origin = Mapping[str, Any]


class OriginForm(Form):
    """`recipe/origin.json`, as `provenance.carried` writes it."""

    name: str
    version: str | None
    license: str | None
    authors: list[str]
    cites: list[str]
    tags: list[str]
    summary: str | None
    reported: list[str]
    parameters: dict[str, str]
    references: dict[str, str]
    contents: dict[str, Digest]


def read_origin(out: Path, code: str = "E137") -> dict[str, Any]:
    """`recipe/origin.json`; empty where there is none, which some early runs lack. A coded error for a damaged one."""
    try:
        return read_model(out / "recipe" / "origin.json", OriginForm, inside=out).model_dump()
    except Unreadable as error:
        if error.why is Why.MISSING:
            return {}
        help = "restore it, or start again with `run --overwrite`" if code == "E083" else ""
        raise error.coded(code, help=help) from None


def lock_digest(out: Path) -> str | None:
    path = out / "recipe" / "recipe.lock"
    return "sha256:" + sha256(path, inside=out) if path.is_file() else None


def run_digest(plan: Plan, lock: str | None, environments: Sequence[Mapping[str, Any]]) -> str:
    """The same for two runs that must give the same weights, on machines of one kind.

    `environments`: of every part of the run that was done in another one, the first with nothing else.
    """
    form: dict[str, object] = {
        "spec": plan.spec_digest,
        "lock": lock,
        "model": plan.model.digest,
        "plugins": plan.plugins,
        "seed": str(plan.seed),
        "rehearsal": None if plan.rehearsal is None else str(plan.rehearsal),
        "environments": environments,
    }
    if templates := {d.label: d.chat.template for d in plan.data if d.chat}:
        form["chat_templates"] = templates
    return digest(form)


def stamps(plan: Plan, out: Path, run: str) -> dict[str, str]:
    """What every weight file says of itself in its own header."""
    origin = read_origin(out)
    found = {"format": "pt", "recipe.name": plan.name, "recipe.spec": plan.spec_digest, "recipe.run": run}
    if origin.get("version"):
        found["recipe.version"] = str(origin["version"])
    portable = out / "recipe" / "portable.recipe"
    if portable.is_file() and portable.stat().st_size <= MAX_SOURCE:
        found["recipe.source"] = read_text(portable, MAX_SOURCE, inside=out)
        if contents := origin.get("contents"):  # what the local names of that text stand for
            found["recipe.contents"] = json.dumps(contents, sort_keys=True)
    return found


def statement(
    plan: Plan, out: Path, record: Mapping[str, Any], more: Mapping[str, Any], record_text: str
) -> dict[str, Any]:
    """`more`: what only the run knows, such as exact zeros by tensor; `record_text`: `run.json` as it will be."""
    found = _files(out)
    model = {n: d for n, d in found.items() if "/" not in n and n not in ("README.md", "run.json")}
    others = {n: d for n, d in found.items() if n not in model}
    others["run.json"] = hashlib.sha256(record_text.encode("utf-8")).hexdigest()
    events = {n: d for n, d in others.items() if n.startswith("tensorboard/")}
    origin = read_origin(out)
    predicate = {
        "format_version": "1.0",
        "name": plan.name,
        "version": origin.get("version"),
        "status": record["status"],
        "rehearsal": plan.rehearsal,
        "digests": {**record["digests"], "lock": lock_digest(out), "event_log": digest(events)},
        "seed": plan.seed,
        "stage_seeds": {s.name: s.seed for s in plan.stages},
        "parameters": origin.get("parameters", {}),
        "references": origin.get("references", {}),
        "contents": origin.get("contents", {}),
        "environment": record["environment"],
        "time": record["time"],
        "metrics": record["metrics"],
        **({"figures": record["figures"]} if record.get("figures") else {}),
        "claims": record["claims"],
        **more,
        "files": dict(sorted(others.items())),
    }
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": n, "digest": {"sha256": d}} for n, d in sorted(model.items())],
        "predicateType": PREDICATE_TYPE,
        "predicate": predicate,
    }


def _files(out: Path) -> dict[str, str]:
    """Path below the folder -> sha256, of all that the run has left and nothing else that somebody put there.

    The statement itself is not there yet.
    """
    found = {}
    for path in sorted(out.rglob("*")):
        name = path.relative_to(out).as_posix()
        later = name.split("/")[0] in _LATER or name.startswith("recipe/statement.") or "/.recipe" in f"/{name}"
        if path.is_file() and not path.is_symlink() and not later and written_by_runs(name):
            found[name] = sha256(path, inside=out)
    return found

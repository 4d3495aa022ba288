"""A published recipe: is it what its digests say, who put a name under it, and what do its runs say of themselves?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from recipelang.artifact.contents import Artifact
from recipelang.artifact.lock import parse_lock
from recipelang.artifact.referrers import BUNDLE, STATEMENT, Referrer
from recipelang.engine.records import Measurements
from recipelang.engine.statement import STATEMENT_TYPE
from recipelang.provenance.checks import Check, Verified
from recipelang.provenance.signing import Policy, opened, signed
from recipelang.provenance.statement import Statement, parse_statement
from recipelang.provenance.verify import told_claims
from recipelang.source import RecipeError, fail
from recipelang.source.render import line_of
from recipelang.source.words import plural
from recipelang.spec.claims import judge, selectors
from recipelang.spec.recipe import Recipe
from recipelang.storage.forms import OpenForm
from recipelang.storage.reading import Unreadable, Why
from recipelang.storage.strict_json import parse_model
from recipelang.version import __version__

#: of a statement of which recipe an artifact is
PREDICATE_TYPE = "https://recipelang.dev/recipe/v1"


class Subject(OpenForm):
    digest: dict[str, str]


class Signed(OpenForm):
    """An in-toto statement of anything."""

    predicateType: str
    subject: list[Subject]


def recipe_statement(artifact: Artifact) -> bytes:
    """What a signature of a published recipe is of: an in-toto statement whose subject is its manifest."""
    predicate = {"spec": artifact.spec or None, "name": artifact.name, "version": artifact.version or None}
    form = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": artifact.entry, "digest": {"sha256": artifact.digest.removeprefix("sha256:")}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": predicate,
    }
    return json.dumps(form, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8")


def sign_published(artifact: Artifact, key: Path) -> tuple[Referrer, str]:
    """The signature to attach, and the fingerprint of the key. E144, E145."""
    bundle, signer = signed(recipe_statement(artifact), key)
    return Referrer(BUNDLE, json.dumps(bundle, sort_keys=True, separators=(",", ":")).encode("utf-8")), signer


def verify_published(
    artifact: Artifact, recipe: Recipe | None, said: Sequence[Referrer], policies: Sequence[Policy], done: Verified
) -> None:
    """An artifact that was read from its place, which has compared every file with its digest."""
    version = f" {line_of(artifact.version)}" if artifact.version else ""
    count, size = len(artifact.manifest.layers), sum(d.size for d in artifact.manifest.layers)
    done.checks.append(Check(1, "manifest", "ok", f"of `{line_of(artifact.name)}`{version}, {artifact.digest[:19]}"))
    done.checks.append(Check(1, "files", "ok", f"{count} files, {size / 1e3:,.1f} kB, all match the manifest"))
    if artifact.spec:
        told = f"the files evaluate to spec {artifact.spec.removeprefix('sha256:')[:8]}"
    else:
        told = "the files are intact; some values are not set"
    done.checks.append(Check(1, "recipe", "ok", told))
    if artifact.lock is not None:
        lock = artifact.lock
        done.run(1, "lock", lambda: _lock(lock, artifact))
    runs: list[Statement] = []
    left: list[str] = []
    statements = [r.data for r in said if r.artifact_type == STATEMENT]
    if statements:
        done.run(1, "runs", lambda: _runs(statements, artifact, recipe, runs, left))
        done.notes += left
    bundles = [r.data for r in said if r.artifact_type == BUNDLE]
    theirs: list[Statement] = []
    for policy in policies:
        own: list[str] = []
        signed_by = partial(_signature, bundles, artifact, runs, policy, theirs, own)
        if done.run(2, "signature", signed_by) and not own:
            # the statement of a run names the experiment, but neither comments nor the page
            done.unchecked.append("signature of the files (only a run is signed)")
    if not policies:
        told = "name its signer with `--key` or `--identity`" if bundles else "the recipe is not signed"
        done.checks.append(Check(2, "signature", "not done", told))
    for level, what in ((3, "weights"), (4, "evaluations")):
        done.checks.append(Check(level, what, "not done", "a recipe has none; `recipelang verify DIR` checks a run"))  # type: ignore[arg-type]
    if runs and recipe is not None:
        told_by = [r for r in runs if r in theirs] or runs  # anybody who may push can attach a later run
        done.claims = told_claims(recipe, told_by[-1], None, frozenset())
        if policies and not theirs:
            done.notes.append("the claims below come from a run that is not signed by the key or identity you named")


def _lock(data: bytes, artifact: Artifact) -> str:
    lock = parse_lock(data, "the lock of the artifact")
    if lock.spec != artifact.spec:
        raise fail("E138", "its lock belongs to another recipe", help="ask the publisher to push it again")
    return f"pins {plural(len(lock.refs), 'reference')}"


def _runs(
    statements: Sequence[bytes], artifact: Artifact, recipe: Recipe | None, runs: list[Statement], left: list[str]
) -> str:
    """The oldest first. Those that the Hub lists may be of other versions; to `left`, what no run can say."""
    for data in statements:
        found = parse_statement(data)
        if found.digests["spec"] == artifact.spec:
            if wrong := unbelievable(found, recipe):
                left.append(f"a statement about this recipe is ignored: {wrong}")
            else:
                runs.append(found)
    runs.sort(key=lambda r: str(r.predicate.get("time")))
    if not runs and left:
        raise fail("E138", "the attached statement does not describe a run", notes=left, help="do not trust its claims")
    if not runs:
        raise fail("E138", "the attached run belongs to another recipe", help="do not trust its claims")
    return f"{plural(len(runs), 'run')} of this recipe attested, each by whoever ran it"


def unbelievable(said: Statement, recipe: Recipe | None) -> str:
    """Why a statement is not of a finished run of this recipe, whatever its digests are; empty where it may be."""
    p = said.predicate
    if p["status"] != "finished":
        return "the run did not finish"
    if p.get("rehearsal") is not None:
        return "the run was a rehearsal"
    if recipe is None:
        return ""
    if [c.get("kind") for c in p["claims"]] != [c.kind for c in recipe.claims]:
        return "its claims differ from the recipe's"
    seen = Measurements(dict(p["metrics"]), figures=dict(p.get("figures", {})))
    same_words = p["environment"].get("recipelang") == __version__
    for claim, told in zip(recipe.claims, p["claims"], strict=True):
        if selectors(replace(recipe, claims=(claim,))):
            continue  # of the weights, which are not here
        (verdict,) = judge(replace(recipe, claims=(claim,)), seen)
        if verdict.met != told.get("met") or (same_words and verdict.measured != told.get("measured")):
            return f"`{line_of(claim.kind)} {line_of(claim.text)}` does not match what the run measured"
    return ""


def _signature(
    bundles: Sequence[bytes],
    artifact: Artifact,
    runs: Sequence[Statement],
    policy: Policy,
    theirs: list[Statement],
    own: list[str],
) -> str:
    """Of the recipe itself, whose signer goes to `own`, or of the statement of a run of it: those go to `theirs`."""
    if not bundles:
        raise fail("E143", "the recipe is not signed", help="sign it with `recipelang sign REF --key FILE`")
    wrong: list[RecipeError] = []
    by_whom: dict[str, str] = {}
    for bundle in bundles:
        try:
            payload, signer = opened(bundle, policy)
        except RecipeError as error:
            wrong.append(error)
            continue
        if _names(payload, artifact):
            by_whom["the recipe"] = signer
            own.append(signer)
        elif of := [r for r in runs if r.raw == payload]:
            by_whom["the statement of one of its runs"] = signer
            theirs += of
    if by_whom:
        both = " and ".join(sorted(by_whom))  # one policy, so one signer
        return f"{both} {'are' if len(by_whom) > 1 else 'is'} signed by {next(iter(by_whom.values()))}"
    if len(wrong) == len(bundles):
        raise wrong[0]
    raise fail("E142", "the signature belongs to another recipe", help="do not trust it; ask the publisher")


def _names(payload: bytes, artifact: Artifact) -> bool:
    try:
        form = parse_model(payload, Signed)
    except ValueError as error:
        raise Unreadable(Path("the signed statement"), Why.DAMAGED, str(error)).coded("E137") from None
    wanted = artifact.digest.removeprefix("sha256:")
    return form.predicateType == PREDICATE_TYPE and any(s.digest.get("sha256") == wanted for s in form.subject)

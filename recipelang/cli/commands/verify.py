"""`recipelang verify`: whether a model is what its run recorded, and whether its claims hold."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from recipelang.cli import complete, options, screen
from recipelang.cli.exit_codes import Exit
from recipelang.source import RecipeError

if TYPE_CHECKING:
    from recipelang.provenance.checks import Verified
    from recipelang.provenance.signing import Policy

#: of what was published: it is not what it says; other codes tell that it could not be looked at
_NOT_SOUND = ("E122", "E123", "E124", "E125", "E126")


def verify(
    where: str = typer.Argument(
        ...,
        metavar="DIR|FILE|REF",
        help="The output folder of a run, one weight file, or the reference of a published recipe.",
        autocompletion=complete.what_tells,
    ),
    key: Path | None = typer.Option(None, "--key", metavar="PUB", help="Require a signature by this public key (PEM)."),
    identity: str | None = typer.Option(
        None, "--identity", metavar="WHO", help="Require a keyless signature by this identity."
    ),
    issuer: str | None = typer.Option(
        None, "--issuer", metavar="URL", help="Set the issuer that confirms the identity."
    ),
    weights: bool = typer.Option(True, "--weights/--no-weights", help="Count zeros and patterns again, or skip this."),
    evaluate: bool = typer.Option(False, "--evaluate", help="Repeat the evaluations; this needs the data and time."),
    allow_private: options.AllowPrivate = False,
    form: options.OrJson = options.FullOrJson.full,
) -> None:
    """Verify the files, the signature, the weights and the evaluations of a run.

    1 digests: every file has the digest in the run's statement, the recipe evaluates
    to the recorded spec digest, and the weight files are stamped with it.

    2 signature: the statement is signed by the key or identity that you name. Without
    `--key` or `--identity`, the author is not checked.

    3 weights: zeros, patterns and `never` are counted again in the weight files, and
    the claims are checked against the counts. This needs neither torch nor a GPU.

    4 evaluations (`--evaluate`): the metrics are measured again.

    For each claim the table shows who measured it. For a weight file, only its header is
    checked; for a published recipe, its files, its signature and its attestations.
    Exit code 5 means that a check failed.

    Examples:

      recipelang verify runs/first

      recipelang verify runs/first --key author.pub --evaluate

      recipelang verify model.safetensors

      recipelang verify oci://ghcr.io/example/recipes/squad:1.0.0 --key author.pub
    """
    from recipelang.artifact.places import is_packed
    from recipelang.provenance.checks import Verified
    from recipelang.provenance.contents import verify_digests
    from recipelang.provenance.signing import Policy, check_key
    from recipelang.provenance.verify import verify_file
    from recipelang.source import fail

    if (identity is None) != (issuer is None):
        raise typer.BadParameter("--identity and --issuer go together")
    policies = []
    if key is not None:
        check_key(key)
        policies.append(Policy(key))
    if identity is not None and issuer is not None:
        policies.append(Policy(None, identity, issuer))
    path, done = Path(where), Verified()
    if is_packed(where):
        _published(where, done, policies, allow_private)
    elif not os.path.lexists(where):
        help = "name the output folder of a run, a weight file, or where a recipe was pushed to"
        raise fail("E135", f"there is nothing at `{where}`", help=help)
    elif os.path.isdir(where):
        if verify_digests(path, done) is not None:
            _signature(path, done, policies)
            _measure(path, done, weights, evaluate)
    else:
        verify_file(path, done)
    if form is options.FullOrJson.json:
        print(_json(where, done))
    else:
        from recipelang.cli.screen.verify import show

        show(where, done)
    if not done.ok:
        raise typer.Exit(Exit.VERIFICATION_FAILED)


def _published(where: str, done: Verified, policies: list[Policy], allow_private: bool) -> None:
    """A recipe where it was pushed to; that is asked anew, whatever the cache holds."""
    from recipelang.artifact.fetch import Fetching
    from recipelang.artifact.places import get, said_of
    from recipelang.loading.files import bundled
    from recipelang.loading.locking import allowed_hosts
    from recipelang.provenance.checks import Check
    from recipelang.provenance.published import verify_published

    allowed = allowed_hosts(where, allow_private)
    fetching = Fetching(bundled, allowed)
    try:
        artifact = get(where, fetching, anew=True)
        said = said_of(artifact, where, allowed)
    except RecipeError as error:
        if not any(d.code in _NOT_SOUND for d in error.diagnostics):
            raise
        done.checks.append(Check(1, "manifest", "failed", error.diagnostics[0].message, tuple(error.diagnostics)))
        return
    verify_published(artifact, fetching.recipes[artifact.digest], said, policies, done)


def _signature(folder: Path, done: Verified, policies: list[Policy]) -> None:
    from recipelang.provenance import signing

    for policy in policies:
        done.run(2, "signature", lambda policy=policy: signing.verify_run(folder, policy))  # type: ignore[misc]
    if not policies:
        there = os.path.lexists(signing.signature_path(folder))
        if there:
            if not done.run(2, "signature", lambda: signing.of_this_statement(folder)):
                return
            done.checks.pop()  # by whom was not asked
        told = "name its signer with `--key` or `--identity`" if there else "the run is not signed"
        done.not_done(2, "signature", told)


def _measure(folder: Path, done: Verified, weights: bool, evaluate: bool) -> None:
    from recipelang.provenance.contents import plan_of, recipe_of
    from recipelang.provenance.recount import verify_weights
    from recipelang.provenance.verify import judge_claims

    said = done.statement
    assert said is not None
    measured, here = None, dict[str, float]()
    if weights:
        measured = verify_weights(folder, said, done)
    else:
        done.not_done(3, "weights", "skipped by `--no-weights`")
    if evaluate and any(c.outcome == "failed" for c in done.checks):
        done.not_done(4, "evaluations", "models that fail an earlier check are not loaded")
    elif evaluate:
        from recipelang.provenance.evaluations import compare, evaluate_again

        def again() -> str:
            here.update(evaluate_again(folder, plan_of(folder), recipe_of(folder), said.predicate["contents"]))
            return compare(here, said.predicate["metrics"])

        if done.run(4, "evaluations", again) and len(plan_of(folder).stages) > 1:
            done.unchecked.append("evaluations of earlier stages")
    else:
        done.not_done(4, "evaluations", "use `--evaluate` to repeat them")
    judge_claims(folder, said, done, measured, here)


def _json(where: str, done: Verified) -> str:
    found = {
        "format_version": "1.0",
        "verified": done.ok,
        "where": where,
        "checks": [
            {
                "level": c.level,
                "what": c.what,
                "outcome": c.outcome,
                "told": c.told,
                "findings": [{"code": d.code, "message": d.message} for d in c.findings],
            }
            for c in done.checks
        ],
        "claims": [
            {"claim": c.text, "expected": c.expected, "measured": c.measured, "met": c.met, "by": c.by}
            for c in done.claims
        ],
        "notes": done.notes,
        "not_checked": done.open,
    }
    return screen.json_text(found)

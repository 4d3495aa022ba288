"""Is this what was run, and does it hold what is claimed? Levels: digests, signature, weights, evaluations.

Nothing found is believed because it is written down: files are compared with
the statement, the statement with the recipe, and claims with the weights. A
check that fails is a finding with a code; those after it still run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from recipelang.engine.records import Measurements
from recipelang.provenance.checks import ClaimTold, Source, Verified
from recipelang.provenance.contents import plan_of, recipe_of, verify_digests
from recipelang.provenance.figures import repeated
from recipelang.provenance.recheck import canonical, digest_of_text, evaluated
from recipelang.provenance.recount import verify_weights
from recipelang.provenance.safe_json import parse_object
from recipelang.provenance.stamp import recipe_stamp
from recipelang.provenance.statement import Statement
from recipelang.source import RecipeError, fail
from recipelang.source.render import line_of
from recipelang.source.words import plural
from recipelang.spec.claims import judge
from recipelang.spec.figures import is_time
from recipelang.spec.recipe import Recipe


def verify_file(path: Path, done: Verified) -> None:
    """A weight file by itself: what its header says, and whether that fits together. E135 for another file."""
    if path.suffix != ".safetensors":
        help = "name a run's folder, a `.safetensors` file, or the reference of a pushed recipe"
        raise fail("E135", f"`{line_of(path.name)}` holds no record of a run", help=help)
    stamp: dict[str, str] = {}

    def header() -> str:
        stamp.update(recipe_stamp(path))
        if "spec" not in stamp:
            help = "name the folder of a run, or a file that `recipelang run` wrote"
            raise fail("E135", f"`{line_of(path.name)}` holds no record of a run", help=help)
        return f"made by `{line_of(stamp.get('name', '?'))}`, spec {line_of(stamp['spec'].removeprefix('sha256:')[:8])}"

    def recipe() -> str:
        contents = parse_object(stamp.get("contents", "{}").encode("utf-8", "surrogatepass"), "recipe.contents")
        if digest_of_text(canonical(evaluated(stamp["source"], path.name), contents)) != stamp["spec"]:
            message = f"the recipe in the header of `{line_of(path.name)}` differs"
            raise fail("E138", message, help="the header was changed after the run")
        return "the recipe in the header evaluates to this digest"

    if done.run(1, "header", header) and "source" in stamp:
        done.run(1, "recipe", recipe)


# ------------------------------------------------------------------------- claims
class _Watched(dict[str, float]):
    """Metrics, and which of them a claim looked at."""

    def __init__(self, metrics: Mapping[str, float]) -> None:
        super().__init__(metrics)
        self.seen: set[object] = set()

    def __contains__(self, name: object) -> bool:
        self.seen.add(name)
        return super().__contains__(name)


def told_claims(
    recipe: Recipe, said: Statement, measured: Measurements | None, here: frozenset[str]
) -> list[ClaimTold]:
    """Every claim, judged again by what was measured here; `here`: metrics and figures that were. E140 is for the
    caller."""
    run = said.predicate["claims"]
    told = []
    for i, claim in enumerate(recipe.claims):
        text = f"{claim.kind} {claim.text}"
        if measured is not None:
            metrics, figures = _Watched(measured.metrics), _Watched(measured.figures)
            (verdict,) = judge(replace(recipe, claims=(claim,)), replace(measured, metrics=metrics, figures=figures))
            by: Source = "re-measured here" if metrics.seen | figures.seen <= here else "measured by the run"
            if any(is_time(str(text)) for text in figures.seen):
                by = "recorded, not repeated"
            told.append(ClaimTold(text, verdict.expected, verdict.measured, verdict.met, by))
        else:
            found = run[i] if i < len(run) else {}  # in the order of the recipe, under the names of its parameters
            met = found.get("met")
            values = (str(found.get("expected", "?")), str(found.get("measured", "?")))
            told.append(ClaimTold(text, *values, met if isinstance(met, bool) else None, "claimed"))
    return told


def judge_claims(
    folder: Path, said: Statement, done: Verified, measured: Measurements | None, here: Mapping[str, float]
) -> None:
    """The claims into `done`; E140 for one that comes out otherwise than the run has it. `here`: metrics done again."""
    try:
        recipe = recipe_of(folder)
        counted = frozenset() if measured is None else repeated(plan_of(folder), measured.figures)
    except RecipeError:
        return  # told already
    if measured is not None:
        measured.metrics = {**measured.metrics, **here}
    done.claims = told_claims(recipe, said, measured, counted | here.keys())
    if any(told.by == "recorded, not repeated" for told in done.claims):
        done.unchecked.append("speed (a time of another moment cannot be repeated)")
    if said.predicate.get("rehearsal") is not None:
        done.claims = [replace(told, met=None) for told in done.claims]
    if measured is None:
        return
    run = said.predicate["claims"]

    def claims() -> str:
        if run and [c.get("kind") for c in run] != [t.text.partition(" ")[0] for t in done.claims]:
            raise fail("E140", "the statement judges claims that are not in the recipe")
        rehearsed = said.predicate.get("rehearsal") is not None
        if run and rehearsed:
            raise fail("E140", "the statement judges claims, but a rehearsal judges none")
        if not run and not rehearsed:
            raise fail("E140", "the statement judges none of the recipe's claims")
        for was, told in zip(run, done.claims, strict=False):
            if was.get("met") is True and told.met is not True:
                raise fail(
                    "E140", f"`{line_of(told.text)}` does not hold: the measured value is {line_of(told.measured)}"
                )
            if was.get("met") is False and told.met is True and not here:
                raise fail("E140", f"`{line_of(told.text)}` holds, but the statement records that it does not")
        if not run:
            return "none checked (rehearsal)"
        held = sum(t.met is True for t in done.claims)
        return f"{held} of {plural(len(done.claims), 'claim')} hold"

    if done.claims:
        done.run(3, "claims", claims)


# ---------------------------------------------------------------------- a signature
def check_signable(folder: Path) -> Verified:
    """A run that holds in everything that can be checked without its data. E203 for another, with what does not hold."""
    done = Verified()
    said = verify_digests(folder, done)
    if said is None:
        raise RecipeError(done.findings)
    judge_claims(folder, said, done, verify_weights(folder, said, done), {})
    if not done.ok:
        first = fail(
            "E203",
            f"`{line_of(str(folder))}` is not signed, because it does not verify",
            help="`recipelang verify` shows all checks",
        )
        raise RecipeError([*first.diagnostics, *done.findings])
    return done

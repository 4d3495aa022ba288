"""Is this what was run, and does it hold what is claimed? Levels: digests, signature, weights, evaluations.

Nothing found is believed because it is written down: files are compared with
the statement, the statement with the recipe, and claims with the weights. A
check that fails is a finding with a code; those after it still run.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from recipelang.engine.records import Measurements, read_plan
from recipelang.plan.types import Plan
from recipelang.plan.zeros import Counted, Pattern, count
from recipelang.provenance.carried import ORIGIN, PORTABLE, SPEC
from recipelang.provenance.recheck import canonical, evaluated
from recipelang.provenance.safe_json import link, parse_object, read_bytes
from recipelang.provenance.stamp import recipe_stamp
from recipelang.provenance.statement import Statement, read_statement, statement_path
from recipelang.source import Diagnostic, RecipeError, fail
from recipelang.source.render import line_of
from recipelang.spec.check import Recipe
from recipelang.spec.claims import judge
from recipelang.storage.reading import sha256

#: beside the statement
SIGNATURE = "statement.sigstore.json"
#: not named by a statement, and yet read by those who load a folder
_LOADED = (
    ".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".h5", ".msgpack", ".gguf", ".onnx", ".py",
    ".json", ".model", ".txt", ".jinja",
)  # fmt: skip
#: written after the statement
_LATER = ("report.html", "plots", "checkpoints", ".lock")

Outcome = Literal["ok", "failed", "not done"]
Source = Literal["claimed", "measured by the run", "re-measured here"]


@dataclass(frozen=True)
class Check:
    level: int
    what: str
    outcome: Outcome
    told: str
    findings: tuple[Diagnostic, ...] = ()


@dataclass(frozen=True)
class ClaimTold:
    """A claim, what it came to, and who says so."""

    text: str
    expected: str
    measured: str
    met: bool | None
    by: Source


@dataclass
class Verified:
    checks: list[Check] = field(default_factory=list)
    claims: list[ClaimTold] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    statement: Statement | None = None

    @property
    def ok(self) -> bool:
        return all(c.outcome != "failed" for c in self.checks)

    @property
    def findings(self) -> list[Diagnostic]:
        """Each once: a link can be in the way of several checks."""
        return list(dict.fromkeys(d for c in self.checks for d in c.findings))

    def run(self, level: int, what: str, check: Callable[[], str]) -> bool:
        """One check: what it says when all is well, its findings otherwise."""
        try:
            self.checks.append(Check(level, what, "ok", check()))
            return True
        except RecipeError as error:
            found = tuple(error.diagnostics)
        except OSError as error:  # closed to us, or gone in between
            message = f"`{line_of(Path(str(error.filename)).name)}` cannot be read"
            found = tuple(fail("E137", message, notes=[str(error.strerror or error).lower()]).diagnostics)
        self.checks.append(Check(level, what, "failed", found[0].message, found))
        return False


# ---------------------------------------------------------------- level 1: digests
def verify_digests(folder: Path, done: Verified) -> Statement | None:
    """Files, recipe and headers against the statement, which is given back when it can be used."""
    found: list[Statement] = []

    def read() -> str:
        found.append(read_statement(folder))
        return f"of `{line_of(found[0].predicate['name'])}`, {len(found[0].files)} files"

    if not done.run(1, "statement", read):
        return None
    said = done.statement = found[0]
    done.run(1, "files", lambda: _files(folder, said))
    done.run(1, "others", lambda: _others(folder, said, done))
    done.run(1, "recipe", lambda: _recipe(folder, said))
    done.run(1, "headers", lambda: _headers(folder, said))
    if said.digests.get("lock") is not None:
        done.run(1, "lock", lambda: _lock(folder, said))
    return said


def _files(folder: Path, said: Statement) -> str:
    bad: list[Diagnostic] = []
    total = 0
    for name, wanted in said.files.items():
        try:
            path = inside(folder, name)
            total += path.stat().st_size
            if sha256(path) != wanted:
                message = f"`{line_of(name)}` is not the file that the run wrote"
                help = "take it again from where it was published"
                bad.append(fail("E136", message, notes=["its sha256 is another one"], help=help).diagnostics[0])
        except RecipeError as error:
            bad += error.diagnostics
    if bad:
        raise RecipeError(bad)
    return f"{len(said.files)} files, {total / 1e6:,.1f} MB, each as the statement has it"


def inside(folder: Path, name: str) -> Path:
    """A regular file of the folder, reached through no link. E136 when it is missing, E139 for a link."""
    path = folder
    for part in name.split("/"):
        path = path / part
        if os.path.islink(path):
            raise link(path)
    if not os.path.isfile(path):
        raise fail("E136", f"`{line_of(name)}` is missing", help="take it again from where it was published")
    return path


def _others(folder: Path, said: Statement, done: Verified) -> str:
    """What a loader would read although the statement does not name it."""
    known = {*said.files, *(p.relative_to(folder).as_posix() for p in _of_statement(folder))}
    bad: list[Diagnostic] = []
    told: list[str] = []
    for path in walk(folder):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            bad += link(path).diagnostics
        elif name in known or name.split("/")[0] in _LATER:
            continue
        elif path.suffix.lower() in _LOADED and ("/" not in name or name.startswith("recipe/")):
            message = f"`{line_of(name)}` is not of this run"
            note = "the statement does not name it, and whoever loads this folder may read it"
            bad.append(fail("E136", message, notes=[note], help="move it elsewhere").diagnostics[0])
        else:
            told.append(name)
    if bad:
        raise RecipeError(bad)
    if told:
        shown = ", ".join(line_of(n) for n in told[:4]) + (", …" if len(told) > 4 else "")
        done.notes.append(f"not covered by the statement: {shown}")
    return "nothing in the folder pretends to be of the run"


def walk(folder: Path) -> list[Path]:
    """Every file and link below, without following one."""
    found = []
    for here, folders, names in os.walk(folder, followlinks=False):
        found += [Path(here, n) for n in names]
        found += [Path(here, n) for n in folders if Path(here, n).is_symlink()]
    return sorted(found)


def _of_statement(folder: Path) -> list[Path]:
    path = statement_path(folder)
    return [path, path.with_name(SIGNATURE)]


def _recipe(folder: Path, said: Statement) -> str:
    """The recipe, the canonical form and the digest name one experiment, and the rest of `recipe/` agrees."""
    spec = said.digests["spec"]
    form = read_bytes(inside(folder, f"recipe/{SPEC}"))
    if f"sha256:{hashlib.sha256(form).hexdigest()}" != spec:
        raise _other(f"`recipe/{SPEC}` is of another experiment")
    recipe = recipe_of(folder)
    if canonical(recipe, said.predicate["contents"]).encode("utf-8", "surrogatepass") != form:
        raise _other(f"`recipe/{PORTABLE}` is of another experiment")
    origin = parse_object(read_bytes(inside(folder, f"recipe/{ORIGIN}")), ORIGIN)
    if origin.get("contents") != said.predicate["contents"]:
        raise _other(f"`recipe/{ORIGIN}` names other contents")
    plan = plan_of(folder)
    if (plan.spec_digest, plan.behaviour_digest) != (spec, said.digests["behaviour"]):
        raise _other("`recipe/plan.json` is of another experiment")
    return f"evaluates to spec {spec.removeprefix('sha256:')[:8]}"


def recipe_of(folder: Path) -> Recipe:
    data = read_bytes(inside(folder, f"recipe/{PORTABLE}"))
    return evaluated(data.decode("utf-8", "replace"), f"recipe/{PORTABLE}")


def plan_of(folder: Path) -> Plan:
    inside(folder, "recipe/plan.json")
    return read_plan(folder)


def _other(message: str) -> RecipeError:
    return fail("E138", message, help="the recipe or the statement was changed after the run")


def _headers(folder: Path, said: Statement) -> str:
    names = [n for n in said.subjects if n.endswith(".safetensors")]
    if not names:
        raise fail("E137", "the statement names no weights")
    for name in names:
        stamp = recipe_stamp(inside(folder, name))
        for key in ("spec", "run"):
            if stamp.get(key) != said.digests[key]:
                message = f"the header of `{line_of(name)}` names another {key}"
                raise fail("E138", message, help="the weights and the statement are of different runs")
    return f"{len(names)} weight file{'s' * (len(names) > 1)}, stamped with this run"


def _lock(folder: Path, said: Statement) -> str:
    if f"sha256:{sha256(inside(folder, 'recipe/recipe.lock'))}" != said.digests["lock"]:
        raise fail("E136", "`recipe/recipe.lock` is not the lock of this run")
    return "the lock of this run"


def verify_file(path: Path, done: Verified) -> None:
    """A weight file by itself: what its header says, and whether that fits together. E135 for another file."""
    if path.suffix != ".safetensors":
        help = "name a run's folder, a `.safetensors` file, or where a recipe was pushed to"
        raise fail("E135", f"`{line_of(path.name)}` does not tell how it was made", help=help)
    stamp: dict[str, str] = {}

    def header() -> str:
        stamp.update(recipe_stamp(path))
        if "spec" not in stamp:
            help = "name the folder of a run, or a file that `recipelang run` wrote"
            raise fail("E135", f"`{line_of(path.name)}` does not say how it was made", help=help)
        return f"made by `{line_of(stamp.get('name', '?'))}`, spec {line_of(stamp['spec'].removeprefix('sha256:')[:8])}"

    def recipe() -> str:
        contents = parse_object(stamp.get("contents", "{}").encode("utf-8", "surrogatepass"), "recipe.contents")
        if digest_of_text(canonical(evaluated(stamp["source"], path.name), contents)) != stamp["spec"]:
            raise _other(f"the recipe in the header of `{line_of(path.name)}` is another one")
        return "the recipe in the header evaluates to that digest"

    if done.run(1, "header", header) and "source" in stamp:
        done.run(1, "recipe", recipe)


def digest_of_text(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


# --------------------------------------------------------------- level 3: weights
def verify_weights(folder: Path, said: Statement, done: Verified) -> Measurements | None:
    """Zeros, patterns and `never` counted again; what claims are judged by comes back."""
    measured: list[Measurements] = []

    def weights() -> str:
        plan = plan_of(folder)
        every = [p for s in plan.stages for p in s.prunes if p.pattern != "unstructured"]
        planned = tuple(sorted({(p.pattern, p.pattern_size) for p in every}))
        counted = _count_all(folder, said, planned)
        _compare(counted, said.predicate)
        measured.append(_measurements(counted, plan, said.predicate["metrics"]))
        zeros, size = sum(c.zeros for c in counted.values()), sum(c.size for c in counted.values())
        return f"{len(counted)} tensors, {zeros / max(1, size):.2%} of all weights are zero, as the run counted"

    def never() -> str:
        counted = measured[0]
        before = said.predicate["never"]
        gained = [n for n, zeros in before.items() if counted.zeros.get(n, 0) > zeros]
        if gained:
            raise fail("E140", f"`{line_of(gained[0])}` is protected by `never`, and gained zeros")
        return f"{len(before)} protected tensors gained no zeros"

    if not done.run(3, "weights", weights):
        return None
    done.run(3, "never", never)
    return measured[0]


def _count_all(folder: Path, said: Statement, patterns: tuple[Pattern, ...]) -> dict[str, Counted]:
    found: dict[str, Counted] = {}
    for name in said.subjects:
        if name.endswith(".safetensors"):
            found.update(count(inside(folder, name), patterns))
    return found


def _compare(counted: Mapping[str, Counted], predicate: Mapping[str, Any]) -> None:
    bad = []
    for name, claimed in predicate["tensors"].items():
        found = counted.get(name)
        if found is None:
            bad.append(fail("E140", f"the weights lack `{line_of(name)}`").diagnostics[0])
        elif (found.zeros, found.size) != (claimed["zeros"], claimed["size"]):
            message = f"`{line_of(name)}` has {found.zeros:,} zeros, claimed are {claimed['zeros']:,}"
            bad.append(fail("E140", message, help="these are not the weights that the run measured").diagnostics[0])
    for name, patterns in predicate["patterns"].items():
        kept = {pattern_text(*p) for p in counted[name].patterns} if name in counted else set()
        if not set(patterns) <= kept:
            message = f"`{line_of(name)}` does not keep to {line_of(', '.join(patterns))}, as is claimed"
            bad.append(fail("E140", message).diagnostics[0])
    if bad:
        raise RecipeError(bad)


def pattern_text(kind: str, size: tuple[int, int]) -> str:
    return f"{size[0]}:{size[1]}" if kind == "N:M" else f"{kind}({size[0]}, {size[1]})"


def _measurements(counted: Mapping[str, Counted], plan: Plan, metrics: Mapping[str, float]) -> Measurements:
    return Measurements(
        dict(metrics),
        {n: c.zeros for n, c in counted.items()},
        {n: c.size for n, c in counted.items()},
        plan.selections,
        {n: c.patterns for n, c in counted.items()},
    )


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
    """Every claim, judged again by what was measured here; `here`: metrics that were. E140 is for the caller."""
    run = said.predicate["claims"]
    told = []
    for i, claim in enumerate(recipe.claims):
        text = f"{claim.kind} {claim.text}"
        if measured is not None:
            metrics = _Watched(measured.metrics)
            (verdict,) = judge(replace(recipe, claims=(claim,)), replace(measured, metrics=metrics))
            by: Source = "re-measured here" if metrics.seen <= here else "measured by the run"
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
    except RecipeError:
        return  # told already
    if measured is not None:
        measured.metrics = {**measured.metrics, **here}
    done.claims = told_claims(recipe, said, measured, frozenset(here))
    if measured is None:
        return
    run = said.predicate["claims"]

    def claims() -> str:
        if run and [c.get("kind") for c in run] != [t.text.partition(" ")[0] for t in done.claims]:
            raise fail("E140", "the statement judges other claims than the recipe makes")
        for was, told in zip(run, done.claims, strict=False):
            if was.get("met") is True and told.met is not True:
                raise fail("E140", f"`{line_of(told.text)}` does not hold: it came to {line_of(told.measured)}")
        if not run:
            return "none was judged by the run"
        held = sum(t.met is True for t in done.claims)
        return f"{held} of {len(done.claims)} hold"

    if done.claims:
        done.run(3, "claims", claims)

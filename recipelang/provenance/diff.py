"""Two evaluated recipes compared in what they mean: attribute by attribute, with the place of each.

What is compared is the canonical form of a value, so `0.9` and `90%` are one;
what is shown is the value as it would be written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from recipelang.source import Label
from recipelang.spec.blocks import EvaluateSpec, MetaSpec, Spec, StageSpec
from recipelang.spec.canonical import Identities, spec_digest
from recipelang.spec.claim_form import claim_form
from recipelang.spec.effective import ClaimParts, claim_text, shown
from recipelang.spec.metrics import METRICS
from recipelang.spec.recipe import Recipe
from recipelang.spec.references import references
from recipelang.spec.track import TrackSpec
from recipelang.values.selector import to_json

Group = Literal["behaviour", "claims", "references", "metadata"]
GROUPS: tuple[Group, ...] = ("behaviour", "claims", "references", "metadata")
#: what is told in a place of its own: `canonical.py` has them in digests under other names
_SEED = "seed"


@dataclass(frozen=True)
class Side:
    """A value as it would be written, and where it was."""

    text: str
    at: Label | None = None


@dataclass(frozen=True)
class Change:
    group: Group
    path: str
    before: Side | None
    after: Side | None


@dataclass(frozen=True)
class Diff:
    same: bool  # the spec digests are equal
    digests: tuple[str, str]
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class _Entry:
    group: Group
    form: str
    side: Side


def diff(a: Recipe, b: Recipe, known_a: Identities, known_b: Identities) -> Diff:
    """`known`: local references of each -> digests of their contents; of those not given, paths are compared."""
    digests = spec_digest(a, known_a), spec_digest(b, known_b)
    before, after = dict(_entries(a, known_a)), dict(_entries(b, known_b))
    changes = []
    for path in (*before, *(p for p in after if p not in before)):
        old, new = before.get(path), after.get(path)
        if old is None or new is None or old.form != new.form:
            group = (old or new).group  # type: ignore[union-attr]
            changes.append(Change(group, path, old.side if old else None, new.side if new else None))
    if digests[0] == digests[1]:  # one experiment: what is left is spelling, such as two names of one file
        changes = [c for c in changes if c.group == "metadata"]
    changes.sort(key=lambda c: GROUPS.index(c.group))
    return Diff(digests[0] == digests[1], digests, tuple(changes))


def _entries(recipe: Recipe, known: Identities) -> Iterator[tuple[str, _Entry]]:
    """Everything a recipe says, by path."""
    named = dict(references(recipe))
    yield _SEED, _Entry("behaviour", str(recipe.seed), Side(str(recipe.seed), recipe.label(_SEED)))
    yield "stages", _order(recipe)
    for path, spec in recipe.blocks():
        for name, attribute in spec.attributes().items():
            at = f"{path}.{name}"
            side = Side(shown(spec, name), recipe.label(at))
            if at in named:
                yield at, _Entry("references", known.get(named[at], named[at]), side)
            elif isinstance(spec, MetaSpec | TrackSpec):
                yield at, _Entry("metadata", side.text, side)
            else:
                group: Group = "behaviour" if attribute.digest == "b" and not _measures(path) else "claims"
                yield at, _Entry(group, _form(recipe, spec, name), side)
        if columns := getattr(spec, "columns", ()):
            yield f"{path}.columns", _Entry("behaviour", repr(columns), Side(repr(dict(columns)), recipe.label(path)))
    yield from _claims(recipe)
    for name in ("name", "doc"):
        text = getattr(recipe, name)
        yield name, _Entry("metadata", text, Side(text, recipe.label(name)))


def _order(recipe: Recipe) -> _Entry:
    names = ", ".join(s.name for s in recipe.stages)
    return _Entry("behaviour", names, Side(names, None))


def _measures(path: str) -> bool:
    return path.split(".", maxsplit=1)[0] in ("evaluate", "export")


def _form(recipe: Recipe, spec: Spec, name: str) -> str:
    value = getattr(spec, name)
    if isinstance(spec, EvaluateSpec) and name == "metrics":
        value = value or METRICS.get(recipe.model.task, ())
    if isinstance(spec, StageSpec) and name == "seed":
        value = recipe.seed if value is None else value
    attribute = spec.attributes()[name]
    if attribute.unordered and isinstance(value, tuple):
        value = tuple(sorted(set(value)))
    return to_json(None if value is None else attribute.kind.form(value))


def _claims(recipe: Recipe) -> Iterator[tuple[str, _Entry]]:
    """A claim has no name: it is what it says, and a changed one is another claim."""
    for claim in (*recipe.requires, *recipe.claims):
        form = to_json({claim.kind: claim_form(ClaimParts(recipe, claim), claim.condition)})
        side = Side(f"{claim.kind} {claim_text(recipe, claim)}", Label(recipe.source, claim.condition.span))
        yield f"claim {form}", _Entry("claims", form, side)


def consequences(before: Mapping[str, float], after: Mapping[str, float]) -> list[tuple[str, float, float]]:
    """What the plans come to, where they differ."""
    return [(n, v, after[n]) for n, v in before.items() if n in after and after[n] != v]

"""The variants of a study: every arm with every value and every seed, checked, and planned without torch."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from recipelang.loading.locking import beside
from recipelang.loading.read import NOTHING, Around, check_all
from recipelang.planning.budgets import with_chosen
from recipelang.planning.identities import identities, local_references
from recipelang.planning.references import local_path
from recipelang.planning.resolve import resolve
from recipelang.planning.tracking import with_settings
from recipelang.planning.types import Plan
from recipelang.source import Diagnostic, Diagnostics, Label, RecipeError
from recipelang.source.suggest import closest
from recipelang.spec.canonical import behaviour_digest, spec_digest, spec_form
from recipelang.spec.effective import effective
from recipelang.spec.params import Given
from recipelang.spec.recipe import Checked, Recipe
from recipelang.study.read import Arm, Search, Study, Vary

#: what a seed of a study is called where it is given to a recipe
_SEEDS = "seeds"
#: `validate` checks so many variants, or as many as hold so many characters
_CHECKED, _CHARACTERS = 100, 160 * 1024


@dataclass(frozen=True)
class Point:
    """An arm with one value of each varied parameter, as written: what differs within it is the seed alone."""

    arm: Arm
    values: tuple[tuple[str, str], ...]
    chosen: tuple[int, ...] = field(compare=False)  # which of its values each parameter has
    at: str = field(default="", compare=False)  # the values in the name of a folder

    @property
    def name(self) -> str:
        return f"{self.arm.name}/{self.at}".rstrip("/")


@dataclass(frozen=True)
class Variant:
    """One run. `text` is its recipe with every value written out."""

    point: Point
    seed: int | None
    recipe: Recipe = field(compare=False, repr=False)
    text: str = field(compare=False, repr=False)
    plan: Plan = field(compare=False, repr=False)

    @property
    def name(self) -> str:
        """`smc/target-90/seed-1`: where it lies below the study's folder."""
        return f"{self.point.name}/seed-{self.seed}" if self.seed is not None else f"{self.point.name}/run"


def slug(text: str) -> str:
    """A value in the name of a folder: `90%` is `90`, `2 epochs` is `2-epochs`, a path its last part."""
    text = text.strip("\"'").rstrip("/").rpartition("/")[2]
    return re.sub(r"[^\w.]+", "-", text.replace("%", "")).strip("-.").lower()[:40] or "empty"


def points(study: Study) -> list[Point]:
    if study.search is not None:
        return _corners(study, study.search)
    names = [_slugs(study, v) for v in study.vary]
    found = []
    for arm in study.arms:
        for chosen in itertools.product(*(range(len(v.values)) for v in study.vary)):
            values = tuple(
                (v.name, study.source.slice(v.values[i].span)) for v, i in zip(study.vary, chosen, strict=True)
            )
            at = "_".join(f"{v.name}-{n[i]}" for v, n, i in zip(study.vary, names, chosen, strict=True))
            found.append(Point(arm, values, chosen, at))
    return found


def _corners(study: Study, search: Search) -> list[Point]:
    """What is checked before a search begins: the ends of all ranges, and every choice."""
    found = []
    for i in range(max(len(r.ends) for r in search.ranges)):
        values = tuple((r.name, r.ends[min(i, len(r.ends) - 1)]) for r in search.ranges)
        found.append(Point(study.arms[0], values, tuple(0 for _ in values), f"end-{i + 1}"))
    return found


def _slugs(study: Study, vary: Vary) -> list[str]:
    """One for each value: two that would look alike are numbered."""
    plain = [slug(study.source.slice(v.span)) for v in vary.values]
    times = Counter(plain)
    return [p if times[p] == 1 else f"{p}-{i + 1}" for i, p in enumerate(plain)]


def variants(
    study: Study, around: Around = NOTHING, rehearsal: int | None = None, of: Sequence[Point] = ()
) -> list[Variant]:
    """All of them, in the order they run: first every arm and value with the first seed, then with the next.

    `around` comes from the command line. `RecipeError` with every mistake of every variant.
    """
    every = list(of) or points(study)
    found = Diagnostics()
    firsts: dict[Point, tuple[Checked, Plan | None]] = {}
    for point in every:
        checked = _checked(study, point, study.seeds[0], around, found, complete=True)
        plan = _planned(study, checked, beside(point.arm.of.name), found) if checked.recipe else None
        firsts[point] = checked, plan
    found.raise_errors()
    firsts = {p: (c, plan and plan.model_copy(update={"rehearsal": rehearsal})) for p, (c, plan) in firsts.items()}
    made = [_variant(study, point, seed, firsts[point], around, found) for seed in study.seeds for point in every]
    found.raise_errors()
    return made


def _variant(
    study: Study,
    point: Point,
    seed: int | None,
    first: tuple[Checked, Plan | None],
    around: Around,
    found: Diagnostics,
) -> Variant:
    """Where nothing but the seeds differs, the first one's plan stands for all; else each has its own."""
    checked, plan = first
    folder = beside(point.arm.of.name)
    if seed != study.seeds[0]:
        checked = _checked(study, point, seed, around, found, complete=True)
        found.raise_errors()
    recipe = checked.recipe
    assert recipe is not None and plan is not None
    known = identities(recipe, folder)
    if checked is not first[0]:
        assert first[0].recipe is not None
        if _without_seeds(recipe, known) == _without_seeds(first[0].recipe, known):
            plan = _seeded(plan, recipe)
        else:
            own = _planned(study, checked, folder, found)
            found.raise_errors()
            assert own is not None
            plan = own.model_copy(update={"rehearsal": plan.rehearsal})
    digests = {"spec_digest": spec_digest(recipe, known), "behaviour_digest": behaviour_digest(recipe, known)}
    paths = {r: str(local_path(r, folder).absolute()) for r in local_references(recipe)}
    return Variant(
        point,
        seed,
        recipe,
        effective(with_settings(with_chosen(recipe, plan), folder), paths),
        plan.model_copy(update=digests),
    )


def _without_seeds(recipe: Recipe, known: Mapping[str, str]) -> dict[str, object]:
    """All that a recipe says, but for its seeds."""
    stages = tuple(s.model_copy(update={"seed": None}) for s in recipe.stages)
    data = {label: d.model_copy(update={"seed": None}) for label, d in recipe.data.items()}
    return spec_form(replace(recipe, top=recipe.top.model_copy(update={"seed": 0}), stages=stages, data=data), known)


def _seeded(plan: Plan, recipe: Recipe) -> Plan:
    """A plan with the seeds of a recipe that is the same otherwise."""

    def seed(own: int | None) -> int:
        return recipe.seed if own is None else own

    stages = tuple(p.model_copy(update={"seed": seed(s.seed)}) for p, s in zip(plan.stages, recipe.stages, strict=True))
    data = tuple(
        d.model_copy(update={"seed": recipe.data[d.label].seed, "draw_seed": seed(recipe.data[d.label].seed)})
        for d in plan.data
    )
    return plan.model_copy(update={"seed": recipe.seed, "stages": stages, "data": data})


def _checked(
    study: Study,
    point: Point,
    seed: int | None,
    around: Around,
    found: Diagnostics,
    *,
    complete: bool,
) -> Checked:
    everything = {**around.given, **_given(study, point)}
    if seed is not None:
        everything["seed"] = Given(str(seed), _SEEDS, source=study.source, name_span=study.seeds_span)
    overlays = (*point.arm.overlays, *around.overlays)
    checked = check_all(point.arm.of, everything, complete=complete, overlays=overlays)
    found.extend([_placed(study, d) for d in checked.diagnostics if d.severity == "error"])
    return checked


def _given(study: Study, point: Point) -> dict[str, Given]:
    if study.search is not None:
        spans = {v.name: v.name_span for v in study.vary}
        return {n: Given(text, f"vary {n}", source=study.source, name_span=spans[n]) for n, text in point.values}
    return {
        vary.name: Given(text, f"vary {vary.name}", vary.values[i], study.source, vary.name_span)
        for vary, i, (_, text) in zip(study.vary, point.chosen, point.values, strict=True)
    }


def _placed(study: Study, d: Diagnostic) -> Diagnostic:
    """A finding in an arm, shown in the study's own text; its overlay has every word at the same place."""

    def label(at: Label) -> Label:
        if at.source.name == _SEEDS:
            return Label(study.source, study.seeds_span, at.text)
        if varied := next((v for v in study.vary if at.source.name == f"vary {v.name}"), None):
            return Label(study.source, varied.values[0].span, at.text)  # of a value that a search proposed
        if at.source.name != study.source.name:
            return at
        return Label(study.source, at.source.own(at.span), at.text)

    primary = label(d.primary) if d.primary else None
    return replace(
        d, primary=primary, secondary=tuple(map(label, d.secondary)), fixes=() if primary != d.primary else d.fixes
    )


def _planned(study: Study, checked: Checked, folder: Path, found: Diagnostics) -> Plan | None:
    own = Diagnostics()
    assert checked.recipe is not None
    plan = resolve(checked.recipe, folder, own)
    found.extend([_placed(study, d) for d in own.errors])
    return plan


def check_study(study: Study) -> Diagnostics:
    """Variants as `validate` sees them: without model and data. A parameter that lacks a value is fine.

    A study can ask for minutes of this: first come all arms and all values, one at a time, and W160 says where it ends.
    """
    found = Diagnostics()
    every = [(point, seed) for seed in study.seeds for point in points(study)]
    sizes = {arm.name: arm.size for arm in study.arms}
    characters = 0
    for number, (point, seed) in enumerate(sorted(every, key=lambda one: _apart(study, *one))):
        characters += sizes[point.arm.name]
        if number and (number >= _CHECKED or characters > _CHARACTERS):
            help = f"check all of them with `recipelang study {study.source.name} --plan`"
            message = f"only {number:,} of {len(every):,} variants were checked"
            found.say("W160", message, Label(study.source, study.seeds_span), help=help)
            break
        _checked(study, point, seed, NOTHING, found, complete=False)
    return found


def _apart(study: Study, point: Point, seed: int | None) -> int:
    """In how many choices a variant differs from the first one."""
    return (point.arm is not study.arms[0]) + (seed != study.seeds[0]) + sum(i > 0 for i in point.chosen)


def same_runs(study: Study, made: Sequence[Variant]) -> Diagnostics:
    """W120 for two arms that do the same, to the last bit: an arm without effect is a mistake of the study."""
    seen: dict[str, Variant] = {}
    twins: dict[tuple[str, str], list[Variant]] = {}
    for variant in made:
        first = seen.setdefault(variant.plan.behaviour_digest, variant)
        if first is not variant and first.seed == variant.seed == made[0].seed:
            twins.setdefault((variant.point.arm.name, first.point.arm.name), []).append(variant)
    found = Diagnostics()
    for (later, earlier), same in twins.items():
        at = Label(study.source, same[0].point.arm.span)
        where = ", ".join(v.point.at or "everywhere" for v in same)
        notes = (f"at {where}: no setting that determines the weights differs",) if study.vary else ()
        help = "check what the arm sets and patches, or remove these variants"
        what = (
            f"`{later}` and `{earlier}` are the same run"
            if later != earlier
            else f"`{later}` runs the same recipe twice"
        )
        found.say("W120", what, at, notes=notes, help=help)
    return found


def chosen(made: Sequence[Variant], patterns: Sequence[str]) -> list[Variant]:
    """The variants that a pattern names: a whole name, its beginning up to a `/`, or with `*`. E022 for none."""
    if not patterns:
        return list(made)
    kept: set[str] = set()
    for pattern in patterns:
        regex = re.compile("".join(".*" if c == "*" else re.escape(c) for c in pattern.rstrip("/")) + "(/.*)?")
        hits = {v.name for v in made if regex.fullmatch(v.name)}
        if not hits:
            parts = {v.name for v in made} | {v.point.name for v in made} | {v.point.arm.name for v in made}
            near = closest(pattern, parts)
            arms = ", ".join(f"`{a}`" for a in dict.fromkeys(v.point.arm.name for v in made))
            help = f"did you mean `{near}`?" if near else f"the arms are {arms}; `--plan` lists all variants"
            raise RecipeError(Diagnostic("E022", f"no variant is named `{pattern}`", help=(help,)))
        kept |= hits
    return [v for v in made if v.name in kept]

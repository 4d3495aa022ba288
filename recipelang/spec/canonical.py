"""The canonical form of an evaluated recipe, and its digests. `docs/document.md` tells what it looks like.

UTF-8 JSON, keys sorted, no white space, every number a string (an exact
decimal, else `p/q`), so comments, order, `let`s and spelling leave no trace.
`spec` covers the experiment with its claims; `behaviour` only what decides the
weights, without data that is only measured on. Local models and data enter as the digest of their contents.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Mapping
from typing import TypeVar

from recipelang.source import Diagnostic, Label, RecipeError
from recipelang.source.words import limit_text
from recipelang.spec.adapters import AdapterSpec
from recipelang.spec.blocks import Attr, DataSpec, EvaluateSpec, MixSpec, PruneSpec, Spec, StageSpec
from recipelang.spec.claim_form import claim_form
from recipelang.spec.controls import DropSpec, FreezeSpec, GroupSpec, ShrinkSpec
from recipelang.spec.effective import ClaimParts
from recipelang.spec.harness import HarnessSpec
from recipelang.spec.metrics import METRICS
from recipelang.spec.recipe import Claim, Recipe
from recipelang.spec.references import references
from recipelang.spec.watched import deciding
from recipelang.values.selector import joined, to_json

#: reference as written -> digest of the contents, for things that live on this machine
Identities = Mapping[str, str]

#: of the canonical JSON, in bytes; counted as it is built
MAX_BYTES = 1024 * 1024


def digest(form: object) -> str:
    return "sha256:" + hashlib.sha256(to_json(form).encode("utf-8", "surrogatepass")).hexdigest()


def spec_form(recipe: Recipe, identities: Identities) -> dict[str, object]:
    """The whole experiment. E043 when it is larger than `MAX_BYTES`."""
    return _Writer(recipe, identities, "bs").form()


def behaviour_form(recipe: Recipe, identities: Identities) -> dict[str, object]:
    """The same without `expect`, `prefer`, `evaluate`, `export`, and data that decides no weights."""
    return _Writer(recipe, identities, "b").form()


def spec_digest(recipe: Recipe, identities: Identities) -> str:
    return digest(spec_form(recipe, identities))


def behaviour_digest(recipe: Recipe, identities: Identities) -> str:
    return digest(behaviour_form(recipe, identities))


class _Writer:
    """`levels`: the attributes that take part, by `Attr.digest`."""

    def __init__(self, recipe: Recipe, identities: Identities, levels: str) -> None:
        self.recipe = recipe
        self.levels = levels
        self.size = 0
        self.judges = deciding(recipe)
        self.deciding = _deciding(recipe)
        self.contents = {path: identities[named] for path, named in references(recipe) if named in identities}

    def form(self) -> dict[str, object]:
        recipe = self.recipe
        whole = "s" in self.levels
        form: dict[str, object] = {"recipe": "1", "seed": str(recipe.seed), "model": self.block(recipe.model, "model")}
        data = {label: self.data(label) for label in sorted(recipe.data) if whole or label in self.deciding}
        form["data"] = self.named(data, "data")
        form["stages"] = [self.stage(stage) for stage in recipe.stages]
        if whole:
            evaluations = {e.name: self.block(e, f"evaluate.{e.name}") for e in _by_name(recipe.evaluations)}
            form["evaluate"] = self.named(evaluations, "evaluate")
            if recipe.harnesses:  # added to the language after the first digests, which do not change
                harnesses = {h.name: self.block(h, f"harness.{h.name}") for h in _by_name(recipe.harnesses)}
                form["harness"] = self.named(harnesses, "harness")
            form["export"] = self.block(recipe.export, "export")
        elif self.judges:  # what the weights of a stage are chosen by
            evaluations = {e.name: self.block(e, f"evaluate.{e.name}", "bs") for e in self.judges}
            form["evaluate"] = self.named(evaluations, "evaluate")
        claims = (*recipe.requires, *recipe.claims) if whole else recipe.requires
        form["claims"] = _as_set(self.claim(c) for c in claims)
        self.size = 0
        self.count(form, None)
        return form

    def data(self, label: str) -> dict[str, object]:
        spec = self.recipe.data[label]
        levels = "bs" if any(e.data == label for e in self.judges) else self.levels
        form = {
            **self.block(spec, f"data.{label}" if label else "data", levels),
            "columns": self.tidy(dict(spec.columns)),
        }
        if spec.mixes:
            at = f"data.{label}.mix" if label else "data.mix"
            form["mix"] = self.named({m.name: self.block(m, f"{at}.{m.name}") for m in _by_name(spec.mixes)}, at)
        left_out = set() if "s" in self.levels else {"validation", "test"} - self.deciding[label]
        return {name: value for name, value in form.items() if name not in left_out}

    def stage(self, stage: StageSpec) -> dict[str, object]:
        path = f"stage.{stage.name}"
        form = {"name": _nfc(stage.name), **self.block(stage, path)}
        form["seed"] = str(self.recipe.seed if stage.seed is None else stage.seed)
        prunes = {p.name: self.block(p, f"{path}.prune.{p.name}") for p in _by_name(stage.prunes)}
        form["prune"] = self.named(prunes, f"{path}.prune")
        form["distill"] = next((self.block(d, f"{path}.distill") for d in stage.distills), None)
        controls: dict[str, tuple[FreezeSpec | GroupSpec | DropSpec | ShrinkSpec | AdapterSpec, ...]]
        controls = {
            "freeze": stage.freezes,
            "group": stage.groups,
            "drop": stage.drops,
            "shrink": stage.shrinks,
            "adapter": stage.adapters,
        }
        for kind, specs in controls.items():
            if specs:  # added to the language after the first digests, which do not change
                blocks = {s.name: self.block(s, f"{path}.{kind}.{s.name}") for s in _by_name(specs)}
                form[kind] = self.named(blocks, f"{path}.{kind}")
        return form

    def block(self, spec: Spec, path: str, levels: str = "") -> dict[str, object]:
        """`levels`: in place of the writer's."""
        form: dict[str, object] = {}
        for name, attribute in spec.attributes().items():
            if attribute.added and getattr(spec, name) == type(spec).model_fields[name].default:
                continue
            if attribute.digest in (levels or self.levels):
                at = f"{path}.{name}"
                form[name] = self.attribute(spec, name, attribute, at)
                self.count(form[name], self.recipe.label(at))
        return form

    def attribute(self, spec: Spec, name: str, attribute: Attr, path: str) -> object:
        value = getattr(spec, name)
        if path in self.contents:
            return {"content": self.contents[path]}
        if isinstance(spec, EvaluateSpec) and name == "metrics":
            value = value or METRICS.get(self.recipe.model.task, ())
        if attribute.unordered:
            value = tuple(sorted(set(value)))
        return self.tidy(None if value is None else attribute.kind.form(value))

    def claim(self, claim: Claim) -> object:
        form = self.tidy({claim.kind: claim_form(ClaimParts(self.recipe, claim), claim.condition)})
        self.count(form, Label(self.recipe.source, claim.condition.span))
        return form

    # ------------------------------------------------------------------ strings
    def tidy(self, form: object) -> object:
        """Every string in normal form C, which can change the order of operands."""
        text = to_json(form)
        return form if unicodedata.is_normalized("NFC", text) else _normal(form)

    def named(self, blocks: Mapping[str, object], path: str) -> dict[str, object]:
        """Two labels that look the same would leave one block out."""
        found: dict[str, object] = {}
        for label, form in blocks.items():
            if _nfc(label) in found:
                at = self.recipe.label(f"{path}.{label}")
                help = ("rename one of them",)
                raise RecipeError(Diagnostic("E012", "two names differ only in their encoding", at, help=help))
            found[_nfc(label)] = form
        return found

    def count(self, form: object, at: Label | None) -> None:
        self.size += len(to_json(form).encode("utf-8", "surrogatepass"))
        if self.size > MAX_BYTES:
            message = f"with every value written out, the recipe is larger than {limit_text(MAX_BYTES)}"
            help = ("a long value counts each time it is used",)
            raise RecipeError(Diagnostic("E043", message, at, help=help))


def _deciding(recipe: Recipe) -> dict[str, set[str]]:
    """Data set -> its splits that decide weights: what stages read, and what is measured on where all splits together
    decide what columns, classes and choices mean."""
    found: dict[str, set[str]] = {stage.data: {"train"} for stage in recipe.stages if stage.reads_data}
    for evaluation in deciding(recipe):
        found.setdefault(evaluation.data, set()).add(evaluation.split)
    for evaluation in recipe.evaluations:
        if not _read_apart(recipe.model.task, recipe.data[evaluation.data]):
            found.setdefault(evaluation.data, set()).add(evaluation.split)
    return found


def _read_apart(task: str, data: DataSpec) -> bool:
    """Whether training data mean the same whatever is measured on: fields with fixed names, or nothing but texts."""
    if task in ("causal_lm", "masked_lm"):
        files = [f for f in (data.source, data.train, data.validation, data.test, *(m.source for m in data.mixes)) if f]
        return not {"text", "messages"}.isdisjoint(dict(data.columns)) or all(f.endswith(".txt") for f in files)
    return task == "question_answering"


_Named = TypeVar(
    "_Named",
    EvaluateSpec,
    HarnessSpec,
    PruneSpec,
    MixSpec,
    FreezeSpec | GroupSpec | DropSpec | ShrinkSpec | AdapterSpec,
)


def _by_name(specs: Iterable[_Named]) -> list[_Named]:
    return sorted(specs, key=lambda s: s.name)


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _normal(form: object) -> object:
    match form:
        case str():
            return _nfc(form)
        case list():
            return [_normal(item) for item in form]
        case {"&": list(items)}:
            return joined("&", map(_normal, items))
        case {"|": list(items)}:
            return joined("|", map(_normal, items))
        case dict():
            return {_nfc(name): _normal(value) for name, value in form.items()}
    return form


def _as_set(forms: Iterable[object]) -> list[object]:
    return list({to_json(form): form for form in sorted(forms, key=to_json)}.values())

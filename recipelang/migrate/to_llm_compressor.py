"""A recipe of one-shot stages as one of llm-compressor; what has no place there is refused, never left out."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from recipelang.migrate import names
from recipelang.plan import match as matching
from recipelang.plan.facts import ModelFacts, read_model_facts
from recipelang.plan.references import locate_model
from recipelang.source import Diagnostic, Diagnostics, RecipeError, fail
from recipelang.source.render import line_of
from recipelang.spec import selector as sel
from recipelang.spec.blocks import PruneSpec, StageSpec
from recipelang.spec.check import Recipe

_MODIFIERS = {"sparsegpt": "SparseGPTModifier", "wanda": "WandaPruningModifier"}
#: the ranking set of each there
_SCOPES = {"sparsegpt": "uniform", "wanda": "row"}
_IN_LAYER = re.compile(r"(?:.*\.)?layers\.(\d+)\.(.+)\.weight", re.ASCII)


def convert(recipe: Recipe, beside: Path) -> str:
    """YAML that its loader reads.

    Raises:
        RecipeError: E115, every part that cannot be said there.
    """
    found = Diagnostics()
    facts = _facts(recipe, beside)
    blocks = [_stage(recipe, stage, i, facts, found) for i, stage in enumerate(recipe.stages)]
    if found.errors:
        raise RecipeError(found.sorted())
    return "".join([*_head(recipe, facts), *blocks])


def _facts(recipe: Recipe, beside: Path) -> ModelFacts:
    """The model itself where it lies here, else the usual one of the family that such tools prune."""
    try:
        return read_model_facts(locate_model(recipe.model.base, beside, recipe.model.revision), recipe.model.task)
    except (RecipeError, OSError):
        layered = next((p for s in recipe.stages for p in s.prunes if _counts_layers(p.targets)), None)
        if layered is not None:
            help = "fetch it, or name a folder: `-p base=DIR`"
            raise fail("E115", "these layers are counted in the model, and it is not here", help=help) from None
        return ModelFacts(
            Path(), "llama", "causal_lm", {}, names.matrices(names.reference("llama", task="causal_lm")), ()
        )


def _counts_layers(selector: sel.Selector) -> bool:
    return any(isinstance(leaf, sel.Layers) for leaf in matching.leaves(selector))


def _head(recipe: Recipe, facts: ModelFacts) -> Iterator[str]:
    yield f"# {line_of(recipe.name)}, written by recipelang\n"
    data = next((recipe.data[s.data] for s in recipe.stages if s.reads_data and s.data in recipe.data), None)
    given = [f"model={json.dumps(recipe.model.base.removeprefix('hf://'))}"]
    if data is not None:
        limits = (("num_calibration_samples", data.samples), ("max_seq_length", data.max_length))
        given += [f"{name}={value}" for name, value in limits if value is not None]
    yield f"# the rest are arguments of its `oneshot(...)`: {', '.join(given)}\n"
    if facts.path == Path():
        yield "# names of layers are those of a Llama model\n"


def _stage(recipe: Recipe, stage: StageSpec, index: int, facts: ModelFacts, found: Diagnostics) -> str:
    at = f"stage.{stage.name}"

    def refuse(where: str, message: str, help: str | None = None) -> None:
        found.add(Diagnostic("E115", message, recipe.label(where), help=(help,) if help else ()))

    if stage.mode != "one_shot":
        refuse(at, "llm-compressor does not train", "convert a recipe of one-shot stages")
        return ""
    if stage.drops:
        refuse(at, "llm-compressor drops no layers")
    lines = [f"{stage.name}_stage:", "  pruning_modifiers:"]
    used: list[str] = []
    for prune in stage.prunes:
        path = f"{at}.prune.{prune.name}"
        method = prune.method.name
        if method not in _MODIFIERS:
            refuse(
                f"{path}.method", f"llm-compressor has no modifier for `{method}`", "`sparsegpt` and `wanda` have one"
            )
        elif prune.method.get("scope") != _SCOPES[method]:
            refuse(
                f"{path}.method",
                f"llm-compressor ranks `{method}` in one scope only",
                f"write `scope = {_SCOPES[method]}`",
            )
        elif prune.pattern.kind == "block":
            refuse(f"{path}.pattern", "llm-compressor prunes no blocks", "`unstructured` and `N:M` are known there")
        elif prune.order == "parallel":
            refuse(f"{path}.order", "llm-compressor goes through layers one after another only", "take `order` out")
        elif method in used:
            refuse(path, "a stage of llm-compressor holds a modifier once", "prune them in two stages")
        else:
            used.append(method)
            lines += _modifier(recipe, prune, path, bool(index), facts)
    return "\n".join(lines) + "\n"


def _modifier(recipe: Recipe, prune: PruneSpec, path: str, later: bool, facts: ModelFacts) -> list[str]:
    chosen = matching.matrices(matching.match(prune.targets, facts), facts)
    if not chosen:
        raise matching.nothing(prune.targets, facts, recipe.label(f"{path}.targets"))
    targets, ignore = _named({t.name for t in chosen}, facts)
    assert prune.sparsity is not None and prune.sparsity.plain is not None
    values: dict[str, object] = {"sparsity": float(prune.sparsity.plain)}
    if prune.pattern.kind == "N:M":  # there the first number is of those that go
        values["mask_structure"] = f"{prune.pattern.b - prune.pattern.a}:{prune.pattern.b}"
    if prune.method.name == "sparsegpt":
        block, damp = prune.method.get("block"), prune.method.get("damp")
        assert isinstance(damp, Fraction)
        values |= {"block_size": block, "dampening_frac": float(damp)}
        if later:
            values["preserve_sparsity_mask"] = True
    values["targets"] = targets
    if ignore:
        values["ignore"] = ignore
    return [f"    {_MODIFIERS[prune.method.name]}:", *(f"      {k}: {json.dumps(v)}" for k, v in values.items())]


def _named(chosen: set[str], facts: ModelFacts) -> tuple[list[str], list[str]]:
    """Modules by class where that is all of them, else by regular expressions over names."""
    linear = {t.name for t in facts.tensors if "linear" in t.roles and len(t.shape) == 2}
    outside = sorted(n.removesuffix(".weight") for n in linear - chosen)
    if chosen <= linear and not any(_IN_LAYER.fullmatch(n) for n in linear - chosen):
        return ["Linear"], outside
    layers: dict[str, set[int]] = defaultdict(set)
    plain: list[str] = []
    for name in sorted(chosen):
        if found := _IN_LAYER.fullmatch(name):
            layers[found[2]].add(int(found[1]))
        else:
            plain.append(name.removesuffix(".weight"))
    alike: dict[frozenset[int], list[str]] = defaultdict(list)
    for part, where in layers.items():
        alike[frozenset(where)].append(part)
    return [_regex(parts, where, facts.layers) for where, parts in alike.items()] + plain, []


def _regex(parts: list[str], layers: frozenset[int], depth: int) -> str:
    at = r"\d+" if len(layers) == depth else "(" + "|".join(map(str, sorted(layers))) + ")"
    what = "|".join(re.escape(p) for p in parts)
    return rf"re:.*layers\.{at}\.({what})$"

"""A recipe of one-shot stages as one of llm-compressor; what has no place there is refused, never left out."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from recipelang.methods import METHODS
from recipelang.migrate import names
from recipelang.migrate.oneshot_arguments import comments
from recipelang.planning import match as matching
from recipelang.planning.facts import ModelFacts, read_model_facts
from recipelang.planning.references import locate_model
from recipelang.source import Diagnostic, Diagnostics, RecipeError, fail
from recipelang.source.render import line_of
from recipelang.spec.blocks import PruneSpec, StageSpec
from recipelang.spec.recipe import Recipe
from recipelang.storage.yaml_text import yaml_text
from recipelang.values import selector as sel

Form = dict[str, object]

#: methods that it has in one shot, as a text
_HAS = " and ".join(f"`{m.name}`" for m in METHODS.values() if m.llm_compressor and not m.llm_compressor.training_only)
_IN_LAYER = re.compile(r"(?:.*\.)?(layers?)\.(\d+)\.(.+)\.weight", re.ASCII)
#: heads that share the embeddings' matrix: modules there, no tensors of their own here
_TIED = {
    ("llama", "causal_lm"): "lm_head",
    ("bert", "masked_lm"): "cls.predictions.decoder",
    ("roberta", "masked_lm"): "lm_head.decoder",
    ("distilbert", "masked_lm"): "vocab_projector",
}


def convert(recipe: Recipe, beside: Path) -> str:
    """YAML that its loader reads.

    Raises:
        RecipeError: E115, every part that cannot be said there.
    """
    found = Diagnostics()
    facts = _facts(recipe, beside)
    stages = {f"{s.name}_stage": _stage(recipe, s, i, facts, found) for i, s in enumerate(recipe.stages)}
    if found.errors:
        raise RecipeError(found.sorted())
    return "".join([*_head(recipe, facts), yaml_text(stages)])


_COUNTED, _FETCH = (
    "these layers are counted in the model, which is not available",
    "download the model, or name a folder: `-p base=DIR`",
)


def _facts(recipe: Recipe, beside: Path) -> ModelFacts:
    """The model itself where it lies here, else the usual one of the family that such tools prune."""
    try:
        return read_model_facts(locate_model(recipe.model.base, beside, recipe.model.revision), recipe.model.task)
    except (RecipeError, OSError):
        layered = next((p for s in recipe.stages for p in s.prunes if _counts_layers(p.targets)), None)
        if layered is not None:
            raise fail("E115", _COUNTED, help=_FETCH) from None
        return ModelFacts(
            Path(), "llama", "causal_lm", {}, names.matrices(names.reference("llama", task="causal_lm")), ()
        )


def _counts_layers(selector: sel.Selector) -> bool:
    return any(isinstance(leaf, sel.Layers) for leaf in matching.leaves(selector))


def _head(recipe: Recipe, facts: ModelFacts) -> Iterator[str]:
    yield f"# {line_of(recipe.name)}, written by recipelang\n"
    yield from comments(recipe, facts)
    if facts.path == Path():
        yield "# names of layers are those of a Llama model\n"


def _stage(recipe: Recipe, stage: StageSpec, index: int, facts: ModelFacts, found: Diagnostics) -> Form:
    at = f"stage.{stage.name}"

    def refuse(where: str, message: str, help: str | None = None, why: str | None = None) -> None:
        notes = (why,) if why else ()
        found.say("E115", message, recipe.label(where), notes=notes, help=help)

    if stage.mode != "one_shot":
        refuse(at, "llm-compressor does not train", "convert a recipe of one-shot stages")
        return {}
    if stage.drops:
        refuse(at, "llm-compressor does not drop layers")
    for shrink in stage.shrinks:
        refuse(f"{at}.shrink.{shrink.name}", "llm-compressor makes no model smaller")
    modifiers: Form = {}
    for prune in stage.prunes:
        path = f"{at}.prune.{prune.name}"
        method = prune.method.name
        there = METHODS[method].llm_compressor
        if there is None:
            refuse(f"{path}.method", f"llm-compressor has no modifier for `{method}`", f"{_HAS} have one")
        elif there.training_only:
            refuse(
                f"{path}.method",
                f"llm-compressor does not prune by `{method}` in one shot",
                f"use {_HAS.replace(' and ', ' or ')}",
                f"its `{there.modifier}` sets masks, and applies them only at optimizer steps",
            )
        elif prune.method.get("scope") != there.scope:
            refuse(
                f"{path}.method",
                f"llm-compressor ranks `{method}` in only one scope",
                f"write `scope = {there.scope}`",
            )
        elif prune.pattern.kind == "block":
            refuse(
                f"{path}.pattern",
                "llm-compressor does not prune blocks",
                "llm-compressor supports `unstructured` and `N:M`",
            )
        elif prune.reconstruct is not None:
            refuse(f"{path}.reconstruct", "llm-compressor does not reconstruct layers", "remove `reconstruct`")
        elif prune.order == "parallel":
            refuse(f"{path}.order", "llm-compressor prunes layers only one after another", "remove `order`")
        elif there.modifier in modifiers:
            refuse(path, "a stage of llm-compressor can hold a modifier only once", "prune them in two stages")
        else:
            modifiers[there.modifier] = _modifier(recipe, prune, path, bool(index), facts)
    return {"pruning_modifiers": modifiers}


def _modifier(recipe: Recipe, prune: PruneSpec, path: str, later: bool, facts: ModelFacts) -> Form:
    chosen = matching.prunable(prune.targets, facts)
    if not chosen:
        raise matching.nothing(prune.targets, facts, recipe.label(f"{path}.targets"))
    method = prune.method.name
    if table := next((t for t in chosen if "linear" not in t.roles), None):
        message = f"llm-compressor leaves `{table.name}` dense with `{method}`"
        help = ("it prunes only linear layers: write `except @embeddings`",)
        raise RecipeError(Diagnostic("E115", message, recipe.label(f"{path}.targets"), help=help))
    assert prune.sparsity is not None and prune.sparsity.plain is not None
    values: Form = {"sparsity": float(prune.sparsity.plain)}
    if prune.pattern.kind == "N:M":  # there the first number is of those that go
        values["mask_structure"] = f"{prune.pattern.b - prune.pattern.a}:{prune.pattern.b}"
    there = METHODS[method].llm_compressor
    assert there is not None
    given = METHODS[method].typed(dict(prune.method.arguments))
    values |= {its: given[ours] for its, ours in there.arguments}
    if later and there.must_keep_zeros:
        values["preserve_sparsity_mask"] = True
    targets = [t.name for t in chosen]
    if facts.path == Path() and not _in_every_layer(targets, facts.layers):  # the usual model has layers of its own
        raise RecipeError(Diagnostic("E115", _COUNTED, recipe.label(f"{path}.targets"), help=(_FETCH,)))
    if ignore := _all_but(set(targets), facts):
        values |= {"targets": ["Linear"], "ignore": ignore}
    else:
        values["targets"] = _patterns(targets, facts.layers)
    return values


def _all_but(chosen: set[str], facts: ModelFacts) -> list[str]:
    """What is ignored where the chosen are all linear layers of all blocks; nothing where they are not.

    SparseGPT and Wanda ask for a module that is a target itself by its name and a dot, `lm_head.`: a plain name is
    never that, and ignores nothing.
    """
    linear = {t.name for t in facts.tensors if "linear" in t.roles and len(t.shape) == 2}
    if any(_IN_LAYER.fullmatch(n) for n in linear - chosen):
        return []
    outside = {n.removesuffix(".weight") for n in linear - chosen}
    if tied := _TIED.get((facts.family, facts.task)):
        outside |= {tied} - {n.removesuffix(".weight") for n in chosen}
    return [_ignored(name, chosen) for name in sorted(outside)]


def _ignored(name: str, chosen: set[str]) -> str:
    pattern = rf".*{re.escape(name)}"
    if any(re.match(pattern, c.removesuffix("weight")) for c in chosen):
        pattern = rf"{re.escape(name)}\.?$"
    return f"re:{pattern}"


def _in_every_layer(chosen: list[str], depth: int) -> bool:
    """Whether what is chosen of one layer is chosen of all, as names like `model.layers.0.**` do not say."""
    parts = Counter((match[1], match[3]) for name in chosen if (match := _IN_LAYER.fullmatch(name)))
    return set(parts.values()) <= {depth}


def _patterns(chosen: list[str], depth: int) -> list[str]:
    """Regular expressions over the names of modules."""
    layers: dict[tuple[str, str], set[int]] = defaultdict(set)
    found: list[str] = []
    for name in sorted(chosen):
        if match := _IN_LAYER.fullmatch(name):
            layers[match[1], match[3]].add(int(match[2]))
        else:
            found.append(name.removesuffix(".weight"))
    alike: dict[tuple[str, frozenset[int]], list[str]] = defaultdict(list)
    for (word, part), where in layers.items():
        alike[word, frozenset(where)].append(part)
    return [_regex(word, parts, where, depth) for (word, where), parts in alike.items()] + found


def _regex(word: str, parts: list[str], layers: frozenset[int], depth: int) -> str:
    at = r"\d+" if len(layers) == depth else "(" + "|".join(map(str, sorted(layers))) + ")"
    what = "|".join(re.escape(p) for p in parts)
    return rf"re:.*{word}\.{at}\.({what})$"

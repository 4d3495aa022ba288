"""The texts of a recipe that a run's folder keeps, evaluated again: do they come to the recipe that the run names?

`effective.recipe` is what `resume` reads, `sources/` what was typed. Both name local files as this or another machine
has them, so that references are compared by what was recorded of their contents.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from itertools import islice, permutations
from typing import Any

from recipelang.kinds.text import show
from recipelang.provenance.carried import safe_name
from recipelang.provenance.recheck import canonical, digest_of_text
from recipelang.source import Diagnostics, RecipeError, Source, fail
from recipelang.spec.check import check
from recipelang.spec.params import Given
from recipelang.spec.recipe import Checked, Recipe
from recipelang.spec.references import references
from recipelang.syntax import parse, tree as t
from recipelang.values.composite import Poison

#: overlays of which the order is not recorded, and attempts to find it
_OVERLAYS, _TRIES = 3, 24
#: of what is published elsewhere: whose lock led to it is not kept
_ELSEWHERE = ("oci/", "hf/")


class NotKept(Exception):
    """What was typed cannot be put together again from what a run keeps, and why."""


def recorded(recipe: Recipe, origin: Mapping[str, Any], contents: Mapping[str, str]) -> dict[str, str]:
    """Reference as it stands in this recipe -> the digest that was recorded of what it names."""
    named = origin.get("references", {})
    each = ((ref, contents.get(named.get(path, ref))) for path, ref in references(recipe))
    return {ref: digest for ref, digest in each if digest is not None}


def comes_to(recipe: Recipe, origin: Mapping[str, Any], contents: Mapping[str, str]) -> str:
    """The spec digest of a recipe whose local references are those of the run."""
    return digest_of_text(canonical(recipe, recorded(recipe, origin, contents)))


def check_typed(
    texts: Mapping[str, str], name: str, origin: Mapping[str, Any], contents: Mapping[str, str], spec: str
) -> None:
    """E138 where no file of `sources/` comes to the experiment `spec` called `name`, or its parameters are others.

    `texts`: by the path in `sources/`. `NotKept` where a part of what was typed is not kept.
    """
    if any(n.startswith(_ELSEWHERE) for n in texts):
        raise NotKept("the recipe uses recipes published elsewhere")
    for recipe in islice(_recipes(texts, name, origin), _TRIES):
        if comes_to(recipe, origin, contents) == spec:
            values = {p.name: show(recipe.evaluator.definition_value(p.name)) for p in recipe.params}
            if values != origin.get("parameters"):
                raise _other("the parameters in `recipe/origin.json` differ from the recipe's")
            return
    raise _other("`recipe/sources` does not evaluate to the recipe of this run")


def _recipes(texts: Mapping[str, str], name: str, origin: Mapping[str, Any]) -> Iterator[Recipe]:
    """Every recipe that the texts may have been: which one was run, and which were laid over it, is not recorded."""
    used: set[str] = set()

    def load(reference: str, by: Source) -> Source:
        scheme, separator, rest = reference.partition("://")
        if separator and scheme == "lib":
            path = f"lib/{rest.removesuffix('.recipe')}.recipe"
        else:
            path = posixpath.normpath(posixpath.join(posixpath.dirname(by.name), rest if separator else reference))
        path = safe_name(path)
        if path not in texts:
            raise fail("E046", f"`{path}` is not kept")
        used.add(path)
        return Source(path, texts[path])

    given = {n: Given(_typed(value), "recorded") for n, value in origin.get("parameters", {}).items()}
    for root, text in texts.items():
        tree = parse(Source(root, text), Diagnostics()).recipe
        if tree is None or tree.name not in (None, name):
            continue
        used.clear()
        check(Source(root, text), {}, load=load)
        rest = [n for n in texts if n != root and n not in used]
        if len(rest) > _OVERLAYS:
            raise NotKept(f"the recipe has {len(rest)} overlays in unrecorded order")
        fixed = _set_in(texts)
        for order in permutations(rest):
            overlays = [Source(n, texts[n]) for n in order]
            plain = check(Source(root, text), {}, load=load, overlays=overlays)
            usual = _values(plain)
            typed = {n: g for n, g in given.items() if n not in fixed and usual.get(n) != origin["parameters"][n]}
            for values in ({}, typed) if typed else ({},):
                checked = check(Source(root, text), values, complete=True, load=load, overlays=overlays)
                try:
                    checked.diagnostics.raise_errors()
                except RecipeError:
                    continue
                if checked.recipe is not None:
                    yield checked.recipe


def _values(checked: Checked) -> dict[str, str]:
    """Parameters by name, as they are recorded; those without a value are left out."""
    evaluator = checked.evaluator
    if evaluator is None:
        return {}
    names = [n for n, d in evaluator.definitions.items() if d.kind == "param"]
    values = {n: evaluator.definition_value(n) for n in names}
    return {n: show(v) for n, v in values.items() if not isinstance(v, Poison)}


def _typed(shown: str) -> str:
    """A recorded value as a command line gives it: a text stands there without its quotes."""
    return re.sub(r"\\(.)", r"\1", shown[1:-1]) if len(shown) > 1 and shown[0] == shown[-1] == '"' else shown


def _set_in(texts: Mapping[str, str]) -> set[str]:
    """Parameters that a file has set for good: no command line gave them."""
    trees = (parse(Source(n, text), Diagnostics()).recipe for n, text in texts.items())
    return {s.path.text for tree in trees if tree is not None for s in tree.statements if isinstance(s, t.Set)}


def _other(message: str) -> RecipeError:
    return fail("E138", message, help="the recipe or the statement was changed after the run")

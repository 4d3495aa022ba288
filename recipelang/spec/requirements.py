"""Plug-ins: what a recipe requires is here in a version that it takes, and what it uses it requires."""

from __future__ import annotations

from recipelang.methods import METHODS
from recipelang.source import Diagnostics, Label
from recipelang.spec.blocks import MetaSpec
from recipelang.spec.recipe import Recipe


def check_requires(meta: MetaSpec, at: Label | None, found: Diagnostics) -> None:
    """E024 for what is no requirement, E204 for what is not met here."""
    for requirement in meta.requires:
        from recipelang.methods import plugins

        try:
            why = plugins.unmet(requirement)
        except ValueError as error:
            help = 'write a distribution and its versions, as in `"acme-prune >= 2, < 3"`'
            message = f"`{requirement[:80]}` is not a requirement"
            found.say("E024", message, at, notes=(str(error)[:200],), help=help)
            continue
        if why is not None:
            message = f"this recipe requires `{requirement[:80]}`, and {why}"
            help = f"`pip install '{requirement[:80]}'`"
            found.say("E204", message, at, help=help)


def used(recipe: Recipe) -> dict[str, str]:
    """Distributions that the methods of a recipe come from -> their versions."""
    methods = (METHODS[p.method.name] for s in recipe.stages for p in s.prunes)
    return {m.distribution: m.version for m in methods if m.distribution}


def check_listed(recipe: Recipe, found: Diagnostics) -> None:
    """W179 for a plug-in that is used, and not in `requires`."""
    missing = used(recipe)
    if not missing:
        return
    from packaging.utils import canonicalize_name

    from recipelang.methods import plugins

    listed = plugins.named(recipe.meta.requires) if recipe.meta else set()
    for stage in recipe.stages:
        for prune in stage.prunes:
            method = METHODS[prune.method.name]
            if method.distribution not in missing or canonicalize_name(method.distribution) in listed:
                continue
            version = missing.pop(method.distribution)
            at = recipe.label(f"stage.{stage.name}.prune.{prune.name}.method")
            message = f"`{method.name}` comes from `{method.distribution}`, which `requires` does not list"
            help = f'write `meta {{ requires = ["{method.distribution} >= {version}"] }}`'
            found.say("W179", message, at, help=help)

"""What every part of planning works with: the recipe, the model's facts, and where findings go."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from recipelang.kinds.text import show
from recipelang.planning import match as matching
from recipelang.planning.facts import ModelFacts
from recipelang.planning.references import Pins
from recipelang.source import Diagnostics, RecipeError, fail
from recipelang.spec.attribute import ANY, Attr, Spec
from recipelang.spec.recipe import Recipe
from recipelang.tasks import Task, task_of
from recipelang.values import selector as sel


class Context:
    """`facts` are there once the model has been looked at."""

    facts: ModelFacts

    def __init__(self, recipe: Recipe, beside: Path, found: Diagnostics, pins: Pins = MappingProxyType({})) -> None:
        self.recipe = recipe
        self.beside = beside
        self.found = found
        self.pins = pins

    @property
    def task(self) -> Task[Any, Any, Any, Any]:
        return task_of(self.recipe.model.task)

    def guard(self, path: str, call: Callable[..., Any], code: str = "E076") -> Any:
        """A coded error from reading a file, shown at the attribute that named it; `code` for what the system refuses."""
        try:
            try:
                return call()
            except OSError as error:
                name = f"`{error.filename}`" if error.filename else "a file"
                raise fail(code, f"{name} cannot be read", notes=[error.strerror or str(error)]) from None
        except RecipeError as error:
            for d in error.diagnostics:
                primary = d.primary or self.recipe.label(path)
                self.found.add(replace(d, primary=primary))
            return None

    def select(self, selector: sel.Selector, path: str, *, matrices_only: bool, empty: bool = False) -> tuple[str, ...]:
        names = self.guard(path, lambda: matching.match(selector, self.facts))
        if names is None:
            return ()
        chosen = tuple(t.name for t in matching.prunable(selector, self.facts)) if matrices_only else names
        if not chosen and not empty:
            error = matching.nothing(selector, self.facts, self.recipe.label(path))
            self.found.extend(error.diagnostics)
        return chosen

    def stored_zeros(self) -> dict[str, tuple[int, int]] | None:
        """Parameter -> its exact zeros in the model's files and the most in a row; none of a model that is in memory only."""
        return None

    def say(self, code: str, message: str, path: str, help: str | None = None, notes: Iterable[str] = ()) -> None:
        """A finding at what a recipe has written at a path."""
        self.found.say(code, message, self.recipe.label(path), notes=notes, help=help)

    def _not_yet(self, blocks: Iterable[tuple[str, Spec]]) -> bool:
        """What the language has and this release cannot run."""
        before = len(self.found)
        for path, spec in blocks:
            for name, attribute in spec.attributes().items():
                value = attribute.postponed(getattr(spec, name))
                if value is not None:
                    self._refuse(path, name, attribute, value)
        return len(self.found) > before

    def _refuse(self, path: str, name: str, attribute: Attr, value: object) -> None:
        shown = value if isinstance(value, str) else show(value)
        what = f"`{name}`" if ANY in attribute.later else f"`{name} = {shown}`"
        have = [f"`{s}`" for s in attribute.kind.symbols if s not in attribute.later]
        listed = " and ".join(filter(None, (", ".join(have[:-1]), *have[-1:])))
        help = f"this release supports {listed}" if have else "remove it for now"
        self.say("E055", f"this release does not support {what} yet", f"{path}.{name}", help)

"""Findings collected, and raised.

`RecipeError` exists for the public edge, and for the run, where there is nothing to recover to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from recipelang.source.diagnostic import Diagnostic, Fix, Label
from recipelang.source.render import render
from recipelang.source.text import Span

#: codes of names that are not known: one finding a name, with all its places
_NAMES = frozenset({"E022", "E025", "E073", "E091"})
#: of these places so many are shown
_PLACES = 4


class Diagnostics:
    """A list that phases pass down and add to; equal findings are kept once, and one name is one finding."""

    def __init__(self) -> None:
        self._items: list[Diagnostic] = []
        self._seen: set[tuple[str, str, Span | None]] = set()
        self._errors: tuple[Diagnostic, ...] | None = ()  # none until somebody asks for them again
        self._named: dict[tuple[object, ...], int] = {}  # an unknown name -> where its finding is in the list

    def add(self, diagnostic: Diagnostic) -> None:
        at = diagnostic.primary.span if diagnostic.primary else None
        key = (diagnostic.code, diagnostic.message, at)
        if key in self._seen:
            return
        self._seen.add(key)
        if diagnostic.severity == "error":
            self._errors = None
        if diagnostic.code in _NAMES and diagnostic.primary:
            name = (diagnostic.code, diagnostic.message, diagnostic.help, diagnostic.primary.source.name)
            index = self._named.setdefault(name, len(self._items))
            if index < len(self._items):
                self._items[index] = _joined(self._items[index], diagnostic)
                return
        self._items.append(diagnostic)

    def say(
        self,
        code: str,
        message: str,
        at: Label | None = None,
        secondary: tuple[Label, ...] = (),
        *,
        notes: Iterable[str] = (),
        help: str | tuple[str, ...] | None = None,
        fixes: tuple[Fix, ...] = (),
    ) -> None:
        """Add a finding; most have one piece of help, or none."""
        helps = (help,) if isinstance(help, str) else help or ()
        self.add(Diagnostic(code, message, at, secondary, tuple(notes), helps, fixes))

    def extend(self, diagnostics: Sequence[Diagnostic] | Diagnostics) -> None:
        for diagnostic in diagnostics:
            self.add(diagnostic)

    def __iter__(self) -> Iterator[Diagnostic]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        if self._errors is None:
            self._errors = tuple(d for d in self._items if d.severity == "error")
        return self._errors

    def sorted(self) -> tuple[Diagnostic, ...]:
        """In reading order; findings without a place come last."""
        return tuple(
            sorted(self._items, key=lambda d: (d.primary is None, d.primary.span if d.primary else Span(0, 0)))
        )

    def raise_errors(self) -> None:
        if self.errors:
            raise RecipeError(self.sorted())


def _joined(a: Diagnostic, b: Diagnostic) -> Diagnostic:
    """Two findings about one name: the first place in the text leads, the other is named with it."""
    assert a.primary and b.primary
    first, second = (a, b) if a.primary.span <= b.primary.span else (b, a)
    assert second.primary
    places = (*first.secondary, replace(second.primary, text="and here"), *second.secondary)
    fixes = first.fixes
    if first.fixes and second.fixes:
        fixes = (replace(first.fixes[0], edits=(*first.fixes[0].edits, *second.fixes[0].edits)),)
    return replace(first, secondary=places[:_PLACES], fixes=fixes)


class RecipeError(Exception):
    """A user's mistake, or a limit of the machine, with its diagnostics."""

    def __init__(self, diagnostics: Sequence[Diagnostic] | Diagnostics | Diagnostic) -> None:
        self.diagnostics = (diagnostics,) if isinstance(diagnostics, Diagnostic) else tuple(diagnostics)
        super().__init__(self.diagnostics)

    def __str__(self) -> str:
        """As a command shows it: place, notes, help."""
        return render(self.diagnostics)

    def __repr__(self) -> str:
        return f"RecipeError({'; '.join(f'{d.code}: {d.message}' for d in self.diagnostics)})"


RecipeError.__module__ = "recipelang"  # where users have it from, so that a traceback names it so


@contextmanager
def at_label(label: Label | None) -> Iterator[None]:
    """Findings raised inside that have no place of their own are shown at `label`."""
    try:
        yield
    except RecipeError as error:
        raise RecipeError([replace(d, primary=d.primary or label) for d in error.diagnostics]) from None


def fail(code: str, message: str, *, help: str | None = None, notes: Iterable[str] = ()) -> RecipeError:
    """A `RecipeError` with one diagnostic that has no place in a recipe. Raise the result."""
    return RecipeError(Diagnostic(code, message, notes=tuple(notes), help=(help,) if help else ()))

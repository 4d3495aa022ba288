"""What an expression may name, and what is said of a value or name that does not fit.

A mistake is reported once; what depends on it is silent (`POISON`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeGuard

from recipelang.kinds.base import Kind, Mismatch, Silent, describe
from recipelang.source import Diagnostics, Edit, Fix, Label, Source, Span
from recipelang.source.suggest import closest, instead
from recipelang.syntax import tree as t
from recipelang.values import aliases
from recipelang.values.composite import POISON, Arrow, Between, Poison, Symbol, Tolerance

MAX_PARTS = 20_000
#: of values inside each other: whatever walks over a value may recurse
MAX_VALUE_DEPTH = 64


@dataclass(repr=False, eq=False)
class Definition:
    """A parameter or let; `value` is set at most once, on first demand."""

    name: str
    kind: str  # "param" | "let"
    compute: Callable[[], object]
    span: Span
    used: bool = False
    symbols: tuple[str, ...] | None = None  # the names a `one_of` parameter may be
    places: tuple[Span, ...] = ()  # where these names stand


@dataclass(repr=False, eq=False)
class Scope(ABC):
    """Of one source: the names that are defined, and the values that they have so far."""

    source: Source
    diagnostics: Diagnostics
    definitions: dict[str, Definition] = field(default_factory=dict)
    locals: Mapping[str, object] = field(default_factory=dict)
    _values: dict[str, object] = field(default_factory=dict)
    _sizes: dict[int, tuple[object, int, int, bool]] = field(default_factory=dict)

    @abstractmethod
    def value(self, expr: t.Expr) -> object:
        """What an expression comes to."""

    @abstractmethod
    def look_over(self, expr: t.Expr) -> None:
        """Judge the names of an expression that is not needed."""

    # ------------------------------------------------------------------ names
    def unknown(
        self,
        expr: t.Path,
        hint: str | None = None,
        *,
        known: Iterable[str] = (),
        kind: Kind | None = None,
        message: str | None = None,
    ) -> Poison:
        """A name that stands for nothing. `known` would do here; so would what is defined and fits `kind`."""
        defined = list(self._defined_beside(expr))
        libraries = {n.partition(".")[0] for n in defined if "." in n}
        head = expr.names[0]
        if len(expr.names) > 1 and head not in libraries and (alias := closest(head, libraries)):
            # one finding for the alias, however many of its names are used
            at = Span(expr.span.start, expr.span.start + len(head))
            help, fixes = f"did you mean `{alias}`?", instead(head, alias, at, libraries)
            return self.error("E022", f"no `use` defines `{head}`", at, help=help, fixes=fixes)
        fitting = [n for n in defined if kind is not None and not expr.library and self._fits(n, kind)]
        near = closest(expr.text, (*known, *self.locals, *fitting), defined)
        near = near or aliases.meant(expr.text, aliases.SYMBOLS, (*known, *self.locals))
        if len(expr.names) == 2 and closest(expr.names[0], ["stage"]):
            near = f"stage.{expr.names[1]}"
        fixes = instead(expr.text, near, expr.span, (*known, *self.locals, *defined))
        names = ", ".join(f"`{n}`" for n in defined[:8])
        if expr.text in ("start", "end"):
            hint = "`start` and `end` are the ends of a stage, and exist only inside one"
        hint = hint or (f"defined here: {names}" if names else f"define it with `let {expr.names[0]} = ...`")
        help = f"did you mean `{near}`?" if near else hint
        return self.error("E022", message or f"unknown name `{expr.text}`", expr.span, help=help, fixes=fixes)

    def _defined_beside(self, expr: t.Path) -> Iterable[str]:
        """What is defined for a name: of one in a library, what the library defines."""
        prefix = f"{expr.library}." if expr.library else ""
        return (n.removeprefix(prefix) for n in self.definitions if n.startswith(prefix))

    def _fits(self, name: str, kind: Kind) -> bool:
        value = self._values.get(name, POISON)  # one that is being computed is no candidate
        try:
            return not isinstance(value, Poison) and kind.read(value) is not POISON
        except Mismatch:
            return False

    def is_bare(self, tree: t.Expr, value: object) -> TypeGuard[t.Path]:
        """A name that stands for nothing defined here."""
        known = (
            isinstance(tree, t.Path)
            and not tree.library
            and (tree.text in self.definitions or tree.text in self.locals)
        )
        return isinstance(tree, t.Path) and isinstance(value, Symbol) and not known

    def operand(self, tree: t.Expr, value: object, wanted: str, operator: str) -> Poison:
        if self.is_bare(tree, value):
            return self.unknown(tree)
        return self.error("E024", f"`{operator}` needs {wanted}, found {describe(value)}", tree.span)

    def misfit(self, mismatch: Mismatch, expr: t.Expr, at: Span | None = None, kind: Kind | None = None) -> Poison:
        """A value that does not fit; where a bare name in `expr` stands for nothing, that is the mistake."""
        if mismatch.name is not None and (path := self._bare(expr, mismatch.name)):
            near = closest(mismatch.name, mismatch.known, self.locals, self.definitions)
            message = mismatch.message if mismatch.code == "E022" else None
            if near or mismatch.replacement is None:
                return self.unknown(
                    path, mismatch.help, known=mismatch.known, kind=kind if path is expr else None, message=message
                )
        return self.mismatch(mismatch, at or expr.span)

    def _bare(self, expr: t.Expr, name: str) -> t.Path | None:
        """Where in an expression a name is used that is not defined."""
        if name in self.definitions or name in self.locals:
            return None
        paths = (node for node in t.inside(expr) if isinstance(node, t.Path) and node.text == name)
        return next(paths, None)

    def mismatch(self, mismatch: Mismatch, span: Span) -> Poison:
        if isinstance(mismatch, Silent):
            return POISON
        span = mismatch.span or span
        fixes = mended(mismatch, span)
        return self.error(mismatch.code, mismatch.message, span, help=mismatch.help, notes=mismatch.notes, fixes=fixes)

    def error(
        self,
        code: str,
        message: str,
        span: Span,
        *,
        help: str | None = None,
        label: str = "",
        secondary: tuple[Label, ...] = (),
        notes: tuple[str, ...] = (),
        fixes: tuple[Fix, ...] = (),
    ) -> Poison:
        at = Label(self.source, span, label)
        self.diagnostics.say(code, message, at, secondary, notes=notes, help=help, fixes=fixes)
        return POISON

    # ------------------------------------------------------------------- size
    def _size(self, value: object) -> int:
        known = self._sizes.get(id(value))
        return known[1] if known and known[0] is value else 1

    def nesting(self, value: object) -> int:
        known = self._sizes.get(id(value))
        return known[2] if known and known[0] is value else 0

    def is_unread(self, value: object) -> bool:
        """It, or something in it, could not be evaluated."""
        match value:
            case Poison():
                return True
            case Arrow(a, b) | Between(a, b) | Tolerance(a, b):
                return isinstance(a, Poison) or isinstance(b, Poison)
        return self.holds_unread(value)

    def holds_unread(self, value: object) -> bool:
        """Something inside something in it could not be evaluated: no more is judged, so that nothing grows."""
        known = self._sizes.get(id(value))
        return known is not None and known[0] is value and known[3]

    def sized(
        self, value: object, span: Span, *inside: object, parts: int | None = None, depth: int | None = None
    ) -> object:
        """Count a value as written out, shared parts each time, and how deep it goes."""
        parts = 1 + sum(self._size(v) for v in inside) if parts is None else parts
        depth = 1 + max((self.nesting(v) for v in inside), default=0) if depth is None else depth
        if parts > MAX_PARTS:
            return self._too_big(span)
        if depth > MAX_VALUE_DEPTH:
            message = f"this value is nested deeper than {MAX_VALUE_DEPTH}"
            return self._too_deep(message, span, help="put fewer values inside each other")
        self._sizes[id(value)] = (value, parts, depth, any(self.is_unread(v) for v in inside))
        return value

    def _too_deep(self, message: str, span: Span, *, help: str = "split it up") -> Poison:
        """Said once: in a long chain every link would say it again."""
        if not any(d.code == "E044" for d in self.diagnostics):
            self.error("E044", message, span, help=help)
        return POISON

    def _too_big(self, span: Span) -> Poison:
        message = f"this value has more than {MAX_PARTS:,} parts"
        return self.error("E043", message, span, help="a list inside a list counts each time it is used")


def mended(mismatch: Mismatch, span: Span) -> tuple[Fix, ...]:
    """The fix of a value that does not fit; a word is only replaced unasked where it is clear which was meant."""
    if mismatch.replacement is None:
        return ()
    if mismatch.code in ("E022", "E051") and mismatch.subject is not None:
        return instead(mismatch.subject, mismatch.replacement, span, mismatch.known)
    return (Fix(f"write `{mismatch.replacement}`", (Edit(span, mismatch.replacement),)),)

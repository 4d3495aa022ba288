"""Which tensors an old recipe means, in words of this one: roles where they select the same, else names."""

from __future__ import annotations

from dataclasses import replace

from recipelang.migrate import names
from recipelang.migrate.document import Document
from recipelang.migrate.form import Freeze, Prune, Targets
from recipelang.migrate.roles import as_parts, as_roles
from recipelang.planning.families import TensorFact
from recipelang.source import Diagnostic, Diagnostics, Label, RecipeError, Span

#: patterns times tensors; a list of every matrix of a model of 80 layers is no pattern, and does not count
MAX_COMPARED = 100_000


class Selectors:
    """`family` none: its names give none away. `keep`: the layers that stay when some are dropped."""

    def __init__(
        self, document: Document, family: str | None, named: list[str], task: str | None, found: Diagnostics
    ) -> None:
        self.document, self.family, self.found = document, family, found
        self.every = names.reference(self.family, named, task) if self.family else ()
        self._not_too_many(sum(name.startswith("re:") for name in named))
        self.keep: tuple[int, ...] = ()
        self.told: set[tuple[int, str]] = set()
        self.bodies: dict[tuple[bool, bool], names.Body] = {}

    def _not_too_many(self, patterns: int) -> None:
        """Each pattern is compared with each tensor of a model as deep as the deepest layer that is named."""
        if patterns * len(self.every) > MAX_COMPARED:
            message = "this file has too many patterns for a model this deep"
            note = f"{patterns:,} patterns, each for {len(self.every):,} tensors: more than {MAX_COMPARED:,} in total"
            help = "write one pattern with `.*` in place of the layer numbers"
            raise RecipeError(
                Diagnostic("E043", message, Label(self.document.source, Span(0, 0)), notes=(note,), help=(help,))
            )

    @property
    def depth(self) -> int:
        return 1 + max((t.layer for t in self.every if t.layer is not None), default=-1)

    def _known(self, targets: Targets) -> bool:
        """Whether a reference model tells what they mean."""
        return self.family is not None or all(map(names.is_kind, targets.names)) or names.usual(targets)

    def _body(self, part: Prune | Freeze, *, whole: bool = False) -> names.Body:
        """The usual model; without `whole` only what the part acts on: weights are pruned as matrices."""
        key = (part.targets.modules, isinstance(part, Prune) and not whole)
        if key not in self.bodies:
            every = self.every or names.reference("llama" if key[0] else "bert")
            self.bodies[key] = names.Body(names.matrices(every) if key[1] else every)
        return self.bodies[key]

    def chosen(self, part: Prune | Freeze) -> frozenset[str] | None:
        """Tensors of the usual model, before layers go; none where names alone do not tell."""
        try:
            return self._body(part).matched(part.targets) if self._known(part.targets) else None
        except names.NotUnderstood:
            return None

    def text(self, part: Prune | Freeze) -> str | None:
        """Of what the loader would have chosen; none, and told, where that is not read."""
        targets = part.targets
        try:
            if self._known(targets):
                found = self._on_reference(part, targets)
                if found:
                    return found
            return names.as_globs(targets)
        except names.NotUnderstood as why:
            self._tell("E113", part, f"the targets cannot be read: {why}")
            return None

    def _tell(self, code: str, part: Prune | Freeze, message: str, why: str | None = None) -> None:
        """Once, however often the selector of a part is asked for."""
        if (part.span.start, message) not in self.told:
            self.told.add((part.span.start, message))
            notes = (why,) if why else ()
            self.found.say(code, message, self.document.label(part.span), notes=notes)

    def thaw(self, thaw: Freeze, freezes: list[Freeze]) -> None:
        """What is trained anyway needs no word; what another modifier freezes would have been trained (E113)."""
        label = self.document.label(thaw.span)
        body = names.Body(self.every)
        try:
            frozen = frozenset().union(*(body.matched(f.targets) for f in freezes)) & body.matched(thaw.targets)
        except names.NotUnderstood:
            frozen = frozenset()
        if freezes and (frozen or not self.every):
            help = "in the other modifier, name only the parameters to freeze"
            self.found.say("E113", "it trains parameters that another modifier freezes", label, help=help)
        else:
            notes = ("every parameter is",)
            self.found.say("W131", "these parameters are trained already", label, notes=notes)

    def _on_reference(self, part: Prune | Freeze, targets: Targets) -> str | None:
        """Weights are pruned as matrices; what is frozen has biases and norms as well."""
        whole, body = self._body(part, whole=True), self._body(part)
        tensors = body.tensors
        for name in whole.unmatched(targets):
            self._tell_unknown(part, name)
        if isinstance(part, Prune):
            self._beyond_matrices(part, whole, body)
        chosen = body.matched(targets)
        if not chosen:
            return None
        if self.keep:
            tensors, chosen = _renumbered(tensors, chosen, self.keep)
        found = as_roles(chosen, tensors) if isinstance(part, Prune) else as_parts(chosen, tensors)
        if found is None and any("experts" in t.roles for t in tensors if t.name in chosen):
            raise names.NotUnderstood("no selector takes a part of the experts of a layer")
        if found is None and not self.keep:  # names as they were written say it for models of every depth
            found = names.exactly(targets, chosen, tensors)
        return found

    def _tell_unknown(self, part: Prune | Freeze, name: str) -> None:
        """A name that the usual model lacks; without a family it is one of no model that is known, or of another."""
        if self.family is None and part.targets.modules and not names.families_with(name):
            why = f"known families: {', '.join(names.FAMILY_NAMES)}; it selects nothing here and is omitted from the recipe"
            return self._tell("W132", part, f"`{name[:80]}` is not a name in any supported family", why)
        why = "checked on the usual model of the family; loaders refused it or ignored it"
        return self._tell("W132", part, f"`{name[:80]}` names nothing in a `{self.family or 'llama'}` model", why)

    def _beyond_matrices(self, part: Prune, whole: names.Body, body: names.Body) -> None:
        """Biases and norms that a loader would have taken as well: a loss, unless zeros are only held."""
        targets = part.targets
        if targets.modules:  # its one-shot methods look at linear layers alone
            beyond = (
                "embeddings and norms" if part.declared.looks_at == "weights" and "__ALL__" in targets.names else ""
            )
        else:
            left = whole.matched(targets) - body.every
            beyond = "biases and norms" if left else ""
        if not beyond:
            return
        if part.holds:
            self._tell("W132", part, f"zeros of {beyond} are not held", "only matrices can be masked here")
        elif "__ALL__" in targets.names:
            self._tell("E113", part, f"`__ALL__` includes {beyond}, which are not pruned here")
        else:
            why = "its pattern matches them, and its loader masked them"
            self._tell("W132", part, f"matching {beyond} are not pruned here", why)


def _renumbered(
    tensors: tuple[TensorFact, ...], chosen: frozenset[str], keep: tuple[int, ...]
) -> tuple[tuple[TensorFact, ...], frozenset[str]]:
    """The model after layers went, numbered anew. Old names stay: only their layers matter here."""
    new = {old: i for i, old in enumerate(keep)}
    left = tuple(
        replace(t, layer=new[t.layer]) if t.layer is not None else t for t in tensors if t.layer in (None, *keep)
    )
    return left, chosen & {t.name for t in left}

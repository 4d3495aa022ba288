"""Which tensors an old recipe means, in words of this one: roles where they select the same, else names."""

from __future__ import annotations

from dataclasses import replace

from recipelang.migrate import names
from recipelang.migrate.document import Document
from recipelang.migrate.form import Freeze, Prune, Targets
from recipelang.migrate.roles import as_parts, as_roles
from recipelang.plan.families import TensorFact
from recipelang.source import Diagnostic, Diagnostics


class Selectors:
    """`family` none: its names give none away. `keep`: the layers that stay when some are dropped."""

    def __init__(
        self, document: Document, family: str | None, named: list[str], task: str | None, found: Diagnostics
    ) -> None:
        self.document, self.family, self.found = document, family, found
        self.every = names.reference(self.family, named, task) if self.family else ()
        self.keep: tuple[int, ...] = ()

    @property
    def depth(self) -> int:
        return 1 + max((t.layer for t in self.every if t.layer is not None), default=-1)

    def text(self, part: Prune | Freeze) -> str | None:
        """Of what the loader would have chosen; none, and told, where that is not read."""
        targets = part.targets
        try:
            if self.family is not None or not any(n for n in targets.names if not n.startswith("__")):
                found = self._on_reference(part, targets)
                if found:
                    return found
            return names.as_globs(targets)
        except names.NotUnderstood as why:
            self.found.add(Diagnostic("E113", f"targets are not read: {why}", self.document.label(part.span)))
            return None

    def _on_reference(self, part: Prune | Freeze, targets: Targets) -> str | None:
        """Weights are pruned as matrices; what is frozen has biases and norms as well."""
        tensors = self.every or names.reference("llama" if targets.modules else "bert")
        if isinstance(part, Prune):
            tensors = names.matrices(tensors)
        body = names.Body(tensors)
        for name in body.unmatched(targets):
            why = ("its loader refused such a name; looked for in the usual model of the family",)
            message = f"`{name[:80]}` names nothing in a `{self.family}` model"
            self.found.add(Diagnostic("W132", message, self.document.label(part.span), notes=why))
        chosen = body.matched(targets)
        if not chosen:
            return None
        if self.keep:
            tensors, chosen = _renumbered(tensors, chosen, self.keep)
        found = as_roles(chosen, tensors) if isinstance(part, Prune) else as_parts(chosen, tensors)
        if found is None and not self.keep:  # names as they were written say it for models of every depth
            found = names.exactly(targets, chosen, tensors)
        return found


def _renumbered(
    tensors: tuple[TensorFact, ...], chosen: frozenset[str], keep: tuple[int, ...]
) -> tuple[tuple[TensorFact, ...], frozenset[str]]:
    """The model after layers went, numbered anew. Old names stay: only their layers matter here."""
    new = {old: i for i, old in enumerate(keep)}
    left = tuple(
        replace(t, layer=new[t.layer]) if t.layer is not None else t for t in tensors if t.layer in (None, *keep)
    )
    return left, chosen & {t.name for t in left}

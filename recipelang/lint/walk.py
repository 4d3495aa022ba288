"""Ways through the tree of a recipe that several rules need."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.kinds.terms import INNER
from recipelang.source import Span
from recipelang.spec.blocks import DistillSpec
from recipelang.syntax import tree as t
from recipelang.tasks import task_of

#: names that move: what they point to today may be something else tomorrow
_BRANCHES = ("main", "master", "HEAD")


def names(root: object) -> set[str]:
    """The first part of every name that is used: parameters and lets among them."""
    return {node.names[0] for node in t.nodes(root) if isinstance(node, t.Path)}


def blocks(tree: t.Recipe, kind: str) -> list[t.Block]:
    return [s for s in tree.statements if isinstance(s, t.Block) and s.kind == kind]


def attribute(tree: t.Recipe, path: str) -> t.Attribute | None:
    """The attribute at a path such as `stage.sparse.prune.weights.never`."""
    statements = tree.statements
    rest = path.split(".")
    while len(rest) > 1:
        inside = _enter(statements, rest)
        if inside is None:
            return None
        statements, rest = inside
    return next((s for s in statements if isinstance(s, t.Attribute) and s.name == rest[0]), None)


def _enter(statements: tuple[t.Statement, ...], rest: list[str]) -> tuple[tuple[t.Statement, ...], list[str]] | None:
    for s in sorted((s for s in statements if isinstance(s, t.Block)), key=lambda s: -len(s.labels)):
        if [s.kind, *s.labels] == rest[: 1 + len(s.labels)]:
            return s.body, rest[1 + len(s.labels) :]
    return None


def written(tree: t.Recipe, path: str, text: str) -> Span | None:
    """Where the text of an attribute stands: with the parameter or let that it names, if that still has this text."""
    found = attribute(tree, path)
    if found is None:
        return None
    value: object = found.value
    definitions = {s.name: s for s in tree.statements if isinstance(s, t.Param | t.Let)}
    for _ in range(len(definitions)):
        definition = definitions.get(value.text) if isinstance(value, t.Path) else None
        if definition is None:
            break
        value = definition.default if isinstance(definition, t.Param) else definition.value
    return value.span if isinstance(value, t.Text) and value.parts == (text,) else found.value.span


def claims(tree: t.Recipe) -> list[t.Claim]:
    """What is judged after a run."""
    return [s for s in tree.statements if isinstance(s, t.Claim) and s.kind != "require"]


def is_measured(node: t.Expr) -> bool:
    """`dev.f1`, `sparsity(...)`: what only a run can tell."""
    return isinstance(node, t.Call) or (isinstance(node, t.Path) and len(node.names) > 1)


def is_unpinned(reference: object, revision: str | None = None) -> bool:
    """An `hf://` reference without a commit or tag."""
    if not isinstance(reference, str) or not reference.startswith("hf://"):
        return False
    version = revision or reference.partition("@")[2]
    return not version or version in _BRANCHES


def compares_distributions(task: str, distill: DistillSpec) -> bool:
    """Whether a term compares the softmax of outputs, which a temperature softens."""
    return task_of(task).softmax and any(term.name not in INNER for term in distill.on)


def without(tree: t.Recipe, name: str) -> Iterator[Span]:
    """Where an attribute of `meta` should be: the block, or the first line if there is none."""
    meta = blocks(tree, "meta")
    if not any(isinstance(s, t.Attribute) and s.name == name for block in meta for s in block.body):
        yield meta[0].header if meta else tree.version_span

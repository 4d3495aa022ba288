"""The words that may stand in a value, names and functions with their arguments, and whether those of a let do.

A let that no attribute takes is judged by no attribute's kind, so its words are looked at where they stand.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache

from recipelang.kinds.choice import Signature
from recipelang.kinds.schedule import ARGUMENTS
from recipelang.kinds.terms import NAMES
from recipelang.methods import METHODS
from recipelang.methods.declaration import CALLED_SCOPES
from recipelang.methods.reconstruction import RECONSTRUCTIONS
from recipelang.schedules.shapes import SHAPES
from recipelang.source.suggest import closest, instead
from recipelang.spec.blocks import BLOCKS
from recipelang.spec.evaluator import Evaluator
from recipelang.spec.optimizers import OPTIMIZERS
from recipelang.syntax import tree as t

#: tables of what takes arguments
CALLED: tuple[Mapping[str, Signature], ...] = (METHODS, CALLED_SCOPES, RECONSTRUCTIONS, OPTIMIZERS)


@cache
def symbols() -> frozenset[str]:
    """Names that some attribute, or some argument of a method or optimizer, takes as a value."""
    kinds = [a.kind for table in BLOCKS.values() for spec in table.values() for a in spec.attributes().values()]
    kinds += [a.kind for table in CALLED for s in table.values() for a in s.arguments]
    return frozenset(name for kind in kinds for name in kind.symbols)


@cache
def functions() -> dict[str, frozenset[str]]:
    """What can be called in a value -> the names of its arguments."""
    found = {name: frozenset(a.name for a in s.arguments) for t in CALLED for name, s in t.items()}
    for name in SHAPES:
        found[name] = found.get(name, frozenset()) | frozenset(ARGUMENTS)
    for name in NAMES:
        found[name] = found.get(name, frozenset()) | {"weight"}
    return {"block": frozenset(), "each": frozenset(), "layers": frozenset(), "speedup": frozenset(), **found}


def names_of(tree: t.Recipe, evaluator: Evaluator) -> frozenset[str]:
    """Names that may stand for themselves in a recipe: those of the language, of its blocks, and of `one_of`."""
    options = (name for d in evaluator.definitions.values() for name in d.symbols or ())
    return symbols().union(_labels(tree), options)


def is_known(value: t.Expr, names: Collection[str], stages: Collection[str], evaluator: Evaluator) -> bool:
    """Whether every name and function in the value of a let means something; those that do not are told. E022."""
    found = list(t.inside(value))
    units = [n.right for n in found if isinstance(n, t.Binary) and n.operator == "per"]
    known = True
    for node in found:
        match node:
            case t.Path(names=("stage", name)) if stages and name not in stages:
                near = closest(name, stages)
                help = f"did you mean `stage.{near}`?" if near else f"stages here: {', '.join(stages)}"
                evaluator.error("E022", f"no stage is named `{name}`", node.span, help=help)
            case t.Path(names=(name,)) if node not in units and not _is_defined(node, evaluator) and name not in names:
                evaluator.unknown(node, known=names)
            case t.Call() if node.function.text not in functions() and node.function.text not in METHODS:
                evaluator.unknown(node.function, known=functions())
            case _:
                continue
        known = False
    return known


def check_arguments(tree: t.Recipe, evaluator: Evaluator) -> None:
    """E051 for a name that the function called in a let does not take."""
    lets = (s.value for s in tree.statements if isinstance(s, t.Let))
    for call in (node for value in lets for node in t.inside(value) if isinstance(node, t.Call)):
        known = functions().get(call.function.text)
        for argument in call.arguments if known is not None else ():
            if known is None or argument.name is None or argument.name in known or argument.name_span is None:
                continue
            near = closest(argument.name, known)
            takes = f"it takes {', '.join(f'`{a}`' for a in sorted(known))}" if known else "it takes none"
            help = f"did you mean `{near}`?" if near else takes
            message = f"`{call.function.text}` has no argument `{argument.name}`"
            fixes = instead(argument.name, near, argument.name_span, known)
            evaluator.error("E051", message, argument.name_span, help=help, fixes=fixes)


def _is_defined(node: t.Path, evaluator: Evaluator) -> bool:
    return node.names[0] in evaluator.unread or (not node.library and node.text in evaluator.definitions)


def stages_of(tree: t.Recipe) -> list[str]:
    return _labels(tree, "stage")


def _labels(tree: t.Recipe, kind: str = "") -> list[str]:
    """Names of the blocks outside all others, of one kind or of all."""
    blocks = (s for s in tree.statements if isinstance(s, t.Block) and s.kind == (kind or s.kind))
    return [label for block in blocks for label in block.labels]

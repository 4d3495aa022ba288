"""A stage that repeats: of `each([50%, 67%, 75%])` in a stage come three stages, one after another.

They are `NAME_1`, `NAME_2` and `NAME`: the last one has the stage's own name, so that whatever names the stage means its
end. Everything else in the stage is the same in all of them. What is made here is what the stages written out would be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace
from typing import Any

from recipelang.kinds.base import describe
from recipelang.source import Label
from recipelang.source.suggest import closest, instead
from recipelang.source.words import plural
from recipelang.spec.evaluator import EACH, Evaluator
from recipelang.spec.vocabulary import functions
from recipelang.syntax import tree as t
from recipelang.values.composite import Poison

#: values of one list
MOST = 64


def written_out(tree: t.Recipe, evaluator: Evaluator) -> tuple[t.Recipe, bool]:
    """The recipe with every repeated stage written out, and whether it has all its stages.

    E267 to E270 for lists that make no stages.
    """
    sound = True
    statements: list[t.Statement] = []
    names = [s.labels[0] for s in tree.statements if isinstance(s, t.Block) and _is_stage(s)]
    for statement in tree.statements:
        calls = [node for node in t.nodes(statement) if _is_each(node, evaluator)]
        if not calls:
            statements.append(statement)
        elif _is_stage(statement):
            assert isinstance(statement, t.Block)
            lists = {id(call): _list_of(call, evaluator) for call in calls}
            long = {len(items) for items in lists.values() if items is not None}
            if len(long) > 1:
                _differ(calls, lists, evaluator)
            if len(long) != 1 or None in lists.values():
                sound = False
                statements.append(statement)  # its values are silent
                continue
            picks = [{key: items[at] for key, items in lists.items() if items is not None} for at in range(*long)]
            statements += _rungs(statement, picks, names, evaluator)
        else:
            statements.append(statement)
            _misplaced(statement, calls, evaluator)
    return replace(tree, statements=tuple(statements)), sound


def _is_stage(statement: t.Statement) -> bool:
    return isinstance(statement, t.Block) and statement.kind == "stage" and len(statement.labels) == 1


def _is_each(node: t.Node, evaluator: Evaluator) -> bool:
    """A misspelt one is told, and read as it was meant."""
    if not isinstance(node, t.Call):
        return False
    name = node.function.text
    if name == EACH or name in functions() or closest(name, (EACH, *functions())) != EACH:
        return name == EACH
    fixes = instead(name, EACH, node.function.span, (EACH, *functions()))
    evaluator.error("E022", f"unknown name `{name}`", node.function.span, help=f"did you mean `{EACH}`?", fixes=fixes)
    return True


def _misplaced(statement: t.Statement, calls: Sequence[t.Node], evaluator: Evaluator) -> None:
    """Claims say of every function that they do not know."""
    for call in calls if not isinstance(statement, t.Claim) else ():
        help = "write it in a `stage`: each of its values makes one stage"
        evaluator.error("E268", f"`{EACH}` is written outside a stage", call.span, help=help)


# ---------------------------------------------------------------------- stages
def _rungs(
    stage: t.Block, picks: Sequence[dict[int, t.Expr]], names: Sequence[str], evaluator: Evaluator
) -> Iterator[t.Block]:
    """The stages that one becomes. `picks`: for each of them, what stands in the place of every call."""
    own = stage.labels[0]
    for at, picked in enumerate(picks):
        name = own if at == len(picks) - 1 else f"{own}_{at + 1}"
        if name != own and name in names:
            help = f"rename one of the two stages: the stages of `{own}` are `{own}_1`, `{own}_2` and so on"
            evaluator.error("E269", f"`{own}` repeats into a stage that exists: `{name}`", stage.header, help=help)
            continue

        def rung(node: t.Node, picked: dict[int, t.Expr] = picked) -> t.Node | None:
            return picked.get(id(node))

        yield replace(_changed(stage, rung), labels=(name,))


def _list_of(call: t.Node, evaluator: Evaluator) -> Sequence[t.Expr] | None:
    """What stands for the call in each of the stages. E270 unless it is one list that has values."""
    assert isinstance(call, t.Call)
    if len(call.arguments) != 1 or call.arguments[0].name is not None:
        _no_list(call, f"`{EACH}` takes one list", evaluator)
        return None
    value = call.arguments[0].value
    if isinstance(value, t.ListOf):  # places in it are told as they are written
        items: Sequence[t.Expr] = value.items
    else:
        found = evaluator.within({}).value(value)
        if isinstance(found, Poison):
            return None
        if not isinstance(found, tuple):
            _no_list(call, f"`{EACH}` needs a list, found {describe(found)}", evaluator)
            return None
        items = [t.Picked(value, at, span=call.span) for at in range(len(found))]
    if not 0 < len(items) <= MOST:
        wrong = "the list is empty" if not items else f"the list has {plural(len(items), 'value')}, at most {MOST}"
        _no_list(call, f"`{EACH}` makes no stages: {wrong}", evaluator)
        return None
    return items


def _no_list(call: t.Call, message: str, evaluator: Evaluator) -> None:
    help = f"write `{EACH}([50%, 75%, 90%])`: one stage for each value"
    evaluator.error("E270", message, call.span, help=help)


def _differ(calls: Sequence[t.Node], lists: dict[int, Sequence[t.Expr] | None], evaluator: Evaluator) -> None:
    whole = [(call, items) for call in calls if (items := lists[id(call)]) is not None]
    first, items = whole[0]
    for call, others in whole[1:]:
        if len(others) != len(items):
            message = f"this list has {plural(len(others), 'value')}, the first one {len(items)}"
            label = Label(evaluator.source, first.span, "the first list of the stage")
            help = "give every list of a stage as many values: one for each stage that it becomes"
            evaluator.error("E267", message, call.span, help=help, secondary=(label,))


# ----------------------------------------------------------------------- trees
def _changed(node: Any, change: Callable[[t.Node], t.Node | None]) -> Any:
    """The tree with some of its nodes replaced; what holds none of them stays the same object."""
    if (other := change(node)) is not None:
        return other
    changes: dict[str, object] = {}
    for f in fields(node):
        value = getattr(node, f.name)
        if isinstance(value, t.Node):
            after: object = _changed(value, change)
        elif isinstance(value, tuple) and any(isinstance(item, t.Node) for item in value):
            items = tuple(_changed(item, change) if isinstance(item, t.Node) else item for item in value)
            after = items if any(a is not b for a, b in zip(items, value, strict=True)) else value
        else:
            continue
        if after is not value:
            changes[f.name] = after
    return replace(node, **changes) if changes else node

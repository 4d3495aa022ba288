"""Facts of a task are in its declaration: nothing else asks which task it is."""

import ast
from pathlib import Path

import pytest

import recipelang
from recipelang.spec.metrics import METRICS

ROOT = Path(recipelang.__file__).parent
#: the tasks themselves; other tools' recipes, which are told apart by the task they are for; and a table of the tensors
#: of four types' heads, each by the task it was made for
OWN = ("tasks/", "migrate/", "planning/families.py")
#: the schema imports no task (a contract), and this decides digests, so it may not follow a new task by itself
ALLOWED = {"spec/canonical.py": ["task in ('causal_lm', 'masked_lm')", "task == 'question_answering'"]}


def _names_a_task(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        return node.value in METRICS
    return isinstance(node, ast.Tuple | ast.List | ast.Set) and any(map(_names_a_task, node.elts))


def _asks(tree: ast.AST) -> list[str]:
    """Where code compares with the name of a task, has one as a constant, or imports one as such."""
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.Compare(left=left, comparators=others) if any(map(_names_a_task, [left, *others])):
                found.append(ast.unparse(node))
            case ast.MatchValue(value=value) if _names_a_task(value):
                found.append(f"case {ast.unparse(node)}")
            case ast.Assign(value=ast.Constant() as value) if _names_a_task(value):
                found.append(ast.unparse(node))
            case ast.ImportFrom(module=str(room), names=names) if room.startswith("recipelang.tasks."):
                found += [ast.unparse(node) for n in names if n.name == "TASK"]
    return found


@pytest.mark.parametrize(
    "code",
    [
        "plan.task == 'multiple_choice'",
        "task in ('causal_lm', 'x')",
        "match task:\n    case 'masked_lm' | 'x': pass",
        "_SENTENCES = 'sentence_similarity'",
        "from recipelang.tasks.sentence_similarity import TASK as SENTENCES",
    ],
)
def test_the_search_finds(code):
    assert _asks(ast.parse(code))


def test_nothing_else_asks_which_task_it_is():
    files = {p.relative_to(ROOT).as_posix(): p for p in sorted(ROOT.rglob("*.py"))}
    found = {n: _asks(ast.parse(p.read_text("utf-8"))) for n, p in files.items() if not n.startswith(OWN)}
    assert {n: f for n, f in found.items() if f} == ALLOWED

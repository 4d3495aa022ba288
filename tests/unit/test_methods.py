"""One declaration a method: nothing else asks which method it is, and the code takes what is declared."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import recipelang
from recipelang.kinds.plain import OneOf
from recipelang.methods import METHODS
from recipelang.methods.declaration import OWL, PATTERNS, SCOPES, Memory
from recipelang.modifiers.modifier import Modifier
from recipelang.pruning.scores import Score

ROOT = Path(recipelang.__file__).parent
#: what belongs to methods: their declarations, and the files that do what they are
OWN = ("methods/builtin/", "pruning/scores/")
#: names that mean something else as well (a random number generator's module, English words in screens)
OTHER = {"random", "hold", "release", "magnitude"}


def _files() -> list[Path]:
    return [p for p in sorted(ROOT.rglob("*.py")) if not p.relative_to(ROOT).as_posix().startswith(OWN)]


def _names_a_method(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        return node.value in METHODS
    return isinstance(node, ast.Tuple | ast.List | ast.Set) and any(map(_names_a_method, node.elts))


def _asks(tree: ast.AST) -> list[str]:
    """Where code compares with the name of a method, asks for the type of a score, or keeps a table of methods."""
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.Compare(left=left, comparators=others) if any(map(_names_a_method, [left, *others])):
                found.append(ast.unparse(node))
            case ast.MatchValue(value=value) if _names_a_method(value):
                found.append(f"case {ast.unparse(node)}")
            case ast.Call(func=ast.Attribute(attr="startswith"), args=[first, *_]) if _names_a_method(first):
                found.append(ast.unparse(node))
            case ast.Call(func=ast.Name(id="isinstance"), args=[ast.expr() as what, _]) if "score" in ast.unparse(what):
                found.append(ast.unparse(node))
            case ast.Dict(keys=keys) if any(k is not None and _names_a_method(k) for k in keys):
                found.append(ast.unparse(node)[:80])
            case ast.Constant(value=str(text)) if text in METHODS.keys() - OTHER:
                found.append(text)
    return found


@pytest.mark.parametrize(
    "code",
    [
        "x.method == 'obert'",
        "'hold' != x",
        "name in ('a', 'wanda')",
        "isinstance(self.score, Rigl)",
        "m.startswith(('sparsegpt', 'x'))",
        "table = {'magnitude': 1}",
        "match m:\n    case 'release': pass",
        "call('snip')",
    ],
)
def test_the_search_finds(code):
    assert _asks(ast.parse(code))


def test_nothing_else_asks_which_method_it_is():
    files = ((p.relative_to(ROOT).as_posix(), _asks(ast.parse(p.read_text("utf-8")))) for p in _files())
    # a word of SparseML
    assert {name: found for name, found in files if found} == {"migrate/legacy.py": ["kind != 'magnitude'"]}


@pytest.mark.parametrize("method", METHODS.values(), ids=lambda m: m.name)
def test_the_code_takes_what_is_declared(method):
    code = method.load()
    if not method.scheduled:
        assert issubclass(code, Modifier) and not method.arguments
        return
    assert issubclass(code, Score)
    assert list(inspect.signature(code).parameters) == ["names", "seed", *method.typed({})]
    code(["w"], 0, **method.typed({}))
    for name, looks_at in (("observe", "steps"), ("fit", "inputs")):
        assert (getattr(code, name) is not getattr(Score, name)) == (method.looks_at == looks_at)
    assert (code.grown is not Score.grown) == method.swaps
    assert (code.prepare is not Score.prepare) == (method.looks_at == "gradients")
    assert bool(method.memory.input or method.memory.pair) == (method.looks_at == "inputs")
    assert method.compensates or code.compensate is Score.compensate


@pytest.mark.parametrize("method", METHODS.values(), ids=lambda m: m.name)
def test_a_declaration_is_whole(method):
    kinds = {a.name: a.kind for a in method.arguments}
    for argument in method.arguments:
        argument.kind.check(argument.default)
    if method.scheduled:
        scope = kinds["scope"]
        assert isinstance(scope, OneOf) and set(scope.symbols) <= {*SCOPES, OWL.name}
        assert method.patterns and set(method.patterns) <= set(PATTERNS)
        assert method.memory == Memory() or method.looks_at != "weights"
    assert method.neighbours in ("", *kinds)
    if method.llm_compressor:
        assert {ours for _, ours in method.llm_compressor.arguments} <= kinds.keys()
    memory, passes = method.scoring(method.typed({}), [12, 50])
    assert memory >= method.memory.weight * 62 and passes == 1


def test_declarations_load_no_torch():
    code = "import sys, recipelang.methods; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

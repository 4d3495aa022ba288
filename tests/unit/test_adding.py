"""What `ARCHITECTURE.md` lists under "Adding things", carried out in a copy of the source tree: it works at once.

Each test adds what the list says and no more, runs what the list says, and looks that no page of the reference has lost
a line, and that no other page has changed.
"""

from __future__ import annotations

import compileall
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.other_tasks import make_task

ROOT = Path(__file__).parents[2]
LEFT_OUT = shutil.ignore_patterns(".*", "crashers", "*.pyc.*")  # the last is being written by another worker


@dataclass
class Tree:
    """A copy of the sources, in which one thing at a time is added."""

    root: Path
    tiny: Path
    before: dict[Path, bytes | None] = field(default_factory=dict)

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        self.before.setdefault(file, file.read_bytes() if file.exists() else None)
        file.write_text(text, "utf-8")

    def edit(self, path: str, old: str, new: str) -> None:
        text = (self.root / path).read_text("utf-8")
        assert text.count(old) == 1, f"`{old}` occurs {text.count(old)} times in {path}"
        self.write(path, text.replace(old, new))

    def restore(self) -> None:
        for file, content in self.before.items():
            if content is None:
                file.unlink()
            else:
                file.write_bytes(content)
        self.before.clear()

    def python(self, *arguments: str, folder: Path | None = None, code: int = 0, **more: str) -> str:
        environment = {**os.environ, "PYTHONPATH": str(self.root), "OMP_NUM_THREADS": "1", "NO_COLOR": "1", **more}
        environment["PYTHONDONTWRITEBYTECODE"] = "1"  # two versions of a file within a second have one time
        ended = subprocess.run(
            [sys.executable, *arguments], cwd=folder or self.root, env=environment, capture_output=True, text=True
        )
        assert ended.returncode == code, ended.stdout + ended.stderr
        return ended.stdout + ended.stderr

    def make_docs(self) -> dict[str, list[str]]:
        """`make docs`: page -> the lines that are new on it."""
        self.before.update({f: f.read_bytes() for f in (self.root / "docs/reference").glob("*.md")})
        (recipe,) = re.findall(
            r"^docs:.*\n\t\$\(BIN\)/python -c \"(.*)\"", (ROOT / "Makefile").read_text("utf-8"), re.M
        )
        self.python("-c", recipe)
        new: dict[str, list[str]] = {}
        for file in (self.root / "docs/reference").glob("*.md"):
            old, now = (self.before[file] or b"").decode(), file.read_text("utf-8")
            if old != now:
                assert is_within(old, now), f"{file.name} lost something"
                there = set(old.splitlines())
                new[file.name] = [line for line in now.splitlines() if line not in there]
        return new

    def tests(self, *arguments: str, **more: Any) -> str:
        quick = ("-n", "0", "-p", "no:cacheprovider", "--assert=plain")
        return self.python("-m", "pytest", "-q", *quick, *arguments, RECIPELANG_TINY=str(self.tiny), **more)


def is_within(text: str, longer: str) -> bool:
    """Whether all words of a text stand in another one, in their order, however its tables are drawn."""
    words = (re.sub("-{3,}", "---", t).split() for t in (text, longer))
    few, many = (iter(w) for w in words)
    return all(word in many for word in few)


@pytest.fixture(scope="session")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("adding") / "tree"
    for name in ("recipelang", "grammar", "recipes", "docs/reference", "tests"):
        shutil.copytree(ROOT / name, root / name, ignore=LEFT_OUT)
    for name in ("pyproject.toml", "Makefile", "ARCHITECTURE.md"):
        shutil.copy(ROOT / name, root / name)
    assert compileall.compile_dir(root / "recipelang", quiet=1)  # what has not been compiled in the sources
    return root


@pytest.fixture
def tree(copied: Path, tiny: Path) -> Iterator[Tree]:
    it = Tree(copied, tiny)
    yield it
    it.restore()


def page(code: str, title: str, rule: str = "", failing: str = "", right: str = "") -> str:
    text = f"# {code}: {title}\n\nA sentence says what happened, and where it is shown. "
    text += "Another one says what has to be done about it, in words that fit.\n\n"
    if rule:
        text += f"{rule}\n\nThis fails:\n\n```recipe\n{failing}```\n\nThis is right:\n\n```recipe\n{right}```\n\n"
    return text + "Why: nothing that is wrong should pass without a word.\n\nRelated: E051.\n"


RECIPE = """recipe 1 "example"

meta { license = "Apache-2.0", authors = ["A. Person"] }
model { base = "model", task = question_answering }
data { train = "train.json", validation = "dev.json", max_length = 32 tokens }

stage sparse {
  length        = 4 epochs
  batch         = 8
  learning_rate = linear(1e-3 -> 1e-4, over = start..end)
  prune weights {
    targets  = @linear & @encoder
    never    = @embeddings | @head
    method   = magnitude
    sparsity = cubic(30% -> 70%, over = 1..3 epochs, every = 2 steps)
  }
}
"""

RULE = '''"""L099: a stage is called `sparse`."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.lint.subject import Finding, Subject
from recipelang.lint.walk import blocks

CODE, NAME, LEVEL, NEEDS = "L099", "stage-called-sparse", "warn", "tree"


def check(it: Subject) -> Iterator[Finding]:
    for block in blocks(it.tree, "stage"):
        if block.labels == ("sparse",):
            yield Finding(block.header, "a stage is called `sparse`", "call it `pruned`")
'''


def test_a_lint_rule(tree: Tree) -> None:
    tree.write("recipelang/lint/rules/stage_called_sparse.py", RULE)
    right = RECIPE.replace("stage sparse", "stage pruned")
    rule = "Rule `stage-called-sparse`, level `warn`; judged from the text alone."
    tree.write("recipelang/source/pages/L099.md", page("L099", "a stage is called sparse", rule, RECIPE, right))
    case = f"command: lint a.recipe --allow L041\n\n{RECIPE}-----\n"
    tree.write("tests/cases/diagnostics/L099-stage.case", case)
    assert set(tree.make_docs()) == {"codes.md"}
    tests = ["tests/cases/test_diagnostics.py", "tests/unit/lint/test_rule_pages.py", "tests/unit/source/test_pages.py"]
    chosen = "L099 or stage-called-sparse or every_code or every_page"
    tree.tests(*tests, "-k", chosen, RECIPELANG_UPDATE_CASES="1")
    shown = (tree.root / "tests/cases/diagnostics/L099-stage.case").read_text("utf-8")
    assert "warning[L099]: a stage is called `sparse`\n --> a.recipe:7:1" in shown
    assert "call it `pruned`" in shown


COMMAND = '''"""`recipelang count`: how many stages a recipe has."""

from __future__ import annotations

import typer

from recipelang.cli import screen
from recipelang.loading.read import check_all
from recipelang.loading.files import read_source
from recipelang.source import fail


def count(file: str = typer.Argument(..., metavar="FILE", help="A recipe.")) -> None:
    """Count the stages of a recipe.

    Example:

      recipelang count squad.recipe
    """
    recipe = check_all(read_source(file), {}).recipe
    if recipe is None:
        raise fail("E998", "a broken recipe has no number of stages", help="mend it first")
    screen.tell(str(len(recipe.stages)))
'''


def test_a_command_and_its_diagnostic(tree: Tree, tmp_path: Path) -> None:
    tree.write("recipelang/cli/commands/count.py", COMMAND)
    last = '    "explain": ("explain", '
    tree.edit("recipelang/cli/main.py", last, f'    "count": ("count", "Count the stages of a recipe."),\n{last}')
    tree.write("recipelang/source/pages/E998.md", page("E998", "a broken recipe has no number"))
    case = f"command: count a.recipe\n\n{RECIPE.replace('batch', 'badge')}-----\n"
    tree.write("tests/cases/diagnostics/E998-broken.case", case)
    (tmp_path / "a.recipe").write_text(RECIPE, "utf-8")
    assert tree.python("-m", "recipelang", "count", "a.recipe", folder=tmp_path) == "1\n"
    assert tree.python("-m", "recipelang", "explain", "E998").startswith("# E998: ")
    new = tree.make_docs()
    assert set(new) == {"codes.md", "commands.md"}
    assert "## recipelang count" in new["commands.md"]
    tests = ["tests/cases/test_diagnostics.py", "tests/unit/source/test_pages.py", "tests/cli/test_help.py"]
    chosen = "E998 or every_code or (test_help and (program or completed or count))"
    tree.tests(*tests, "-k", chosen, RECIPELANG_UPDATE_CASES="1")
    shown = (tree.root / "tests/cases/diagnostics/E998-broken.case").read_text("utf-8")
    assert "error[E998]: a broken recipe has no number of stages\n" in shown


def test_a_shape(tree: Tree, tiny: Path, tmp_path: Path) -> None:
    words = '"slow first", "square(1e-4 -> 0, over = start..end)", "a + (b - a) x^2"'
    tree.edit(
        "recipelang/schedules/shapes.py",
        '    "cosine": Shape(',
        f'    "square": Shape({words}, lambda a, b, x: a + (b - a) * x**2),\n    "cosine": Shape(',
    )
    new = tree.make_docs()
    assert set(new) == {"schedules.md"}
    assert any("`square`" in line for line in new["schedules.md"])
    shutil.copytree(tiny, tmp_path, dirs_exist_ok=True)
    text = RECIPE.replace("cubic(30% -> 70%, over = 1..3 epochs, every = 2 steps)", "SHAPE")
    text = text.replace("SHAPE", "square(0% -> 80%, over = 1..3 epochs, every = 1 epoch)")
    (tmp_path / "a.recipe").write_text(text, "utf-8")
    program = (
        "from recipelang.loading.plan import planned; plan = planned('a.recipe')[1];"
        "print(*(round(e.sparsity, 4) for e in plan.stages[0].prunes[0].events))"
    )
    assert tree.python("-c", program, folder=tmp_path) == "0.0 0.2 0.8\n"
    tests = ["tests/unit/reference/test_reference_pages.py", "tests/unit/spec/test_suggestions.py"]
    tree.tests(*tests, "-k", "square or checked_in or argument")


TASK = '''"""A mark for a text: as `sequence_classification`, and measured by whether it is no further than one class away."""

from __future__ import annotations

from dataclasses import replace

from recipelang.tasks import sequence_classification



def measure(kept, features, examples, how=None):
    away = abs(kept["logits"].argmax(1) - features.labels)
    return {"close": float((away <= 1).mean())}


TASK = replace(
    sequence_classification.TASK,
    name="marks",
    head_of="sequence_classification",
    items="marked texts",
    measure=measure,
)
'''


def test_a_task(tree: Tree, tmp_path: Path) -> None:
    tree.write("recipelang/tasks/marks.py", TASK)
    tree.edit("recipelang/spec/metrics.py", "\nMETRICS = {\n", '\nMETRICS = {\n    "marks": ("close",),\n')
    tree.edit(
        "recipelang/spec/metrics.py",
        "MEASURES: dict[str, Metric] = {\n",
        'MEASURES: dict[str, Metric] = {\n    "close": Metric("texts whose mark is one off at most", True),\n',
    )
    assert set(tree.make_docs()) <= {"blocks.md", "claims.md", "values.md"}
    make_task(tmp_path, "sequence_classification")
    text = (tmp_path / "task.recipe").read_text("utf-8").replace("sequence_classification", "marks")
    text = text.replace("max_length", 'positive = "1", max_length')
    (tmp_path / "task.recipe").write_text(text, "utf-8")
    out = tree.python("-m", "recipelang", "run", "task.recipe", "-o", "out", "--steps", "2", folder=tmp_path)
    assert "close" in out
    tests = ["tests/unit/reference", "tests/unit/recipes/test_library.py", "tests/unit/tasks/test_every_task.py"]
    said = tree.tests(*tests, "-k", "checked_in or metric or marks", code=1)
    assert "1 failed" in said and "write a recipe of the library" in said  # what is left of the list


METHOD = '''"""Largest: the other way round."""

from recipelang.methods.declaration import Method, scope

METHOD = Method(
    "largest",
    "prunes the weights with the largest absolute values first; an upper bound for harm",
    (scope("uniform"),),
    implementation="recipelang.pruning.scores.largest:Largest",
)
'''
SCORE = '''"""Largest: the score of a weight is less, the larger it is."""

from recipelang.pruning.scores import Score


class Largest(Score):
    def scores(self, weights):
        return [lambda w=w: -w.detach().abs().reshape(-1) for w in weights]
'''


def test_a_pruning_method(tree: Tree, tmp_path: Path) -> None:
    tree.write("recipelang/methods/builtin/largest.py", METHOD)
    tree.write("recipelang/pruning/scores/largest.py", SCORE)
    new = tree.make_docs()
    assert any("largest" in line for line in new["choices.md"])
    (tmp_path / "a.recipe").write_text(RECIPE.replace("magnitude", "largest"), "utf-8")
    assert "a.recipe: ok" in tree.python("-m", "recipelang", "validate", "a.recipe", folder=tmp_path)
    program = (
        "import torch; from recipelang.modifiers.prune import make;"
        "(score,) = make('largest', {}, ['w'], 0).scores([torch.tensor([[1.0, -3.0]])]); print(score().tolist())"
    )
    assert tree.python("-c", program) == "[-1.0, -3.0]\n"

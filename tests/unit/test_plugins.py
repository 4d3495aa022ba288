"""A method of another distribution: read without its code, required, planned, locked, run."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from recipelang.artifact.lock import differences, parse_lock
from recipelang.engine.statement import run_digest
from recipelang.kinds.base import Mismatch
from recipelang.loading.plan import planned
from recipelang.methods import METHODS, plugins
from recipelang.modifiers.prune import make
from recipelang.source import RecipeError, Source
from recipelang.spec.check import check
from recipelang.testing import check_method
from tests.cli.command import command

SAMPLE = Path(__file__).parents[1] / "plugin_sample"
OLD = "if scope == uniform then magnitude(scope = uniform) else magnitude(scope = global)"
TEXT = """recipe 1 "tiny"
META
model {{ base = "model", task = question_answering }}
data {{ train = "train.json", validation = "dev.json", max_length = 32 tokens, stride = 8 tokens }}
stage sparse {{
  length = 2 epochs
  batch = 8
  learning_rate = linear(1e-3 -> 0, over = start..end)
  prune weights {{
    targets = @linear & @encoder
    method = METHOD
    sparsity = step(0% -> 50%, at = 2 steps)
  }}
}}
""".replace("{{", "{").replace("}}", "}")
REQUIRES = 'meta { requires = ["acme-prune >= 2, < 3"] }'


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A folder that the sample is installed into, as pip does, without a network."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(SAMPLE, source := folder / "source")
    how = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    start = [sys.executable, "-m", "pip", "install", *how, "--target", str(folder / "site"), str(source)]
    done = subprocess.run(start, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "site"


@pytest.fixture
def installed(site, monkeypatch) -> Path:
    monkeypatch.syspath_prepend(str(site))
    yield site
    _forget()


def _forget() -> None:
    for name in [n for n in sys.modules if n.partition(".")[0] == "acme_prune"]:
        del sys.modules[name]


@pytest.fixture
def changed(site, tmp_path, monkeypatch):
    """The same with another declaration."""
    shutil.copytree(site, tmp_path / "site")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path / "site" / "acme_prune" / plugins.FILE
    _forget()


def found(method: str = "acme.topk(k = 3)", meta: str = REQUIRES):
    checked = check(Source("a.recipe", TEXT.replace("METHOD", method).replace("META", meta)))
    return checked.recipe, [(d.code, d.primary and d.primary.source.slice(d.primary.span)) for d in checked.diagnostics]


def test_it_is_declared_without_its_code(installed):
    method = METHODS["acme.topk"]
    assert (method.distribution, method.version, method.looks_at) == ("acme-prune", "2.1.0", "weights")
    recipe, told = found()
    assert told == []
    assert recipe.stages[0].prunes[0].method.arguments == (("k", 3), ("scope", "uniform"))
    assert not any(name.startswith("acme_prune") for name in sys.modules)
    assert "acme.topk" not in list(METHODS)  # what ours are does not depend on what is installed


@pytest.mark.parametrize(
    ("method", "codes"),
    [
        ("acme.topk", []),
        ("acme.topk(k = 3, scope = global)", []),
        ("acme.topk(k = -1)", [("E038", "-1")]),
        ("acme.topk(kk = 1)", [("E051", "kk")]),
        ("acme.topk(scope = row)", [("E022", "row")]),
        ("acme.topq(k = 1)", [("E022", "acme.topq")]),
        ("acme.topq", [("E022", "acme.topq")]),
    ],
)
def test_its_arguments_are_checked_as_ours_are(installed, method, codes):
    assert found(method)[1] == codes


def test_a_pattern_that_it_does_not_declare_is_refused(installed):
    assert found("acme.topk\n    pattern = block(2, 4)")[1] == [("E054", "block(2, 4)")]


def test_a_let_may_hold_it(installed):
    assert found("rank", f"{REQUIRES}\nlet rank = acme.topk(k = 2)")[1] == []


def test_without_it_the_recipe_is_refused_at_the_requirement():
    recipe, told = found()
    assert recipe is None
    assert told == [("E204", '["acme-prune >= 2, < 3"]'), ("E022", "acme.topk")]


@pytest.mark.parametrize(
    ("requirement", "code"),
    [
        ("acme-prune >= 2", None),
        ("Acme_Prune==2.1.0", None),
        ("acme-prune", None),
        ("acme-prune >= 3", "E204"),
        ("acme-none", "E204"),
        ("acme prune", "E024"),
        ("acme-prune @ https://x.org/a.whl", "E024"),
        ("", "E024"),
    ],
)
def test_requirements_are_met_or_refused(installed, requirement, code):
    told = found(meta=f'meta {{ requires = ["{requirement}"] }}')[1]
    assert [c for c, _ in told] == ([code] if code else [])


@pytest.mark.parametrize("meta", ["", 'meta { requires = ["torch"] }'])
def test_what_is_used_and_not_required_is_told(installed, meta):
    assert found(meta=meta)[1] == [("W179", "acme.topk(k = 3)")]


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('looks_at = "weights"', 'looks_at = "stars"', "looks_at"),
        ('type = "int"', 'type = "integer"', "type"),
        ("default = 1", "default = -1", "the default of `k`"),
        ("default = 1", 'default = "one"', "the default of `k`"),
        ("at_least = 0", "least = 0", "least"),
        ('["acme.topk"]', '["acme.topk', "at line 1"),
        ('["acme.topk"', '["acme.other"', "no table"),
        ('doc = "the', 'code = "os:system"\ndoc = "the', "code"),
        ('scopes = ["uniform", "global"]', "scopes = []", "scopes"),
        (".k]", ".scope]", "`scope` is declared by `scopes`"),
    ],
)
def test_a_declaration_that_cannot_be_read_is_told_at_the_method(changed, old, new, why):
    text = changed.read_text("utf-8")
    assert old in text
    changed.write_text(text.replace(old, new), "utf-8")
    assert found()[1] == [("E205", "acme.topk(k = 3)")]
    with pytest.raises(Mismatch, match="cannot be read") as error:
        METHODS["acme.topk"]
    assert why in error.value.help
    assert found("magnitude")[1] == []  # nobody else is disturbed


def test_a_declaration_that_is_missing_or_huge(changed):
    changed.write_text("#" * 70_000, "utf-8")
    assert found()[1] == [("E205", "acme.topk(k = 3)")]
    changed.unlink()
    assert found()[1] == [("E205", "acme.topk(k = 3)")]


@pytest.fixture
def recipe(project, tmp_path):
    path = project(replace=(OLD, "acme.topk(k = 2)"))
    text = path.read_text("utf-8")
    path.write_text(text.replace("\nmodel {", f"\n{REQUIRES}\nmodel {{", 1), "utf-8")
    return path


def test_plan_lock_and_digest_name_the_code(recipe, installed):
    plan = planned(str(recipe))[1]
    assert plan.plugins == {"acme-prune": "2.1.0"}
    assert "code from acme-prune 2.1.0 will act" in " ".join(command("plan", str(recipe)).out.split())
    digests = {run_digest(p, None, []) for p in (plan, plan.model_copy(update={"plugins": {"acme-prune": "2.0"}}))}
    assert len(digests) == 2
    assert type(plan).model_validate_json(plan.model_dump_json()) == plan
    assert command("lock", str(recipe)).code == 0
    text = recipe.with_name(f"{recipe.name}.lock").read_text("utf-8")
    assert json.loads(text)["tools"]["plugins"] == {"acme-prune": "2.1.0"}
    again = parse_lock(text.encode(), "a.lock")
    other = parse_lock(text.replace("2.1.0", "2.0.9").encode(), "a.lock")
    assert differences(other, again, varied=False) == ["`acme-prune` 2.1.0 is installed, and locked is 2.0.9"]
    assert not differences(again, again, varied=False)


def test_a_plan_of_a_method_that_is_not_here_is_refused_by_name(recipe, installed, monkeypatch):
    plan = planned(str(recipe))[1]
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p != str(installed)])
    with pytest.raises(ValueError, match=r"acme\.topk.*no plug-in that is installed here has it"):
        type(plan).model_validate_json(plan.model_dump_json())


def test_its_code_is_loaded_by_a_run_and_ranks(installed):
    check_method("acme.topk", k=2)
    assert "acme_prune.scores" in sys.modules
    assert make("acme.topk", {}, ["w"], 0).k == 1  # the declared default


@pytest.mark.parametrize(
    "code",
    [
        "raise RuntimeError('no')",
        "x = 1",
        "class TopK: pass",
        "def TopK(names, seed, *, k): return 1",
        "class TopK:\n    def __init__(self, names, seed, *, k): pass",
        "from recipelang.pruning.scores import Score\nclass TopK(Score):\n"
        "    def __init__(self, names, seed, *, k): super().__init__(names, seed)",
    ],
)
def test_code_that_cannot_be_loaded_is_told(changed, code):
    (changed.parent / "scores.py").write_text(code, "utf-8")
    with pytest.raises(RecipeError) as error:
        make("acme.topk", {}, ["w"], 0)
    assert [d.code for d in error.value.diagnostics] == ["E205"]


def test_it_is_run(recipe, installed, tmp_path):
    done = command("run", str(recipe), "-o", str(tmp_path / "out"), "--steps", "4")
    assert done.code == 0, done.err
    assert json.loads((tmp_path / "out" / "recipe" / "plan.json").read_text("utf-8"))["plugins"] == {
        "acme-prune": "2.1.0"
    }


@pytest.mark.parametrize("name", ["magnitude", "movement", "snip", "wanda"])
def test_our_methods_keep_the_same_contract(name):
    check_method(name)


def test_the_contract_finds_a_method_that_does_not_keep_it(changed):
    (changed.parent / "scores.py").write_text(
        "from recipelang.pruning.scores import Score, magnitude\n"
        "class TopK(Score):\n"
        "    def __init__(self, names, seed, *, k): super().__init__(names, seed)\n"
        "    def scores(self, weights): return magnitude.scores(weights)\n"
        "    def compensate(self, weights, keep):\n"
        "        for w in weights: w.mul_(2)\n",
        "utf-8",
    )
    with pytest.raises(AssertionError, match="`compensates` is not declared"):
        check_method("acme.topk")

"""The door for Python: what the commands say and do, said and done in a program. Documents about it run as they stand."""

import ast
import doctest
import json
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest

import recipelang
from recipelang.api.result import Result
from recipelang.engine.records import Measurements
from recipelang.spec.claims import Verdict

from .command import ROOT, command, environment

DOCS = ROOT / "docs"
PUBLIC = ["Bench", "Checked", "Plan", "RecipeError", "Result", "attach", "bench", "check", "plan", "run"]


def test_the_package_shows_what_it_offers_and_says_what_it_lacks():
    assert dir(recipelang) == sorted([*PUBLIC, "__version__"])
    assert all(getattr(recipelang, name) for name in PUBLIC)
    with pytest.raises(AttributeError, match="has no attribute `prune`"):
        _ = recipelang.prune
    assert (Path(recipelang.__file__).parent / "py.typed").is_file()  # the wheel holds all that the package does


def test_nothing_is_loaded_before_it_must():
    program = (
        "import sys, recipelang\n"
        "print(*(m for m in sys.modules if m.startswith('recipelang')), 'pydantic' in sys.modules)\n"
        "recipelang.check('lib://quickstart'), recipelang.Plan, recipelang.RecipeError, recipelang.run\n"
        "print('torch' in sys.modules, 'typer' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment())
    assert done.stdout.splitlines() == ["recipelang.version recipelang False", "False False"], done.stderr


# ------------------------------------------------------------------- check and errors
def test_a_check_is_printed_as_validate_prints_it(here, edit):
    sound = recipelang.check("tiny.recipe")
    assert sound.ok and sound.recipe is not None
    assert str(sound) + "\n" == command("validate", "tiny.recipe").out
    edit("batch = 8", "bacth = 8")
    wrong = recipelang.check("tiny.recipe")
    assert not wrong.ok
    assert command("validate", "tiny.recipe").err == f"{wrong}\n\n1 error\n"


def attach(recipe, **more):
    import torch

    model = torch.nn.Linear(2, 2)
    return recipelang.attach(recipe, model, torch.optim.SGD(model.parameters()), steps_per_epoch=1, **more)


READS = {f.__name__: f for f in (recipelang.check, recipelang.plan, recipelang.run, attach)}


@pytest.mark.parametrize("name", ["\ud800.recipe", "\udc00/a.recipe", "\udcff.recipe", "a\0b.recipe"], ids=ascii)
@pytest.mark.parametrize("read", READS)
def test_name_that_no_file_has_is_one_coded_error(here, read, name):
    for given in ({"recipe": name}, {"recipe": "tiny.recipe", "overlays": [name]}, {"recipe": Path(name)}):
        with pytest.raises(recipelang.RecipeError) as refused:
            READS[read](**given)
        assert [d.code for d in refused.value.diagnostics] == ["E046"]


@pytest.mark.parametrize("old", ['"model"', '"train.json"', "stage.dense"])
def test_path_in_a_recipe_that_no_file_has_is_one_coded_error(project, edit, text, old):
    with pytest.raises(recipelang.RecipeError) as refused:
        recipelang.plan(text.replace(old, '"\ud800"', 1))
    assert [d.code for d in refused.value.diagnostics] == ["E046"]


@pytest.mark.parametrize("read", ["check", "plan"])
def test_a_dash_is_a_file_like_another(project, text, monkeypatch, read):
    monkeypatch.setattr("sys.stdin", None)
    for given in ({"recipe": "-"}, {"recipe": "tiny.recipe", "overlays": ["-"]}):
        with pytest.raises(recipelang.RecipeError, match=r"E046]: there is no file `\./-`"):
            READS[read](**given)
    Path("-").write_text(text, "utf-8")
    assert not READS[read]("-").diagnostics.errors


@pytest.mark.parametrize("steps", [0, -1, True, "3", 0.5])
def test_a_rehearsal_has_a_number_of_steps(here, steps):
    with pytest.raises(recipelang.RecipeError) as refused:
        recipelang.plan("tiny.recipe", steps=steps)
    assert [d.code for d in refused.value.diagnostics] == ["E038"]


def test_no_name_of_a_file_is_a_crash(here):
    for name in ("a\0b", "", "x" * 5000, here):
        with pytest.raises(recipelang.RecipeError) as refused:
            recipelang.check(name)
        assert [d.code for d in refused.value.diagnostics] == ["E046"]


def test_one_overlay_stands_for_a_list_of_one(here):
    (here / "more.recipe").write_text('recipe 1 "more"\npatch stage sparse { batch = 4 }\n', "utf-8")
    for given in ("more.recipe", here / "more.recipe", ["more.recipe"]):
        assert recipelang.check("tiny.recipe", overlays=given).recipe.stages[1].batch == 4


def test_values_come_as_text_or_as_python_has_them(here):
    text = (here / "tiny.recipe").read_text("utf-8")
    for given in ({"target": "80%"}, {"params": {"target": "80%"}}):
        found = recipelang.check(text, **given)
        assert str(found.recipe.evaluator.definition_value("target")) != str(
            recipelang.check(text).recipe.evaluator.definition_value("target")
        )
    assert recipelang.check(text, micro=4).ok
    assert [d.code for d in recipelang.check(text, micro="four").diagnostics] != []
    flag = text.replace("param micro", "param on: bool = false\nparam list: [int] = [1]\nparam micro")
    assert [d.code for d in recipelang.check(flag, on=True).diagnostics if d.code == "E036"] == []


def test_an_error_reads_as_on_the_screen_and_can_be_passed_on(here):
    with pytest.raises(recipelang.RecipeError) as caught:
        recipelang.plan("absent.recipe")
    assert str(caught.value) + "\n" == command("plan", "absent.recipe").err
    again = pickle.loads(pickle.dumps(caught.value))
    assert [d.code for d in again.diagnostics] == ["E046"] and repr(again) == repr(caught.value)
    assert recipelang.RecipeError.__module__ == "recipelang"


# ------------------------------------------------------------------------------- plan
def test_a_plan_is_printed_as_the_command_prints_it(project):
    plan = recipelang.plan("tiny.recipe", target="80%")
    screen = command("plan", "tiny.recipe", "-p", "target=80%").out  # rich fills lines with blanks
    assert str(plan).splitlines() == [line.rstrip() for line in screen.splitlines()]
    printed = command("plan", "tiny.recipe", "-p", "target=80%", "--json").out
    assert json.loads(printed) == json.loads(plan.model_dump_json())
    assert plan.recipe.name == "tiny" and len(plan.diagnostics) == 0


def test_what_a_notebook_shows_is_drawn_and_escaped(project, edit):
    edit('recipe 1 "tiny"', 'recipe 1 "<script>alert(1)</script>"')
    edit("expect sparsity(@linear", 'param who: string = "<img onerror=x>"\nexpect sparsity(@linear')
    plan = recipelang.plan("tiny.recipe")
    shown = plan._repr_html_()
    assert "<script" not in shown and "<img" not in shown and "&lt;script" in shown and "&lt;img" in shown
    assert shown.count("<svg") == 2  # learning rate and sparsity; no loss yet
    assert (
        re.findall(r"^(?!\.recipelang )[^{}]+\{", re.search("<style>(.*)</style>", shown)[1].replace("}", "}\n"), re.M)
        == []
    )
    edit("batch = 8", "bacth = 8")
    assert "&lt;" not in recipelang.check("tiny.recipe").name
    assert "error[E051]" in recipelang.check("tiny.recipe")._repr_html_()
    claim = plan.recipe.claims[0]
    measured = Measurements({"dev.f1": 0.5})
    verdicts = (Verdict(claim, False, "<b>", "1 < 2", None),)
    result = Result(Path("<out>"), plan, measured, verdicts, 61.0, {})
    assert "<b>" not in result._repr_html_().replace("<b>1 min", "") and "&lt;out&gt;" in result._repr_html_()
    assert "finished in 1 min 1 s; all output is in <out>" in str(result)


# -------------------------------------------------------------------------- documents
def test_examples_of_the_page_run(project):
    page = (DOCS / "python.md").read_text("utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.S | re.M)
    example = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, "python.md", "python.md", 0)
    told: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    runner.run(example, out=told.append)
    assert not told, "".join(told)


def test_cells_of_the_tutorial_run(tmp_path, monkeypatch):
    """In order in this process, without a notebook server; of each the last value is shown as a notebook would."""
    monkeypatch.chdir(tmp_path)
    notebook = json.loads((DOCS / "tutorial.ipynb").read_text("utf-8"))
    assert (notebook["nbformat"], len({c["id"] for c in notebook["cells"]})) == (4, len(notebook["cells"]))
    shown, names = [], {"__name__": "tutorial"}
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        assert cell["outputs"] == [] and cell["execution_count"] is None
        tree = ast.parse("".join(cell["source"]))
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, "cell", "exec"), names)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
            shown.append(value._repr_html_() if hasattr(value, "_repr_html_") else repr(value))
    _, sound, wrong, plan, events, result, zeros = shown
    assert "ok (tutorial: sparse; 1 claim)" in sound and "did you mean `magnitude`?" in wrong
    assert "<svg" in plan and "'70.0%')]" in events and "yes" in result
    assert zeros.count("'70.0%'") == 12

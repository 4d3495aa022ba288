"""`recipelang init`: whatever is answered, a sound recipe in the one style, and nothing lost."""

import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import assume, given, settings, strategies as st

from recipelang.spec.metrics import TASKS
from recipelang.syntax.fmt import format
from tests.conftest import make_inputs
from tests.decoders import make_decoder, make_text
from tests.model_table import make
from tests.other_tasks import make_task

from ..reading import recipe_of
from .command import command, environment

NAMES = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), min_size=1, max_size=12)
TITLES = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=8)
REFERENCES = st.builds("hf://{}/{}".format, TITLES, TITLES)
RATIOS = st.one_of(st.integers(1, 99).map("{}%".format), st.integers(10, 990).map(lambda n: f"{n / 1000}"))
SPANS = st.tuples(st.integers(1, 5000), st.sampled_from(["epochs", "steps"])).map(lambda t: f"{t[0]} {t[1]}")


@settings(max_examples=60)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "--model": REFERENCES,
            "--data": REFERENCES,
            "--validation": REFERENCES,
            "--target": RATIOS,
            "--length": st.one_of(SPANS, st.tuples(SPANS, SPANS).map(" + ".join)),
            "--name": NAMES,
            "--task": st.sampled_from(TASKS),
            "--examples": st.integers(1, 10**7),
        },
    ),
    st.sampled_from([(), ("--distill",), ("--no-distill",)]),
)
def test_any_flags_give_a_sound_recipe_in_the_one_style(options, flags):
    # refused: there is no training stage
    assume(options.get("--task") != "causal_lm" or not ("--length" in options or flags == ("--distill",)))
    ended = command("init", "-", *(f"{k}={v}" for k, v in options.items()), *flags)
    assert (ended.code, ended.err) == (0, "")
    assert format(ended.out) == ended.out
    recipe = recipe_of(ended.out)
    assert recipe.name == options.get("--name", "first")
    assert recipe.model.task == options.get("--task", "question_answering")
    sparse = recipe.stages[-1]
    assert bool(sparse.distills) == ("--no-distill" not in flags and sparse.mode != "one_shot")
    assert sparse.prunes[0].never is not None
    if sparse.mode != "one_shot":
        (sparsity,) = sparse.prunes[0].sparsity.segments
        assert 0 < sparsity.start < sparsity.end or sparsity.end == 0


@pytest.mark.parametrize("task", TASKS)
def test_a_first_recipe_of_a_task_plans_on_its_own_data(here, task):
    """Nothing is named but the files: the task is what the columns say, if they say it."""
    make_first_data(here, task)
    given = ["--data", str(next(here.glob("train.*")).name), "--model", "model"]
    ambiguous = task in ("masked_lm", "causal_lm", "sentence_similarity", "text_to_text")
    ended = command("init", "new.recipe", "--yes", *given, *(["--task", task] if ambiguous else []))
    assert ended.code == 0, ended.err
    assert ambiguous or f"task: `{task}`, by the columns" in ended.err or task == "question_answering"
    recipe = recipe_of(Path("new.recipe").read_text("utf-8"))
    assert (recipe.model.task, recipe.data[""].validation) == (task, next(here.glob("dev.*")).name)
    ended = command("plan", "new.recipe")
    assert ended.code == 0, ended.err
    assert set(re.findall(r"\[([EWL]\d+)\]", ended.err)) <= {"W101"}  # a few blocks of text: events share steps


def make_first_data(here, task):
    """`train` and `dev` of a task in this folder, and its model."""
    if task == "question_answering":
        make_inputs(here)
        return
    if task == "causal_lm":
        make_decoder(here / "model")
        make_text(here / "train.jsonl", 1200, 0)
        make_text(here / "dev.jsonl", 20, 1)
        return
    if task == "text_to_text":
        make(here, "t5", task)
        shutil.copy(here / "data.jsonl", here / "train.jsonl")
        shutil.copy(here / "data.jsonl", here / "dev.jsonl")
        return
    make_task(here, task)


def test_few_examples_get_more_epochs_and_the_recipe_says_why(here):
    text = command("init", "-", "--task", "regression", "--examples", "320").out
    assert "# 320 examples are 10 steps an epoch: few, so more epochs leave 10 steps" in text
    assert recipe_of(text).stages[1].length.epochs == 50
    for name in ("train", "dev"):
        (here / f"{name}.csv").write_text("text,label\n" + "a,0\nb,1\n" * 5, "utf-8")
    of_files = command("init", "-", "--data", "train.csv", "--task", "sequence_classification", "--examples", "320").out
    assert "# 320 examples are 10 steps" in of_files  # what is given counts, whatever is in the file
    many = command("init", "-", "--task", "regression", "--examples", "320_000").out
    assert recipe_of(many).stages[1].length.epochs == 10


def test_a_column_of_another_name_is_told_and_named(here):
    for name in ("train", "dev"):
        Path(f"{name}.csv").write_text("review_body,stars\n" + "bad film,1\ngood film,5\n" * 20, "utf-8")
    ended = command("init", "new.recipe", "--data", "train.csv", "--yes")
    assert ended.codes == ["E074"] and "`review_body`, `stars`" in ended.err and "--column FIELD=COLUMN" in ended.err
    ended = command("init", "new.recipe", "--data", "train.csv", "--task", "sequence_classification", "--yes")
    assert ended.codes == ["E074"] and "`--column FIELD=COLUMN`" in ended.err and "`text`, `pair`, `label`" in ended.err
    named = ["--column", "text=review_body", "--column", "label=stars"]
    ended = command("init", "new.recipe", "--data", "train.csv", "--yes", *named)
    assert ended.code == 0 and "they fit `regression` too" in ended.err
    data = recipe_of(Path("new.recipe").read_text("utf-8")).data[""]
    assert dict(data.columns) == {"text": "review_body", "label": "stars"}
    assert (data.train, data.validation) == ("train.csv", "dev.csv")


@pytest.mark.parametrize(
    ("options", "code", "at", "said"),
    [
        (["--data", "nowhere.tsv"], "E074", "--data", "there is no data file"),
        (["--data", "folder"], "E074", "--data", "is a folder without data files"),
        (["--model", "folder"], "E076", "--model", "holds no config.json"),
        (["--model", "nowhere"], "E076", "--model", "there is no model folder"),
        (["--validation", "nowhere.tsv"], "E074", "--validation", "there is no data file"),
        (["--data", "alone.csv"], "E074", "--data", "no file to evaluate on lies beside `alone.csv`"),
        (["--data", "alone.csv", "--column", "text=txt"], "E074", "--data", "did you mean `text`?"),
        (["--data", "alone.csv", "--column", "text"], "E022", "--column", "is written FIELD=COLUMN"),
        (["--data", "alone.csv", "--column", "words=text"], "E022", "--column", "`words` is no field"),
        (["--data", "alone.csv", "--column", "text=a", "--column", "text=b"], "E022", "--column", "has two columns"),
        (["--task", "causal_lm", "--length", "3 epochs"], "E054", "--length", "has no length"),
        (["--task", "causal_lm", "--distill"], "E054", "--distill", "has no teacher"),
        (["--examples", "many"], "E038", "--examples", "is no number of examples"),
        (["--examples", "0"], "E038", "--examples", "is no number of examples"),
    ],
)
def test_what_is_not_there_is_told_before_anything_is_written(here, options, code, at, said):
    Path("folder").mkdir()
    Path("alone.csv").write_text("text,label\na,0\nb,1\n", "utf-8")
    ended = command("init", "new.recipe", "--yes", *options)
    assert (ended.code, ended.codes) == (1, [code])
    assert f"--> {at}:1:" in ended.err and said in ended.err
    assert not Path("new.recipe").exists()


def test_defaults_make_a_file_and_say_what_next(here):
    ended = command("init", "--yes")
    assert ended.code == 0
    assert ended.out == "wrote first.recipe; see what a run would do: `recipelang plan first.recipe`\n"
    assert command("validate", "first.recipe").out == "first.recipe: ok (first: dense -> sparse; 3 claims)\n"
    assert command("fmt", "--check", "first.recipe").code == 0


def test_length_follows_the_target_until_it_is_given():
    text = command("init", "-", "--target", "97%").out
    assert recipe_of(text).stages[1].length.epochs == 30
    assert recipe_of(text, target="80%").stages[1].length.epochs == 10
    assert recipe_of(command("init", "-", "--target", "97%", "--length", "5 epochs").out).stages[1].length.epochs == 5


def test_file_is_replaced_only_by_force(here):
    before = Path("tiny.recipe").read_text("utf-8")
    ended = command("init", "tiny.recipe", "--yes")
    assert (ended.code, ended.codes) == (1, ["E084"])
    assert "--force" in ended.err
    assert Path("tiny.recipe").read_text("utf-8") == before
    assert command("init", "tiny.recipe", "--yes", "--force").code == 0
    assert 'recipe 1 "tiny"' in Path("tiny.recipe").read_text("utf-8")


@pytest.mark.parametrize("place", ["nowhere/a.recipe", "folder"])
def test_place_that_cannot_be_written_is_told(here, place):
    Path("folder").mkdir()
    assert command("init", place, "--yes").codes == ["E084"]


@pytest.mark.parametrize(
    ("option", "value", "code", "help"),
    [
        ("--target", "90", "E038", "did you mean `90%`?"),
        ("--target", "100%", "E038", "90% is a good start"),
        ("--target", "0%", "E038", "90% is a good start"),
        ("--target", "much", "E022", "`90%` equals `0.9`"),
        ("--target", "90 %", "E001", ""),
        ("--target", '"90%"', "E024", ""),
        ("--length", "3", "E024", "write `3 epochs` or `3 steps`"),
        ("--length", "0 epochs", "E038", "write `10 epochs` or `300 steps`"),
        ("--length", "1 epoch - 2 epochs", "E038", "write `10 epochs` or `300 steps`"),
        ("--length", "3 epocs", "E025", "did you mean `epochs`?"),
        ("--length", "1 / 0", "E030", ""),
        ("--model", "", "E024", ""),
        ("--data", "", "E024", ""),
        ("--task", "question_answring", "E022", "did you mean `question_answering`?"),
    ],
)
def test_answer_that_does_not_fit_is_a_coded_error_at_the_option(here, option, value, code, help):
    ended = command("init", "new.recipe", f"{option}={value}")
    assert (ended.code, ended.codes, ended.out) == (1, [code], "")
    assert f"--> {option}:1:" in ended.err
    assert help in ended.err
    assert not Path("new.recipe").exists()


def test_paths_are_those_of_the_recipes_folder(project):
    Path("recipes").mkdir()
    data = ["--data", str(project / "train.json"), "--validation", "dev.json"]
    assert command("init", "recipes/a.recipe", "--model", "model", *data, "--yes").code == 0
    text = Path("recipes/a.recipe").read_text("utf-8")
    assert 'base = "../model"' in text
    assert f'"{project / "train.json"}"' in text
    assert '"../dev.json"' in text


@pytest.mark.parametrize("target", ["50%", "90%", "97%"])
def test_plan_of_the_recipe_has_no_advice(project, target):
    options = ["--model", "model", "--data", "train.json", "--validation", "dev.json", "--target", target]
    assert command("init", "new.recipe", "--yes", *options).code == 0
    ended = command("plan", "new.recipe")
    assert ended.code == 0, ended.err
    assert set(re.findall(r"\[([EWL]\d+)\]", ended.err)) <= {"W101"}  # the data is tiny: events share steps


def test_terminal_is_asked_and_a_wrong_answer_asked_again(project):
    """A real terminal: every question, with its default, and one answer mended."""
    ours, theirs = pty.openpty()
    answers = ["train.json", "", "model", "", "90", "70%", "300 steps", "n"]
    run = [sys.executable, "-m", "recipelang", "init", "asked.recipe"]
    with subprocess.Popen(run, stdin=theirs, stdout=theirs, stderr=theirs, cwd=project, env=environment()) as started:
        os.close(theirs)
        os.write(ours, "".join(a + "\n" for a in answers).encode())
        shown = b""
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            shown += part
    os.close(ours)
    assert started.returncode == 0, shown.decode()
    assert b"E038" in shown and b"did you mean `90%`?" in shown
    text = Path("asked.recipe").read_text("utf-8")
    recipe = recipe_of(text)
    assert (recipe.data[""].train, recipe.data[""].validation) == ("train.json", "dev.json")
    assert (recipe.stages[1].length.steps, recipe.stages[1].distills) == (300, ())
    assert "= 70%" in text

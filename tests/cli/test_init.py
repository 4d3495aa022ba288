"""`recipelang init`: whatever is answered, a sound recipe in the one style, and nothing lost."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from recipelang.syntax.fmt import format

from ..reading import recipe_of
from .command import command, environment

NAMES = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), min_size=1, max_size=12)
REFERENCES = st.one_of(st.just("hf://owner/name"), st.just("./folder"), NAMES.filter(lambda t: not t.startswith("-")))
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
        },
    ),
    st.sampled_from([(), ("--distill",), ("--no-distill",)]),
)
def test_any_flags_give_a_sound_recipe_in_the_one_style(options, flags):
    ended = command("init", "-", *(f"{k}={v}" for k, v in options.items()), *flags)
    assert (ended.code, ended.err) == (0, "")
    assert format(ended.out) == ended.out
    recipe = recipe_of(ended.out)
    assert recipe.name == options.get("--name", "first")
    sparse = recipe.stages[1]
    assert bool(sparse.distills) == ("--no-distill" not in flags)
    assert sparse.prunes[0].never is not None
    (sparsity,) = sparse.prunes[0].sparsity.segments
    assert 0 < sparsity.start < sparsity.end or sparsity.end == 0


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
        ("--task", "causal_lm", "E055", "`recipelang plan lib://oneshot/decoder-50`"),
    ],
)
def test_answer_that_does_not_fit_is_a_coded_error_at_the_option(here, option, value, code, help):
    ended = command("init", "new.recipe", f"{option}={value}")
    assert (ended.code, ended.codes, ended.out) == (1, [code], "")
    assert f"--> {option}:1:" in ended.err
    assert help in ended.err
    assert not Path("new.recipe").exists()


def test_paths_are_those_of_the_recipes_folder(here):
    Path("recipes").mkdir()
    assert command("init", "recipes/a.recipe", "--model", "model", "--data", "/data/x.json", "--yes").code == 0
    text = Path("recipes/a.recipe").read_text("utf-8")
    assert 'base = "../model"' in text
    assert '"/data/x.json"' in text


@pytest.mark.parametrize("target", ["50%", "90%", "97%"])
def test_plan_of_the_recipe_has_no_advice(project, target):
    options = ["--model", "model", "--data", "train.json", "--validation", "dev.json", "--target", target]
    assert command("init", "new.recipe", "--yes", *options).code == 0
    ended = command("plan", "new.recipe")
    assert ended.code == 0, ended.err
    assert set(re.findall(r"\[([EWL]\d+)\]", ended.err)) <= {"W101"}  # the data is tiny: events share steps


def test_terminal_is_asked_and_a_wrong_answer_asked_again(here):
    """A real terminal: every question, with its default, and one answer mended."""
    ours, theirs = pty.openpty()
    answers = ["", "data.json", "", "", "90", "70%", "300 steps", "n"]
    run = [sys.executable, "-m", "recipelang", "init", "asked.recipe"]
    with subprocess.Popen(run, stdin=theirs, stdout=theirs, stderr=theirs, cwd=here, env=environment()) as started:
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
    assert (recipe.data[""].train, recipe.data[""].validation) == ("data.json", "dev.json")
    assert (recipe.stages[1].length.steps, recipe.stages[1].distills) == (300, ())
    assert "= 70%" in text

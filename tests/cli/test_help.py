"""What the program tells of itself: help in 80 columns with examples, and what the TAB key offers in three shells."""

import re
import shutil
import subprocess
import sys

import pytest

from recipelang.cli.main import COMMANDS

from .command import Ended, command, environment, process

#: command -> words that its help describes, the first argument first
DESCRIBED = {
    "init": ["FILE", "--model", "--data", "--target", "--length", "--name", "--distill", "--yes", "--force"],
    "validate": ["FILE", "--param", "--params", "--overlay", "--format"],
    "lint": [
        "FILE",
        "--param",
        "--params",
        "--overlay",
        "--format",
        "--fix",
        "--unsafe-fixes",
        "--deny",
        "--warn",
        "--allow",
    ],
    "fmt": ["FILE", "--check", "--diff"],
    "doc": ["FILE"],
    "plan": ["FILE", "--param", "--params", "--overlay", "--json"],
    "run": ["FILE", "--param", "--params", "--overlay", "--out", "--overwrite", "--steps", "--locked", "--yes"],
    "resume": ["DIR"],
    "report": ["DIR", "--plots"],
    "study": [
        "FILE",
        "--param",
        "--params",
        "--overlay",
        "--out",
        "--only",
        "--again",
        "--jobs",
        "--plan",
        "--table",
        "--steps",
    ],
    "bench": ["DIR", "--batch", "--length", "--threads", "--rounds", "--seed", "--device", "--runtime", "--json"],
    "trace": ["FILE", "PATH", "--param", "--params", "--overlay"],
    "schema": [],
    "lock": ["FILE", "--param", "--params", "--overlay", "--upgrade", "--allow-private"],
    "push": ["FILE|DIR", "TARGET", "--allow-private"],
    "pull": ["REF|DIR", "--out", "--upgrade", "--allow-private"],
    "digest": ["FILE", "--param", "--params", "--overlay", "--only", "--json"],
    "convert": ["FILE", "--to", "--param", "--params", "--overlay", "--out"],
    "migrate": ["FILE", "--out", "--format", "--strict-exit", "--overwrite"],
    "diff": ["A", "B", "--param", "--plan", "--format"],
    "inspect": ["DIR|FILE|REF", "--format"],
    "verify": ["DIR|FILE|REF", "--key", "--identity", "--issuer", "--weights", "--evaluate", "--format"],
    "sign": ["DIR|REF", "--key"],
    "explain": ["WORD"],
    "library": ["WORD", "--json"],
}


@pytest.fixture(autouse=True)
def _narrow(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")  # help keeps to 80 columns even where there is room for more


def fits(text: str) -> bool:
    return max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_of_the_program(option):
    ended = command(option)
    assert ended.code == 0
    assert fits(ended.out)
    assert ended.out.startswith("Usage: recipelang [OPTIONS] COMMAND [ARGS]...")
    assert "Prune language models by recipe" in ended.out
    assert "recipelang run squad.recipe" in ended.out
    assert "--install-completion" in ended.out
    assert "bash, zsh and fish" in ended.out
    listed = re.findall(r"^  (\w+)  +\S", ended.out.partition("Commands:")[2], re.MULTILINE)
    assert listed == list(COMMANDS)
    assert "..." not in ended.out.partition("Commands:")[2]  # no summary is cut short


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command(name):
    ended = command(name, "--help")
    assert ended.code == 0
    assert fits(ended.out)
    words = DESCRIBED.get(name, [])
    argument = f" [\\[{{]{re.escape(words[0])}[\\]}}]" if words else "\n" if name in DESCRIBED else ""
    assert re.match(rf"Usage: recipelang {name} \[OPTIONS\]{argument}", ended.out)
    assert re.search(rf"Examples?:\n\n    recipelang {name} \S", ended.out)
    for word in words:
        described = re.search(rf"{word}\b.*\n?.*  \S", ended.out.partition("Arguments:")[2])
        assert described, word


def test_examples_of_the_help_are_accepted(project):
    """Every example, with our file for theirs, is a command that works."""
    for name in ("validate", "lint", "plan"):
        shown = re.findall(r"^    recipelang (.*)$", command(name, "--help").out, re.MULTILINE)
        assert shown
        for line in shown:
            assert command(*line.replace("squad.recipe", "tiny.recipe").split()).code == 0
    shown = re.findall(r"^    recipelang (.*)$", command("explain", "--help").out, re.MULTILINE)
    assert command(*shown[0].split()).out.startswith("# E051")


def test_no_command_and_a_misspelt_one_show_the_way():
    assert "Usage: recipelang" in command().err
    assert "Did you mean 'validate'?" in command("valdate").err


# -------------------------------------------------------------------- completion
def typed(monkeypatch, shell: str, line: str) -> Ended:
    """What a shell is answered when TAB is pressed at the end of a line."""
    monkeypatch.setenv("_RECIPELANG_COMPLETE", f"complete_{shell}")
    if shell == "bash":
        words = line.split(" ")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
    else:
        monkeypatch.setenv("_TYPER_COMPLETE_ARGS", line)
        monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
    ended = command()
    assert (ended.code, ended.err) == (0, "")
    return ended


def offered(monkeypatch, shell: str, line: str) -> list[str]:
    out = typed(monkeypatch, shell, line).out.strip()
    if shell == "zsh":
        return re.findall(r'^(?:_arguments \'\*: :\(\()?"([^"]*)"', out, re.MULTILINE)
    return [entry.partition("\t")[0] for entry in out.splitlines()]


SHELLS = pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])


@SHELLS
def test_commands_and_options_are_completed(here, monkeypatch, shell):
    assert offered(monkeypatch, shell, "recipelang ") == list(COMMANDS)
    assert offered(monkeypatch, shell, "recipelang re") == ["resume", "report"]
    assert {"--param", "--out", "--overwrite", "--steps"} <= set(offered(monkeypatch, shell, "recipelang run -"))
    assert offered(monkeypatch, shell, "recipelang run tiny.recipe --overw") == ["--overwrite"]
    assert offered(monkeypatch, shell, "recipelang validate --format ") == [
        "full",
        "concise",
        "narrated",
        "json",
        "sarif",
        "github",
        "junit",
    ]


@SHELLS
def test_recipes_here_and_below_are_completed(here, monkeypatch, shell):
    for name in ("lib/deep/a.recipe", "lib/b.recipe", "lib/notes.txt", ".git/c.recipe", "out/recipe/effective.recipe"):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text("", "utf-8")
    (here / "folder.recipe").mkdir()
    assert offered(monkeypatch, shell, "recipelang plan ") == ["tiny.recipe", "lib/b.recipe", "lib/deep/a.recipe"]
    assert offered(monkeypatch, shell, "recipelang validate t") == ["tiny.recipe"]
    assert offered(monkeypatch, shell, "recipelang run lib/d") == ["lib/deep/a.recipe"]
    assert offered(monkeypatch, shell, "recipelang run out/recipe/") == ["out/recipe/effective.recipe"]
    assert offered(monkeypatch, shell, f"recipelang run {here}/t") == [f"{here}/tiny.recipe"]


@SHELLS
@pytest.mark.parametrize("name", ["validate", "lint", "plan", "run"])
def test_parameters_of_the_recipe_are_completed(here, monkeypatch, shell, name):
    every = ["precision=fp32", "precision=bf16", "scope=uniform", "scope=global", "micro=8", "target=90%"]
    assert offered(monkeypatch, shell, f"recipelang {name} tiny.recipe -p ") == every
    assert offered(monkeypatch, shell, f"recipelang {name} tiny.recipe -p micro=2 --param sc") == every[2:4]


@pytest.mark.parametrize("content", [b"", b"\xff", b"recipe 9", b"recipe 1\nparam param: {"])
def test_parameters_of_a_file_that_is_no_recipe(here, monkeypatch, content):
    (here / "bad.recipe").write_bytes(content)
    assert offered(monkeypatch, "bash", "recipelang run bad.recipe -p ") == []
    assert offered(monkeypatch, "bash", "recipelang run nope.recipe -p ") == []


def test_codes_are_completed_with_their_titles(here, monkeypatch):
    assert offered(monkeypatch, "bash", "recipelang explain E01") == ["E010", "E011", "E012"]
    assert "E084\tcannot write" in typed(monkeypatch, "fish", "recipelang explain E08").out


def test_runs_that_can_be_resumed_are_completed(here, monkeypatch):
    for name, status in (("runs/a", "interrupted"), ("runs/b", "finished"), ("c", "failed")):
        (here / name / "recipe").mkdir(parents=True)
        (here / name / "recipe" / "effective.recipe").write_text("", "utf-8")
        (here / name / "run.json").write_text(f'{{"status": "{status}"}}', "utf-8")
    assert offered(monkeypatch, "bash", "recipelang resume ") == ["c", "runs/a"]
    assert offered(monkeypatch, "bash", "recipelang resume runs/") == ["runs/a"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script_of_every_shell(monkeypatch, shell):
    monkeypatch.setenv("_RECIPELANG_COMPLETE", f"source_{shell}")
    ended = command()
    assert ended.code == 0
    assert f"_RECIPELANG_COMPLETE=complete_{shell}" in ended.out
    assert ended.out.count("recipelang") >= 2


@pytest.mark.parametrize(
    ("shell", "script", "start"),
    [
        ("bash", ".bash_completions/recipelang.sh", ".bashrc"),
        ("zsh", ".zfunc/_recipelang", ".zshrc"),
        ("fish", ".config/fish/completions/recipelang.fish", None),
    ],
)
def test_completion_is_installed_for_a_shell_by_name(here, monkeypatch, shell, script, start):
    monkeypatch.setenv("HOME", str(here))
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")  # what runs this test is no shell
    ended = command("--install-completion", shell)
    assert ended.code == 0
    assert f"complete_{shell}" in (here / script).read_text("utf-8")
    if start:
        assert (here / start).read_text("utf-8")
    assert f"complete_{shell}" in command("--show-completion", shell).out


def test_bash_itself_completes(here):
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash here")
    (here / "bin").mkdir()
    program = here / "bin" / "recipelang"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m recipelang "$@"\n', "utf-8")
    program.chmod(0o755)
    script = (
        'eval "$(_RECIPELANG_COMPLETE=source_bash recipelang)"\n'
        "COMP_WORDS=(recipelang run ti); COMP_CWORD=2\n"
        "_recipelang_completion recipelang\n"
        'echo "${COMPREPLY[@]}"\n'
    )
    env = environment(PATH=f"{here}/bin:/usr/bin:/bin")
    done = subprocess.run([bash, "--norc", "-c", script], env=env, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("tiny.recipe\n", "")


HEAVY = """
import os, sys
from recipelang.cli.main import main

for line in {lines!r}:
    sys.argv[1:] = line.split()
    try:
        main()
    except SystemExit as stopped:
        assert not stopped.code, line
for shell, line in {typed!r}:
    os.environ |= {{"_RECIPELANG_COMPLETE": "complete_" + shell, "_TYPER_COMPLETE_ARGS": line}}
    try:
        main()
    except SystemExit as stopped:
        assert not stopped.code, line
print("loaded:", sorted({{"torch", "transformers", "datasets", "accelerate"}} & set(sys.modules)))
"""


def test_everything_before_a_run_loads_no_torch(project):
    (project / "out" / "recipe").mkdir(parents=True)
    (project / "out" / "recipe" / "effective.recipe").write_text("", "utf-8")
    lines = [
        "--version",
        "--help",
        "validate tiny.recipe",
        "explain E051",
        "doc tiny.recipe",
        "init - --yes",
        "schema",
        "explain no-never",
        "lint tiny.recipe --allow undocumented-param --allow no-author --allow no-licence",
        "plan tiny.recipe --json",
        "plan tiny.recipe",
    ]
    asked = [("zsh", f"recipelang {line} ") for line in ("run", "run tiny.recipe -p", "resume", "trace", "explain")]
    with process(program=HEAVY.format(lines=lines, typed=asked), cwd=project) as started:
        out, err = started.communicate(timeout=60)
    assert (started.returncode, err) == (0, "")
    assert '"behaviour_digest"' in out
    assert '"out"' in out.partition("spec ")[2]  # what `resume` completes
    assert out.splitlines()[-1] == "loaded: []"

"""Recipes that are no recipes, or not quite: a code, a place, exit 1, nothing written."""

import json

import pytest

from .command import command, files

BROKEN = {
    "not_utf8": (b'recipe 1 "x"\n# caf\xe9\n', "E002", "this byte is not UTF-8"),
    "binary": (b"\x7fELF\x00\x01\x02\xff" * 9, "E002", "not a text file"),
    "utf16": ('recipe 1 "x"\n'.encode("utf-16"), "E002", "not a text file"),
    "empty": (b"", "E010", 'begin with `recipe 1 "name"`'),
    "white_space": (b" \n\t\r\n\n", "E010", 'begin with `recipe 1 "name"`'),
    "huge": (b'recipe 1 "x"\n' + b"# more\n" * 10_000, "E042", "larger than 64 KiB"),
    "huge_and_binary": (b"\x00" * 100_000, "E042", "larger than 64 KiB"),
    "newer_language": (b'recipe 9 "x"\n', "E011", "needs language version 9"),
}


@pytest.mark.parametrize("what", BROKEN)
@pytest.mark.parametrize("name", ["validate", "plan", "run"])
def test_file_that_is_no_recipe_is_one_coded_error(here, name, what):
    content, code, message = BROKEN[what]
    (here / "bad.recipe").write_bytes(content)
    ended = command(name, "bad.recipe")
    assert ended.code == 1
    assert ended.codes[0] == code
    assert message in ended.err
    assert ended.out == ""
    assert files(here) == {"bad.recipe", "tiny.recipe"}


def test_newer_language_is_told_even_when_its_body_does_not_parse(here):
    (here / "bad.recipe").write_text('recipe 9 "x"\nmodel ?? }{ § |> later\n"open', "utf-8")
    ended = command("validate", "bad.recipe")
    assert (ended.code, ended.codes) == (1, ["E011"])


@pytest.mark.parametrize(
    ("old", "new", "code", "said"),
    [
        ("evaluate dev", "evalute dev", "E052", "did you mean `evaluate`?"),
        ("batch = 8", "bacth = 8", "E051", "did you mean `batch`?"),
        ("-> target,", "-> tarket,", "E022", "unknown name `tarket`"),
        ("32 tokens", "32 tokns", "E025", "did you mean `tokens`?"),
        ("batch = 8", "batch = 8\n  batch = 9", "E012", "first given here"),
        ("param micro: int", "param micro: integer", "E022", "unknown type `integer`"),
        ("length = 1 epoch", "length = 1 token", "E024", "length"),
    ],
)
def test_word_that_is_not_known_is_shown_where_it_stands(here, edit, old, new, code, said):
    ended = command("validate", edit(old, new))
    assert (ended.code, ended.codes) == (1, [code])
    assert said in ended.err
    assert "--> tiny.recipe:" in ended.err
    assert "^" in ended.err


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        ("tagret=80%", "E036", "did you mean `target`?"),
        ("target=lots", "E022", "unknown name `lots`"),
        ("target=3 epochs", "E024", "expected a ratio"),
        ("target=10%", "E038", "outside 50%..99%"),
        ("target=", "E001", "is not a value"),
        ("target=}\nmodel", "E001", "is not a value"),
        ("scope=local", "E022", "unknown name `local`"),
        ("target", "E036", "is not `name=value`"),
        ("=80%", "E036", "is not `name=value`"),
    ],
)
@pytest.mark.parametrize("name", ["validate", "plan"])
def test_parameter_that_cannot_be_used(here, name, given, code, said):
    ended = command(name, "tiny.recipe", "-p", given)
    assert (ended.code, ended.codes) == (1, [code])
    assert said in ended.err


def test_parameter_given_twice(here):
    ended = command("validate", "tiny.recipe", "-p", "target=80%", "-p", "target=90%")
    assert (ended.code, ended.codes) == (1, ["E026"])


@pytest.mark.parametrize("name", ["validate", "plan", "run"])
def test_missing_file_offers_the_nearest(here, name):
    ended = command(name, "tinny.recipe")
    assert (ended.code, ended.codes) == (1, ["E046"])
    assert "did you mean `tiny.recipe`?" in ended.err


@pytest.mark.parametrize("name", ["validate", "plan", "run"])
def test_missing_folder_and_folder_for_a_file(here, name):
    missing = command(name, "nowhere/tiny.recipe")
    assert (missing.code, missing.codes) == (1, ["E046"])
    assert "no folder `nowhere`" in missing.err
    folder = command(name, ".")
    assert (folder.code, folder.codes) == (1, ["E046"])
    assert "`.` is a folder" in folder.err


def test_standard_input_is_a_recipe(here, text):
    assert command("validate", "-", stdin=text.encode()).code == 0
    bad = command("validate", "-", stdin=text.replace("batch", "bacth", 1).encode())
    assert (bad.code, bad.codes) == (1, ["E051"])
    assert "<stdin>:13:3" in bad.err


def test_every_file_is_checked_and_one_bad_one_fails_all(here, text):
    (here / "bytes.recipe").write_bytes(b'recipe 1 "x"\n\xff')
    (here / "word.recipe").write_text(text.replace("batch", "bacth", 1), "utf-8")
    ended = command("validate", "tiny.recipe", "bytes.recipe", "nope.recipe", "word.recipe")
    assert ended.code == 1
    assert ended.codes == ["E002", "E046", "E051"]
    assert ended.out.startswith("tiny.recipe: ok")
    assert ended.err.endswith("\n3 errors\n")


def test_concise_is_one_line_a_finding(here, text):
    (here / "bytes.recipe").write_bytes(b'recipe 1 "x"\n\xff')
    ended = command("validate", "tiny.recipe", "bytes.recipe", "nope.recipe", "--format", "concise")
    assert ended.code == 1
    assert ended.out.splitlines() == [
        "bytes.recipe:2:1: error[E002]: this byte is not UTF-8",
        "error[E046]: there is no file `nope.recipe`",
    ]
    assert command("validate", "tiny.recipe", "--format", "concise").out == ""
    broken = command("validate", "tiny.recipe", "-p", "target=}\nmodel", "--format", "concise")
    assert len(broken.out.splitlines()) == 1


def test_json_is_one_document_whatever_was_wrong(here):
    (here / "bytes.recipe").write_bytes(b'recipe 1 "x"\n\xff')
    ended = command("validate", "tiny.recipe", "bytes.recipe", "nope.recipe", "--format", "json")
    told = json.loads(ended.out)
    assert (ended.code, ended.err) == (1, "")
    assert (told["format_version"], told["valid"], told["error_count"]) == ("1.0", False, 2)
    assert [d["code"] for d in told["diagnostics"]] == ["E002", "E046"]
    assert told["diagnostics"][0]["primary"]["start"] == {"line": 2, "column": 1, "byte": 13}
    sound = command("validate", "tiny.recipe", "--format", "json")
    assert sound.code == 0
    assert json.loads(sound.out)["valid"] is True
    option = command("validate", "tiny.recipe", "-p", "target", "--format", "json")
    assert [d["code"] for d in json.loads(option.out)["diagnostics"]] == ["E036"]


def test_recipe_that_prunes_nothing_is_warned_of_and_runs(project):
    (project / "dense.recipe").write_text(
        'recipe 1 "dense"\n'
        'model { base = "model", task = question_answering }\n'
        'data { train = "train.json", validation = "dev.json", max_length = 32 tokens }\n'
        "stage only { length = 1 epoch, batch = 8, learning_rate = 1e-3 }\n"
        "evaluate dev { metrics = [f1] }\n",
        "utf-8",
    )
    ended = command("run", "dense.recipe", "-o", "out")
    assert (ended.code, ended.codes) == (0, ["W103"])
    assert (project / "out" / "model.safetensors").is_file()


@pytest.mark.parametrize(
    "arguments",
    [
        ["validate"],
        ["valdate", "tiny.recipe"],
        ["validate", "tiny.recipe", "--fromat", "json"],
        ["validate", "tiny.recipe", "--format", "yaml"],
        ["run", "tiny.recipe", "--steps", "0"],
        ["run", "tiny.recipe", "--steps", "few"],
        ["resume"],
        ["explain", "E999"],
    ],
)
def test_wrong_use_of_the_command_is_exit_2(here, arguments):
    ended = command(*arguments)
    assert ended.code == 2
    assert ended.err
    assert files(here) == {"tiny.recipe"}

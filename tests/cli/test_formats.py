"""`recipelang validate --format`: one document on standard output, and nothing else there."""

import json
import os
from pathlib import Path
from xml.etree import ElementTree

import pytest

from recipelang.source import json_form

from .command import ROOT, command, environment, process

DOCUMENTS = ("json", "sarif", "github", "junit")
HOSTILE = 'a"b\n\x1b[31m::error::±\u202e\U0001f600.recipe'


@pytest.fixture
def wrong(edit) -> str:
    """The name of a recipe with one mistake."""
    return edit("hardness = 80%", "hardnes = 80%")


def parse(format: str, text: str) -> int:
    """The number of findings that a document tells (of files that failed, in JUnit)."""
    match format:
        case "json":
            return len(json.loads(text)["diagnostics"])
        case "sarif":
            return len(json.loads(text)["runs"][0]["results"])
        case "github":
            assert all(line.startswith("::error ") for line in text.splitlines())
            return len(text.splitlines())
        case _:
            return len(list(ElementTree.fromstring(text).iter("failure")))


@pytest.mark.parametrize("format", DOCUMENTS)
def test_document_tells_wrong_missing_and_unreadable_files_and_says_nothing_beside(format, wrong):
    Path("latin.recipe").write_bytes(b'recipe 1 "\xff"\n')
    Path("folder.recipe").mkdir()
    Path("large.recipe").write_bytes(b"#" * 70_000)
    ended = command(
        "validate", "--format", format, wrong, "none.recipe", "latin.recipe", "folder.recipe", "large.recipe"
    )
    assert (ended.code, ended.err) == (1, "")
    assert parse(format, ended.out) == 5


@pytest.mark.parametrize("format", DOCUMENTS)
def test_document_of_a_sound_file_has_no_finding(format, here):
    ended = command("validate", "--format", format, "tiny.recipe")
    assert (ended.code, ended.err) == (0, "")
    assert parse(format, ended.out) == 0 if format != "github" else ended.out == ""
    assert ("tiny.recipe" in ended.out) is (format != "github")


@pytest.mark.parametrize("format", DOCUMENTS)
@pytest.mark.parametrize("option", ["target=10%", "other=1", "nonsense", "target=\udcff"])
def test_document_tells_what_is_wrong_with_options(format, option, here):
    ended = command("validate", "--format", format, "tiny.recipe", "-p", option)
    assert (ended.code, ended.err) == (1, "")
    assert parse(format, ended.out) == 1


@pytest.mark.parametrize("format", DOCUMENTS)
def test_document_names_standard_input(format, text):
    ended = command("validate", "--format", format, "-", stdin=text.replace("80%", "80 %").encode())
    assert parse(format, ended.out) > 0
    assert "stdin" in ended.out


@pytest.mark.parametrize("format", DOCUMENTS)
def test_document_stays_whole_whatever_the_file_is_called(format, here):
    Path("tiny.recipe").rename(HOSTILE)
    Path(HOSTILE).write_text(Path(HOSTILE).read_text("utf-8") + 'let x = "\u202e±\U0001f600\x07"\n', "utf-8")
    wanted = {"json": 3, "sarif": 3, "github": 3, "junit": 1}[format]
    ended = command("validate", "--format", format, HOSTILE, HOSTILE + "2")
    assert (ended.code, ended.err) == (1, "")
    assert parse(format, ended.out) == wanted + (format == "junit")
    assert not set(ended.out) & {"\x1b", "\u202e", "\x07"}


@pytest.mark.parametrize("format", DOCUMENTS)
def test_document_is_text_for_a_stream_of_ascii_and_a_name_of_odd_bytes(format, here):
    name = b"\xff\xc2\xb1.recipe"
    Path(os.fsdecode(name)).write_text('recipe 1 "±"\nlet x = "±" + 1\n', "utf-8")
    env = environment(PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    run = process("validate", "--format", format, os.fsdecode(name), env=env)
    out, err = run.communicate()
    assert (run.returncode, err) == (1, "")
    assert parse(format, out) > 0


def test_json_of_a_real_run_names_file_place_and_fix(wrong):
    form = json.loads(command("validate", "--format", "json", wrong).out)
    (found,) = form["diagnostics"]
    assert (found["code"], found["primary"]["file"]) == ("E051", "tiny.recipe")
    (edit,) = found["fixes"][0]["edits"]
    raw = Path(wrong).read_bytes()
    assert raw[edit["start_byte"] : edit["end_byte"]] == b"hardnes"
    assert edit["file"] == "tiny.recipe"


def test_narrated_goes_to_standard_output_with_a_word_on_every_file(wrong):
    Path("good.recipe").write_text(Path(wrong).read_text("utf-8").replace("hardnes ", "hardness "), "utf-8")
    ended = command("validate", "--format", "narrated", wrong, "good.recipe")
    assert (ended.code, ended.err) == (1, "")
    lines = ended.out.splitlines()
    assert lines[0] == "error E051: unknown attribute `hardnes` in `distill`"
    assert lines[-2].startswith("good.recipe: ok (")
    assert lines[-1] == "1 error"
    assert "^" not in ended.out


def test_unknown_format_is_a_mistake_in_the_command(here):
    ended = command("validate", "--format", "xml", "tiny.recipe")
    assert ended.code == 2
    assert "sarif" in ended.err


def test_schema_ships_with_the_package():
    assert json_form.schema()["title"]
    assert (ROOT / "recipelang" / "source" / "findings.schema.json").is_file()


def test_edits_name_the_file_they_are_in_not_the_one_that_was_asked_for(here, text):
    Path("base.recipe").write_text("# ±\n" + text.replace("hardness = 80%", "hardness = 80 %"), "utf-8")
    Path("child.recipe").write_text('recipe 1 "child"\nextends "base.recipe"\n', "utf-8")
    (found,) = json.loads(command("validate", "--format", "json", "child.recipe").out)["diagnostics"]
    (edit,) = found["fixes"][0]["edits"]
    assert (found["file"], found["primary"]["file"], edit["file"]) == ("child.recipe", "base.recipe", "base.recipe")
    assert Path("base.recipe").read_bytes()[edit["start_byte"] : edit["end_byte"]] == b"80 %"
    (result,) = json.loads(command("validate", "--format", "sarif", "child.recipe").out)["runs"][0]["results"]
    assert result["fixes"][0]["artifactChanges"][0]["artifactLocation"]["uri"] == "base.recipe"

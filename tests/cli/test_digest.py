"""`recipelang digest`: three digests, for people and for scripts; local things by their contents; no torch."""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .command import command, environment

HEX = r"[0-9a-f]{64}"


def only(which: str, *more: object, stdin: bytes = b"") -> str:
    ended = command("digest", "tiny.recipe", "--only", which, *more, stdin=stdin)
    assert (ended.code, ended.err) == (0, "")
    assert re.fullmatch(HEX + "\n", ended.out)
    return ended.out.strip()


def test_table_has_every_digest_with_its_name(contents):
    ended = command("digest", "tiny.recipe")
    assert ended.code == 0
    rows = [re.fullmatch(rf"(\w+) +sha256:({HEX}) *(\S*)", line).groups() for line in ended.out.splitlines()]
    assert [(kind, name) for kind, _, name in rows] == [
        ("spec", ""),
        ("behaviour", ""),
        ("source", "tiny.recipe"),
        ("contents", "model"),
        ("contents", "train.json"),
        ("contents", "dev.json"),
    ]
    assert [found for _, found, _ in rows[:3]] == [only("spec"), only("behaviour"), only("source")]
    assert rows[4][1] == hashlib.sha256(Path("train.json").read_bytes()).hexdigest()


def test_source_digest_is_of_the_bytes_of_the_file(contents):
    assert only("source") == hashlib.sha256(Path("tiny.recipe").read_bytes()).hexdigest()


def test_json_holds_the_same(contents):
    found = json.loads(command("digest", "tiny.recipe", "--json").out)
    assert (found["format_version"], found["spec"]) == ("1.0", "sha256:" + only("spec"))
    assert found["sources"] == [{"file": "tiny.recipe", "digest": "sha256:" + only("source")}]
    assert [c["reference"] for c in found["contents"]] == ["model", "train.json", "dev.json"]


def test_comment_changes_the_source_digest_only(contents, edit):
    before = [only(which) for which in ("spec", "behaviour", "source")]
    edit("stage dense {", "# a comment\nstage dense {")
    after = [only(which) for which in ("spec", "behaviour", "source")]
    assert before[:2] == after[:2]
    assert before[2] != after[2]


def test_parameter_changes_what_it_is_used_for(contents):
    assert only("behaviour", "-p", "target=95%") != only("behaviour")
    assert only("behaviour", "-p", "target=90%") == only("behaviour")
    assert only("spec", "-p", "micro=4") == only("spec")  # how many at a time is no part of the experiment


def test_fmt_changes_neither(contents):
    before = only("spec")
    command("fmt", "tiny.recipe")
    assert only("spec") == before


@pytest.mark.parametrize("name", ["train.json", "model/config.json", "model/model.safetensors"])
def test_contents_count_and_paths_do_not(contents, edit, name):
    before = only("behaviour")
    edit('"model"', '"./elsewhere"')
    Path("model").rename("elsewhere")
    assert only("behaviour") == before
    Path("elsewhere").rename("model")
    Path(name).write_bytes(b'{"other": 1}')
    edit('"./elsewhere"', '"model"')
    assert only("behaviour") != before


def test_what_is_missing_is_told_at_its_place_all_at_once(contents):
    Path("train.json").unlink()
    Path("model").rename("modle")
    ended = command("digest", "tiny.recipe")
    assert (ended.code, ended.codes, ended.out) == (1, ["E076", "E074"], "")
    assert "did you mean `modle`?" in ended.err
    assert "there is no data file" in ended.err


def test_data_that_is_a_folder_is_an_error(contents, edit):
    edit('"train.json"', '"./model/"')
    assert command("digest", "tiny.recipe").codes == ["E074"]


def test_standard_input_is_read_and_paths_start_here(contents):
    text = Path("tiny.recipe").read_bytes()
    assert command("digest", "-", "--only", "spec", stdin=text).out.strip() == only("spec")


def test_recipe_of_two_files_has_two_source_digests_and_one_meaning(contents):
    Path("child.recipe").write_text('recipe 1 "child"\nextends "./tiny.recipe"\nset target = 95%\n', "utf-8")
    found = json.loads(command("digest", "child.recipe", "--json").out)
    assert [source["file"] for source in found["sources"]] == ["child.recipe", "tiny.recipe"]
    assert found["spec"] == "sha256:" + only("spec", "-p", "target=95%")
    Path("site.recipe").write_text("recipe 1\nset target = 95%\n", "utf-8")
    assert only("spec", "--overlay", "site.recipe") == only("spec", "-p", "target=95%")


def test_mistakes_and_missing_parameters_are_errors(contents, edit):
    edit("= 90%", "")
    assert command("digest", "tiny.recipe").codes == ["E053"]
    assert command("digest", "tiny.recipe", "-p", "target=90%").code == 0
    assert command("digest", "tiny.recipe", "-p", "target=9").codes == ["E038"]
    assert command("digest", "none.recipe").codes == ["E046"]


def test_document_has_the_digests_of_its_recipe(contents):
    command("convert", "tiny.recipe", "--to", "json", "-o", "tiny.json")
    for which in ("spec", "behaviour"):
        assert command("digest", "tiny.json", "--only", which).out.strip() == only(which)
    assert command("digest", "tiny.json", "--only", "source").out.strip() == only("spec")  # the bytes are the form


def test_torch_is_not_loaded(contents):
    program = (
        "import sys; sys.argv = ['recipelang', 'digest', 'tiny.recipe']\n"
        "from recipelang.cli.main import command_line\n"
        "command_line()(standalone_mode=False)\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], env=environment(), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")

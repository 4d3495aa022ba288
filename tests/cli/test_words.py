"""What `explain` says of words, and what `library` lists."""

import json

import pytest

from recipelang.loading.files import library_names
from recipelang.reference.words import words
from recipelang.source.codes import codes
from tests.cli.command import command


@pytest.mark.parametrize("word", words())
def test_every_word_is_explained(word):
    ended = command("explain", word)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith((word, f"@{word}"))
    assert not [line for line in ended.out.splitlines() if line != line.rstrip()]
    assert max(map(len, ended.out.splitlines())) <= 100 or "    " in ended.out  # an example stays on its line


def test_a_block_lists_its_attributes_and_where_it_stands():
    out = command("explain", "prune").out
    assert "Stands inside `stage`." in out
    assert "targets" in out
    assert "required" in out
    assert "Holds the blocks `prune`, `distill`" in command("explain", "stage").out
    assert "Stands at the top of the file." in command("explain", "study").out


def test_a_word_of_several_meanings_has_all():
    out = command("explain", "data").out
    assert "A data set" in out
    assert "data, in `stage`" in out


def test_without_a_word_every_code_is_listed():
    out = command("explain").out
    assert all(f"  {code}  " in out for code in codes())


def test_a_misspelt_word_is_corrected():
    ended = command("explain", "prne")
    assert ended.code == 2
    assert "did you mean prune?" in ended.err


def test_the_library_is_listed_whole_by_task():
    out = command("library").out
    assert all(f"  lib://{name} " in out for name in library_names())
    assert max(map(len, out.splitlines())) <= 100
    assert not [line for line in out.splitlines() if line != line.rstrip()]
    order = [out.index(f"\n{task}\n") for task in ("sequence_classification", "causal_lm", "for any task", "study")]
    assert order == sorted(order)


def test_words_narrow_the_library():
    out = command("library", "SQuAD", "gmp").out
    assert "lib://squad/gmp-90" in out
    assert "lib://shrink" not in out
    ended = command("library", "nothing-of-this-name")
    assert ended.code == 2
    assert "no recipe" in ended.err


def test_the_library_as_json():
    found = json.loads(command("library", "--json").out)
    assert {f"lib://{name}" for name in library_names()} == {entry["name"] for entry in found}
    assert all(entry["summary"] for entry in found)
    assert next(e for e in found if e["name"] == "lib://obert/squad-90")["task"] == "question_answering"

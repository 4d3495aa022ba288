"""A misspelt word of a study is one error, at the word, in the study's own text. Names of arms are free."""

import os
import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from recipelang.api.checked import told_of_study
from recipelang.source import Diagnostic, RecipeError, Source
from tests.misspelling import VOCABULARY, Word, slip, words
from tests.reading import LIBRARY

STUDIES = [p for p in sorted(LIBRARY.rglob("*.recipe")) if "\nstudy {" in p.read_text("utf-8")]


#: words of a study that are tried; `make misspelt` takes all
MOST = int(os.environ.get("RECIPELANG_WORDS", "16"))


def errors(path: Path, text: str) -> list[Diagnostic]:
    try:
        told = told_of_study(Source(str(path), text))
    except RecipeError as error:
        return [d for d in error.diagnostics if d.severity == "error"]
    assert told is not None
    return list(told[0].errors)


def short(path: Path) -> str:
    """The study with the first of every list of numbers only: the same words in fewer variants."""
    return re.sub(r"\[([\d.]+%?)(, [\d.]+%?)+\]", r"[\1]", path.read_text("utf-8"))


def slips(path: Path) -> Iterator[tuple[Word, str]]:
    """One of each of `MOST` words, where it stands first: all arms are read for each."""
    text = short(path)
    taken = VOCABULARY | {w.text for w in words(text)}
    rng = random.Random(path.stem)
    every = list({w.text: w for w in reversed(words(text))}.values())
    for word in rng.sample(every, MOST) if len(every) > MOST else every:
        if word.role != "label" and text.count(f" {word.text} {{}}") == 0:
            yield word, slip(word.text, rng, taken)


@pytest.mark.parametrize("path", STUDIES, ids=lambda p: p.stem)
def test_a_misspelt_word_is_one_error_at_the_word(path):
    text = short(path)
    wrong = []
    for word, new in slips(path):
        bad = text[: word.span.start] + new + text[word.span.end :]
        found = errors(path, bad)
        places = [d.primary for d in found if d.primary]
        told = len(found) == 1 and len(places) == 1 and places[0].source.name == str(path)
        near = told and places[0].span.start - 30 <= word.span.start <= places[0].span.end + 30
        named = told and word.text in " ".join([*found[0].help, found[0].message])  # used elsewhere: told there
        if not (near or named):
            wrong.append(f"`{word.text}` as `{new}`: {[d.message for d in found]}")
    assert wrong == []

"""A newcomer misspells a word: one error, at that word, with the right one proposed.

Words of every recipe of the library and of the samples get one random slip of the finger, `MOST` of each recipe;
`make misspelt` takes all. Where a definition is renamed so, the error stands at its first use and proposes the new name. A renamed thing that
nothing uses is as good as before.
"""

import os
import random
import re
from collections import Counter
from functools import lru_cache
from pathlib import Path

import pytest

from recipelang.loading.read import check_all
from recipelang.source import Diagnostic, Source, Span
from tests.misspelling import VOCABULARY, Word, slip, suggestion, words
from tests.reading import CASES, LIBRARY, SOUND

#: but for studies, which have a test of their own
LIBRARY_TEXTS = {
    str(p): text for p in sorted(LIBRARY.rglob("*.recipe")) if "\nstudy {" not in (text := p.read_text("utf-8"))
}
#: samples that build on nothing remote
SAMPLES = {
    str(p): text
    for d in ("language", "composed")
    for p in sorted((CASES / d).glob("*.recipe"))
    if "oci:" not in (text := p.read_text("utf-8"))
}
RECIPES = {**LIBRARY_TEXTS, **SAMPLES, "sound": SOUND}
#: words of a recipe that are tried
MOST = int(os.environ.get("RECIPELANG_WORDS", "8"))
#: how much wider than the word an error may be: the path or call that the word is part of
WIDER = 30


@lru_cache(maxsize=4)
def errors(name: str, text: str) -> list[Diagnostic]:
    return list(check_all(Source(name, text), {}).diagnostics.errors)


def judged(name: str, text: str) -> list[Word]:
    """The words of a recipe, without those in a part that this release does not read yet."""
    before = errors(name, text)
    assert before == [] or not Path(name).is_relative_to(LIBRARY)
    hidden = [d.primary.span for d in before if d.primary]
    return [w for w in words(text) if not any(s.start <= w.span.start < s.end for s in hidden)]


def new_errors(name: str, text: str, bad: str) -> list[Diagnostic]:
    known = Counter((d.code, d.message) for d in errors(name, text))
    found = []
    for d in errors(name, bad):
        known[d.code, d.message] -= 1
        if known[d.code, d.message] < 0:
            found.append(d)
    return found


def covers(span: Span, word: Span) -> bool:
    return span.start <= word.start and word.end <= span.end <= span.start + word.end - word.start + WIDER


def complaint(name: str, text: str, word: Word, new: str) -> tuple[str, bool]:
    """What is wrong with what is said of a slip, or nothing; and whether the right word is proposed first."""
    bad = text[: word.span.start] + new + text[word.span.end :]
    found = new_errors(name, text, bad)
    if len(found) != word.errors:
        return f"{len(found)} errors: {[d.message for d in found]}", False
    if not found:
        return "", True
    (d,) = found
    meant = suggestion(d)
    if word.role != "use" and d.primary and bad[d.primary.span.start : d.primary.span.end] != new:
        return "", meant is not None and new in re.split(r"[. ]", meant)
    changed = Span(word.span.start, word.span.start + len(new))
    if d.primary is None or not covers(d.primary.span, changed):
        return f"elsewhere: {d.message}", False
    return "", meant is not None and word.text in re.split(r"[. ]", meant)


@pytest.mark.parametrize("name", RECIPES, ids=lambda n: Path(n).stem)
def test_a_misspelt_word_is_one_error_at_the_word_with_the_right_one_proposed(name):
    text = RECIPES[name]
    every = judged(name, text)
    taken = VOCABULARY | {w.text for w in words(text)}
    wrong, hits = [], 0
    rng = random.Random(Path(name).stem)
    tried = rng.sample(every, MOST) if len(every) > MOST else every
    for word in tried:
        new = slip(word.text, rng, taken)
        said, hit = complaint(name, text, word, new)
        if said:
            line = text.count("\n", 0, word.span.start) + 1
            wrong.append(f"line {line}: `{word.text}` as `{new}`: {said}")
        hits += hit
    assert wrong == []
    assert len(tried) - hits <= max(1, len(tried) // 10)

"""Edits of a text: whatever their order, never two on one place, never in the wrong file."""

import random

import pytest
from hypothesis import given, strategies as st

from recipelang.source import Diagnostic, Edit, Fix, Label, Source, Span
from recipelang.source.fixes import choose, edited, overlap, placed
from recipelang.source.suggest import closest, instead

PIECES = st.text("ab\n±\U0001f600", max_size=3)


@st.composite
def texts_with_edits(draw):
    """A text, edits that do not overlap, and what they make of it, put together from the pieces."""
    text, wanted, edits = "", "", []
    for keep, old, new in draw(st.lists(st.tuples(st.text("xy±", min_size=1, max_size=3), PIECES, PIECES), max_size=6)):
        text, wanted = text + keep, wanted + keep + new
        edits.append(Edit(Span(len(text), len(text) + len(old)), new))
        text += old
    return text, edits, wanted


@given(texts_with_edits(), st.randoms(use_true_random=False))
def test_edits_give_the_same_text_in_any_order(made, rng: random.Random):
    text, edits, wanted = made
    rng.shuffle(edits)
    assert edited(text, edits) == wanted


@given(texts_with_edits())
def test_edits_together_are_the_edits_one_by_one_from_the_end(made):
    text, edits, wanted = made
    for edit in reversed(edits):
        text = edited(text, [edit])
    assert text == wanted


SPANS = st.tuples(st.integers(0, 6), st.integers(0, 6)).map(lambda p: Span(min(p), max(p)))


@given(st.lists(SPANS, min_size=2, max_size=4))
def test_edits_are_made_exactly_when_no_two_of_them_overlap(spans):
    edits = [Edit(span, str(i)) for i, span in enumerate(spans)]
    clash = any(overlap(a, b) for i, a in enumerate(edits) for b in edits[:i])
    if clash:
        with pytest.raises(ValueError, match="overlap"):
            edited("abcdef", edits)
    else:
        assert len(edited("abcdef", edits)) == 6 + len(edits) - sum(s.end - s.start for s in spans)


@pytest.mark.parametrize(
    ("a", "b", "meet"),
    [
        ((0, 2), (2, 4), False),
        ((0, 3), (2, 4), True),
        ((2, 2), (2, 2), True),
        ((2, 2), (2, 4), True),
        ((0, 2), (2, 2), True),
        ((1, 1), (2, 4), False),
        ((0, 9), (2, 4), True),
    ],
)
def test_what_overlaps(a, b, meet):
    one, two = Edit(Span(*a), ""), Edit(Span(*b), "")
    assert overlap(one, two) is overlap(two, one) is meet


def test_new_lines_end_as_those_of_the_text_do():
    edit = Edit(Span(0, 0), "x\ny\r\n")
    assert edited("a\r\nb\r\n", [edit]) == "x\r\ny\r\na\r\nb\r\n"
    assert edited("a\nb\n", [edit]) == "x\ny\na\nb\n"


def finding(source: Source, start: int, end: int, *fixes: Fix) -> Diagnostic:
    return Diagnostic("E001", f"at {start}", Label(source, Span(start, end)), fixes=fixes)


def writes(text: str, start: int, end: int, applicability="safe") -> Fix:
    return Fix(f"write {text}", (Edit(Span(start, end), text),), applicability)


def titles(findings, source, *allowed):
    return [c.fix.title for c in choose(findings, source, allowed)]


def test_of_fixes_that_overlap_the_first_is_chosen():
    source = Source("a", "one two")
    found = [finding(source, 0, 3, writes("x", 0, 3)), finding(source, 2, 5, writes("y", 2, 5))]
    found.append(finding(source, 4, 7, writes("z", 4, 7)))
    assert titles(found, source, "safe") == ["write x", "write z"]


def test_one_fix_of_a_finding_is_chosen_and_only_an_allowed_one():
    source = Source("a", "one two")
    fixes = (writes("d", 0, 3, "display"), writes("u", 0, 3, "unsafe"), writes("s", 0, 3))
    assert titles([finding(source, 0, 3, *fixes)], source, "safe") == ["write s"]
    assert titles([finding(source, 0, 3, *fixes)], source, "safe", "unsafe") == ["write u"]
    assert titles([finding(source, 0, 3, fixes[0])], source, "safe", "unsafe") == []


def test_fixes_of_another_text_are_not_made_in_this_one():
    this = Source("a.recipe", "one two")
    option, other = Source("-p target", "90"), Source("b.recipe", "90")
    found = [finding(option, 0, 2, writes("90%", 0, 2)), finding(other, 0, 2, writes("90%", 0, 2))]
    assert titles(found, this, "safe") == []
    assert titles(found, other, "safe") == ["write 90%"]


def test_edits_of_a_file_that_begins_elsewhere_count_from_its_start():
    source = Source("b.recipe", "one two", base=100)
    (chosen,) = choose([finding(source, 104, 107, writes("x", 104, 107))], source, ("safe",))
    assert edited(source.text, chosen.edits) == "one x"


def test_an_edit_in_another_file_than_the_finding_is_known_by_its_place():
    one, two = Source("a", "aaaa"), Source("b", "bbbb", base=5)
    d = Diagnostic("E001", "m", Label(one, Span(0, 1)), (Label(two, Span(5, 6)),))
    assert [s.name for s, _ in placed(d, writes("x", 6, 7))] == ["b"]
    assert placed(d, writes("x", 20, 21)) == []


@pytest.mark.parametrize(
    ("word", "candidates", "fix"),
    [
        ("sparsty", ["sparsity", "density"], ("sparsity", "safe")),
        ("adma", ["adam", "sgd"], ("adam", "safe")),
        ("Linear", ["linear"], ("linear", "safe")),
        ("lett", ["let", "set"], ("let", "safe")),
        ("spasity", ["sparsity", "spacity"], ("spacity", "unsafe")),  # two are one slip away
        ("tempertur", ["temperature"], ("temperature", "unsafe")),  # two slips
        ("f2", ["f1", "exact_match"], ("f1", "unsafe")),  # short
        ("stage2", ["stage1"], ("stage1", "unsafe")),  # digits are no slip
        ("target2", ["target"], ("target", "unsafe")),
        ("xyzzy", ["linear"], None),
    ],
)
def test_a_word_is_replaced_unasked_only_when_one_is_clearly_meant(word, candidates, fix):
    made = instead(word, closest(word, candidates), Span(3, 5), candidates)
    assert [(f.edits, f.applicability) for f in made] == ([((Edit(Span(3, 5), fix[0]),), fix[1])] if fix else [])

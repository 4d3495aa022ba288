"""Places, hovering, the outline, colours, hints, calls, and what can be done about a finding."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from recipelang.editor import actions, colours, findings, hints, hover, outline, signatures
from recipelang.editor.document import Document
from recipelang.editor.lines import Lines, Place
from recipelang.loading.files import bundled
from recipelang.source import Span
from tests.unit.editor.marked import HEADER, marked

WHOLE = bundled("lib://squad/gmp-90").text


# -------------------------------------------------------------------------- places
@pytest.mark.parametrize("unit", ["utf-8", "utf-16", "utf-32"])
@pytest.mark.parametrize("text", ["", "a", "a\nb", "a\r\nb\n", "é\n😀x\n", "\n\n", "ab\rc"])
def test_every_offset_has_a_place_that_leads_back(text: str, unit: str) -> None:
    lines = Lines(text, unit)  # type: ignore[arg-type]
    for offset in range(len(text) + 1):
        place = lines.place(offset)
        if text[offset - 1 : offset + 1] != "\r\n":  # no place is between the two
            assert lines.offset(*place) == min(offset, len(text))


def test_characters_are_counted_in_the_units_agreed_on() -> None:
    assert Lines("😀x", "utf-16").place(2) == Place(0, 3)
    assert Lines("😀x", "utf-8").place(2) == Place(0, 5)
    assert Lines("😀x", "utf-32").place(2) == Place(0, 2)


def test_a_place_beyond_the_text_is_its_end() -> None:
    assert Lines("ab\ncd").offset(7, 0) == 5
    assert Lines("ab\ncd").offset(0, 99) == 2


# ------------------------------------------------------------------------- hovering
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sta‸ge s {}", "A part of the training"),
        ("stage s {\n  bat‸ch = 4\n}", "batch"),
        ("stage s {\n  prune w {\n    method = magni‸tude\n  }\n}", "smallest absolute values"),
        ("stage s {\n  prune w {\n    method = magnitude(sco‸pe = global)\n  }\n}", "ranked together"),
        ("stage s {\n  prune w {\n    targets = @lin‸ear\n  }\n}", "weight matrices"),
        ("stage s {\n  learning_rate = lin‸ear(1 -> 0, over = start..end)\n}", "constant rate"),
        ("stage s {\n  length = 3 epo‸chs\n}", "passes over the training data"),
        ("## The goal.\nparam target: ratio = 90%\nlet x = tar‸get", "The goal"),
        ("param target: ratio = 90%\nlet x = tar‸get", "`90%`"),
        ("expect dev.f‸1 > 1%", "word overlap"),
    ],
)
def test_what_hovering_says(text: str, said: str) -> None:
    found = hover.hover(*marked(text))
    assert found is not None
    assert said in found.text


def test_hovering_shows_the_value_and_where_it_was_written() -> None:
    document = Document("gmp.recipe", WHOLE)
    found = hover.hover(document, WHOLE.index("learning_rate") + 3)
    assert found is not None
    assert "Value: `" in found.text


def test_nothing_is_said_of_a_comment_or_a_bracket() -> None:
    assert hover.hover(*marked("# a sta‸ge")) is None
    assert hover.hover(*marked("stage s {‸}")) is None


def test_markup_in_a_recipe_stays_text() -> None:
    found = hover.hover(*marked("## <img src=x> [a](http://x)\nparam tar‸get: ratio = 90%"))
    assert found is not None
    assert r"\<img src=x\>" in found.text
    assert r"\[a\](http\://x)" in found.text


# ---------------------------------------------------------------------------- shape
def test_the_outline_has_blocks_with_what_is_in_them() -> None:
    document, _ = marked(
        "param t: ratio = 1%\nstage s {\n  batch = 4\n  prune w { sparsity = 1% }\n}\nexpect dev.f1 > 1%‸"
    )
    found = outline.outline(document)
    assert [e.label for e in found] == ["t", "stage s", "expect dev.f1 > 1%"]
    assert [e.label for e in found[1].inside] == ["batch", "prune w"]
    for entry in (*found, *found[1].inside):
        assert entry.whole.start <= entry.name.start <= entry.name.end <= entry.whole.end


def test_blocks_and_comments_fold() -> None:
    document, _ = marked("# one\n# two\nstage s {\n  batch = 4\n\n  prune w {\n  }\n}\n‸")
    assert outline.folds(document) == [
        (1, 2, True),
        (3, 7, False),
    ]


def test_a_selection_grows() -> None:
    document, offset = marked("stage s {\n  length = 2 ep‸ochs\n}")
    texts = [document.text[s.start : s.end] for s in outline.around(document, offset)]
    assert texts[0] == "epochs"
    assert "2 epochs" in texts
    assert texts[-1] == document.text
    assert all(a in b for a, b in pairwise(texts))


# -------------------------------------------------------------------------- colours
@pytest.mark.parametrize(
    ("word", "sort"),
    [
        ("stage", "class"),
        ("learning_rate", "property"),
        ("linear(", "function"),
        ("over", "parameter"),
        ("@linear", "decorator"),
        ("param", "keyword"),
        ("ratio", "type"),
        ("90%", "number"),
        ("## ", "comment"),
        ('"hf://', "string"),
    ],
)
def test_each_word_has_its_colour(word: str, sort: str) -> None:
    document = Document("gmp.recipe", WHOLE)
    found = [c for c in colours.coloured(document) if WHOLE.startswith(word, c.start)]
    assert sort in {c.sort for c in found}


def test_colours_are_in_order_and_on_one_line_each() -> None:
    found = colours.coloured(Document("a", WHOLE + '\nlet x = """a\nb"""\n'))
    for before, after in pairwise(found):
        assert before.end <= after.start
    assert all("\n" not in WHOLE[c.start : c.end] for c in found)


# ---------------------------------------------------------------------------- hints
def test_the_value_of_an_expression_is_shown_beside_it() -> None:
    text = 'model { base = "m", task = question_answering }\ndata { train = "t.json" }\nparam e: span = 2 epochs\n'
    document, _ = marked(text + "stage s { length = 2 * e, batch = 2 * 8, learning_rate = 1e-5 }‸")
    found = {h.text for h in hints.hints(document, Span(0, len(document.text)))}
    assert found == {"= 4 epochs", "= 16"}


def test_no_hints_of_a_recipe_with_errors() -> None:
    document, _ = marked("stage s { length = 2 * }‸")
    assert hints.hints(document, Span(0, 99)) == []


# ---------------------------------------------------------------------------- calls
def test_the_arguments_of_a_call() -> None:
    found = signatures.help(*marked("stage s {\n  learning_rate = linear(1 -> 0, over = ‸"))
    assert found is not None
    assert found.arguments[found.active or 0][0].startswith("over")
    assert signatures.help(*marked("stage s {\n  learning_rate = ‸")) is None
    assert signatures.help(*marked("let x = unknown(‸")) is None


# -------------------------------------------------------------------------- findings
def test_findings_are_those_of_validate_and_lint() -> None:
    document, _ = marked("stage s { lenght = 2 epochs }‸")
    found = findings.findings(document)
    assert {f.diagnostic.code for f in found} >= {"E051"}
    assert document.text[found[0].span.start : found[0].span.end]


def test_a_mistake_of_the_base_is_shown_where_it_comes_in(tmp_path: Path) -> None:
    (tmp_path / "base.recipe").write_text(HEADER + "stage s { lenght = 2 epochs }\n")
    document, _ = marked(f'{HEADER}extends "./base.recipe"\n‸', str(tmp_path / "a.recipe"))
    found = next(f for f in findings.findings(document) if f.diagnostic.code == "E051")
    assert found.elsewhere
    assert document.text[found.span.start : found.span.end] == 'extends "./base.recipe"'


def test_a_fix_is_an_edit_of_its_word() -> None:
    document, _ = marked("stage s { lenght = 2 epochs }‸")
    found = findings.findings(document)
    at = document.text.index("lenght")
    offered = actions.actions(document, found, Span(at, at))
    ((span, new),) = offered[0].edits["a.recipe"]
    assert (document.text[span.start : span.end], new) == ("lenght", "length")
    assert actions.all_sure(document, found) == {"a.recipe": [(span, new)]}


def test_advice_can_be_allowed_by_a_comment() -> None:
    document = Document("a.recipe", WHOLE.replace("# recipe: allow(L050)", "# "))
    found = findings.findings(document)
    advice = next(f for f in found if f.diagnostic.code == "L050")
    offer = next(a for a in actions.actions(document, found, advice.span) if a.title.startswith("allow L050"))
    ((span, comment),) = offer.edits["a.recipe"]
    text = document.text[: span.start] + comment + document.text[span.end :]
    again = findings.findings(Document("a.recipe", text))
    assert len([f for f in again if f.diagnostic.code == "L050"]) < len(
        [f for f in found if f.diagnostic.code == "L050"]
    )


# ------------------------------------------------------------------------- wholeness
@pytest.mark.parametrize("name", ["quickstart", "squad/gmp-90", "studies/guidelines", "lib/scaling", "shrink/decoder"])
def test_every_beginning_of_a_recipe_is_answered(name: str) -> None:
    """As if typed: cut at places all over the text, nothing raises and every place lies in the text."""
    from recipelang.editor import completion, names

    whole = bundled(f"lib://{name}").text
    for end in range(0, len(whole) + 1, max(1, len(whole) // 60)):
        document = Document("a.recipe", whole[:end])
        for item in completion.complete(document, end):
            assert 0 <= item.span.start <= item.span.end <= end
        hover.hover(document, max(0, end - 1))
        signatures.help(document, end)
        outline.outline(document)
        outline.folds(document)
        outline.around(document, end)
        names.definition(document, end)
        assert all(0 <= c.start < c.end <= end for c in colours.coloured(document))

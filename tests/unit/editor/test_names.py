"""Definitions, uses and new names, across files."""

from __future__ import annotations

from pathlib import Path

import pytest

from recipelang.editor.document import Document
from recipelang.editor.names import CannotRename, _recipes, definition, occurrences, renamed, uses
from tests.unit.editor.marked import CURSOR, HEADER, marked

TEXT = """param target: ratio = 90%
let peak = 8e-5
stage dense { length = 2 epochs, batch = 4, learning_rate = peak }
stage sparse {
  length = 2 epochs
  batch = 4
  learning_rate = linear(2 * peak -> 0, over = start..end)
  prune weights { targets = @linear, sparsity = target }
  distill { teacher = stage.dense }
}
evaluate dev { metrics = [f1] }
expect dev.f1 >= 0.98 * stage.dense.dev.f1, "at ${target}"
"""


def _at(word: str, text: str = TEXT, nth: int = 0) -> str:
    start = -1
    for _ in range(nth + 1):
        start = text.index(word, start + 1)
    return text[: start + 1] + CURSOR + text[start + 1 :]


@pytest.mark.parametrize(
    ("word", "nth", "defined"),
    [
        ("target", 2, "param target"),  # 1 is `targets`
        ("peak", 1, "let peak"),
        ("dense }", 0, "stage dense"),
        ("dense.dev", 0, "stage dense"),
        ("dev.f1", 0, "evaluate dev"),
        ("dev.f1", 1, "evaluate dev"),
    ],
)
def test_a_name_leads_to_its_definition(word: str, nth: int, defined: str) -> None:
    document, offset = marked(_at(word, nth=nth))
    found = definition(document, offset)
    assert found is not None
    assert f"{found.kind} {found.name}" == defined
    assert document.text[found.span.start : found.span.end] == found.name


def test_words_of_the_language_lead_nowhere() -> None:
    for word in ("linear", "length", "start", "@linear", "epochs"):
        assert definition(*marked(_at(word))) is None


def test_every_use_of_a_name() -> None:
    document, offset = marked(_at("dense"))
    assert len(uses(document, offset)) == 3
    document, offset = marked(_at("target"))
    assert len(uses(document, offset)) == 3  # one is in a message, as `${target}`


def test_a_place_is_the_name_and_nothing_else() -> None:
    document, _ = marked(_at("target"))
    for place in occurrences(document):
        assert document.text[place.span.start : place.span.end] == place.name


def test_a_new_name_across_files(tmp_path: Path) -> None:
    (tmp_path / "base.recipe").write_text(HEADER + TEXT)
    (tmp_path / "child.recipe").write_text(f'{HEADER}extends "./base.recipe"\nset target = 97%\n')
    (tmp_path / "other.recipe").write_text(HEADER + "param target: ratio = 1%\n")
    (tmp_path / "all.recipe").write_text(f'{HEADER}study {{ of = "./base.recipe" }}\nvary {{ target = [80%, 90%] }}\n')
    base = Document(str(tmp_path / "base.recipe"), HEADER + TEXT)
    places = renamed(base, base.text.index("target"), "goal")
    assert sorted({Path(one.source.name).name for one, _ in places}) == ["all.recipe", "base.recipe", "child.recipe"]
    for one in {one.source.name: one for one, _ in places}.values():
        text = one.text
        for span in sorted((s for o, s in places if o.source.name == one.source.name), reverse=True):
            text = text[: span.start] + "goal" + text[span.end :]
        Path(one.source.name).write_text(text)
    child = Document(str(tmp_path / "child.recipe"), (tmp_path / "child.recipe").read_text())
    assert {d.code for d in child.checked.diagnostics} <= {"E053"}  # as the text had before
    assert "target" not in (tmp_path / "all.recipe").read_text()


@pytest.mark.parametrize("new", ["peak", "2x", "a b", "let", "start", "", "dev"])
def test_names_that_cannot_be(new: str) -> None:
    document, offset = marked(_at("target"))
    with pytest.raises(CannotRename):
        renamed(document, offset, new)


def test_what_the_library_defines_keeps_its_name() -> None:
    text = 'use "lib://lib/scaling" as lib\nlet length = lib.short\n'
    with pytest.raises(CannotRename, match="cannot be changed here"):
        renamed(*marked(_at("short", text)), "other")


def test_a_large_tree_is_not_gone_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recipe may lie in a home folder."""
    for name in ("a", "b", "c", "d"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "child.recipe").write_text(f'{HEADER}extends "../base.recipe"\n')
    monkeypatch.setattr("recipelang.editor.names.FOLDERS", 2)
    assert len([*_recipes(tmp_path)]) == 2


def test_an_open_text_counts_and_not_its_file(tmp_path: Path) -> None:
    base = tmp_path / "base.recipe"
    base.write_text(HEADER + "param old: ratio = 90%\n")
    open_texts = {str(base): HEADER + "param target: ratio = 90%\n"}
    document, offset = marked(
        f'{HEADER}extends "./base.recipe"\nlet x = tar‸get\n', str(tmp_path / "a.recipe"), open_texts
    )
    found = definition(document, offset)
    assert found is not None
    assert found.document.source.name == str(base)
    assert not [d for d in document.checked.diagnostics if d.code == "E022"]

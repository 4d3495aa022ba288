"""`recipelang doc`: a page for any recipe, and no recipe writes markup into it."""

import re

import markdown_it
import pytest

from ..reading import TEXTS, found_in, sound
from .command import command

READ = markdown_it.MarkdownIt("commonmark").enable("table")


def doc(text: str) -> str:
    ended = command("doc", "-", stdin=text.encode())
    assert (ended.code, ended.err) == (0, "")
    return ended.out


def narrow(page: str) -> str:
    """Without the spaces that make columns."""
    return re.sub(" +", " ", page)


def test_page_of_a_recipe_tells_all_there_is():
    text = sound(
        ("param target", "## How much.\nparam target"),
        ("stage gradual", "## Slowly.\nstage gradual"),
        ("  batch ", "  ## a large one\n  batch "),
    )
    page = narrow(doc(text))
    assert page.startswith("# sound\n")
    assert "| `target` | `ratio` | `50%..99%` | `90%` | How much. |" in page
    assert "## stage gradual\n\nSlowly.\n" in page
    assert "| `batch` | `16`" in page and "a large one" in page
    assert "`length` = `30 epochs`" in page
    assert "### prune weights" in page and "`never` | `@embeddings \\| @head`" in page
    assert "cubic(70% -> target, over = start + warm .. end - warm, updates = 10 per epoch)" in page
    assert "### distill" in page and "weight of the distillation loss" in page
    assert "| `warm` | `2 epochs`" in page
    assert "| require | `warm >= 1 epoch`" in page and "leave room" in page
    assert "| prefer | `dev.f1 >= 87%`" in page


def test_base_has_a_page_that_asks_for_what_it_lacks():
    page = narrow(doc(sound(("= 90%\n", "\n"))))
    assert "| `target` | `ratio` | `50%..99%` | **needs a value** |" in page
    assert "recipelang run FILE -p target=..." in page
    assert "| `length` | `length`" in page


def test_two_stages_have_their_own_values():
    stage = """stage more {
  length = 2 * warm, batch = 4, learning_rate = 1e-5
  distill { teacher = "t", hardness = 5%, temperature = 2 }
}"""
    page = narrow(doc(sound(add=stage + "\n")))
    assert "`2 * warm` = `4 epochs`" in page
    assert "`length` = `30 epochs`" in page


CHILD = """recipe 1 "child"
extends "./tiny.recipe"
set target = 80%
patch stage sparse {
  prune weights { never += @pooler }
}
"""


def test_page_of_a_child_shows_what_it_inherits_and_what_it_changes(here):
    (here / "child.recipe").write_text(CHILD, "utf-8")
    ended = command("doc", "child.recipe")
    assert (ended.code, ended.err) == (0, "")
    page = narrow(ended.out)
    assert page.startswith("# child\n") and "Extends `./tiny.recipe`" in page
    assert "`80%`, fixed" in page
    assert "| `never` | `@embeddings \\| @head \\| @pooler` |" in page
    assert "| `learning_rate` | `linear(" in page  # inherited whole
    assert "-p target=" not in page


def test_errors_are_shown_and_no_page():
    ended = command("doc", "-", stdin=b"recipe 1\nmodel { base = 1 }\n")
    assert (ended.code, ended.out) == (1, "")
    assert "E024" in ended.codes


SOUND = [name for name in TEXTS if not list(found_in(name).diagnostics)]


@pytest.mark.parametrize("name", SOUND)
def test_every_sound_recipe_has_a_page(name):
    html = READ.render(doc(TEXTS[name]))
    assert html.count("<h1>") == 1
    assert "<h2>Parameters</h2>" in html or "param " not in TEXTS[name]


NASTY = ["<script>alert(1)</script>", "[x](http://y)", "![x](y)", "**x**", "a | b", "# x", "`x`", "&lt;", "<!-- x"]


@pytest.mark.parametrize("nasty", NASTY)
def test_text_of_a_recipe_is_never_markup(nasty):
    quiet, loud = (
        READ.render(
            doc(
                sound(
                    ('recipe 1 "sound"', f'recipe 1 "{word}"\n\n## {word}\nmeta {{ summary = "{word}" }}'),
                    ("param length", f"## {word}\nparam length"),
                    ("stage gradual", f"## {word}\n##\n## {word}\nstage gradual"),
                    ('"leave room"', f'"{word}"'),
                    ("let warm", f"## {word}\nlet warm"),
                )
            )
        )
        for word in ("calm", nasty)
    )

    def shape(html: str) -> list[str]:
        return [part.partition(">")[0] for part in html.split("<")]

    assert shape(loud) == shape(quiet)

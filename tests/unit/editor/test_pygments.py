"""Recipes as Pygments sees them."""

import pytest
from pygments import highlight, lex
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name, get_lexer_for_filename
from pygments.token import Keyword, Name, String

from recipelang.loading.files import bundled, library_names


def test_the_lexer_is_found_by_name_and_by_file():
    assert get_lexer_by_name("recipe").name == "Recipe"
    assert get_lexer_for_filename("squad.recipe").name == "Recipe"


@pytest.mark.parametrize("name", library_names())
def test_nothing_of_a_recipe_is_lost(name):
    text = bundled(f"lib://{name}").text
    lexer = get_lexer_by_name("recipe", stripnl=False, ensurenl=False)
    assert "".join(value for _, value in lex(text, lexer)) == text


@pytest.mark.parametrize("text", ["", "stage {", 'x = "open', "é 😀 \x00 '", "a = 90 %\n}"])
def test_nor_of_a_text_that_is_no_recipe(text):
    lexer = get_lexer_by_name("recipe", stripnl=False, ensurenl=False)
    assert "".join(value for _, value in lex(text, lexer)) == text


def test_words_have_their_sorts():
    found = {
        value: sort
        for sort, value in lex("## Why.\nstage s { batch = 4 }\nlet x = @linear", get_lexer_by_name("recipe"))
    }
    assert found["stage"] is Keyword.Type
    assert found["batch"] is Name.Attribute
    assert found["let"] is Keyword
    assert found["@linear"] is Name.Decorator
    assert found["## Why."] is String.Doc
    assert "<span" in highlight("let x = 1", get_lexer_by_name("recipe"), HtmlFormatter())

"""The formatter: one style, nothing lost, stable, and it distrusts itself."""

import random
from pathlib import Path

import pytest

from recipelang.syntax import fmt
from tests.property.test_corrupted_recipes import TEXTS, corrupted

LIBRARY = Path(__file__).parents[3] / "recipes"


def inside(text: str) -> str:
    """A statement as it is written in a recipe."""
    return fmt.format(f'recipe 1 "a"\n\n{text}\n').split("\n\n", 1)[1].removesuffix("\n")


@pytest.mark.parametrize(
    ("written", "style"),
    [
        ("seed=1", "seed = 1"),
        ("let a=b+c*-2", "let a = b + c * -2"),
        ("let a = - 1", "let a = -1"),
        ("let a=(b-1)-(-2)", "let a = (b - 1) - (-2)"),
        ("param target:ratio in 50% .. 99%=90%", "param target: ratio in 50%..99% = 90%"),
        ("param a:one_of( x,y )=x", "param a: one_of(x, y) = x"),
        ("let w = start+warm..end-cool", "let w = start + warm .. end - cool"),
        ("let w = 2  ..  28   epochs", "let w = 2..28 epochs"),
        ("let w = layers( -4 .. -1 )", "let w = layers(-4..-1)"),
        ("let w = [ a..b, c+1..d ]", "let w = [a..b, c + 1 .. d]"),
        ("let s = @linear&@encoder|!@head", "let s = @linear & @encoder | !@head"),
        ("expect a.b>=1+/-2", "expect a.b >= 1 ± 2"),
        ("let r = 10   per epoch", "let r = 10 per epoch"),
        ('expect not(a)and b,"why"', 'expect not (a) and b, "why"'),
        ('model{base="x",task=y}', 'model { base = "x", task = y }'),
        ("export{ }", "export {}"),
        ("let a = f(70%->90%,over=start..end,)", "let a = f(70% -> 90%, over = start..end,)"),
        ('let t = """\n   two\n     lines"""', 'let t = """\n   two\n     lines"""'),
    ],
)
def test_spaces_follow_the_kinds_of_neighbours(written, style):
    assert inside(written) == style


def test_blocks_are_indented_and_equal_signs_of_a_run_line_up():
    written = (
        "stage a{\nlength=1 epoch\n   # why\nbatch   =  8\n\nclip = none\nprune w{\nnever+=@pooler\nsparsity=90%\n}\n}"
    )
    style = """stage a {
  length = 1 epoch
  # why
  batch  = 8

  clip = none
  prune w {
    never   += @pooler
    sparsity = 90%
  }
}"""
    assert inside(written) == style


def test_lists_over_several_lines_keep_the_choice_of_the_author():
    written = "learning_rate = [\nlinear(1 -> 0,\nover = a..b),\nlinear(1 -> 0, over = b..end),\n]"
    style = "learning_rate = [\n  linear(1 -> 0,\n    over = a..b),\n  linear(1 -> 0, over = b..end),\n]"
    assert inside(written) == style


def test_comments_stay_and_those_behind_code_line_up():
    written = "let a = 1 # one\nlet long = 2    #   two\n\n\n\n## of the next\nlet b = 3"
    assert inside(written) == "let a = 1     # one\nlet long = 2  #   two\n\n## of the next\nlet b = 3"


def test_line_ends_become_plain():
    assert fmt.format('recipe 1 "a"\r\nseed = 1\r\n') == 'recipe 1 "a"\nseed = 1\n'


def test_line_that_cannot_be_read_is_copied():
    assert inside("let  a =  ;1 \nlet  b=2") == "let  a =  ;1\nlet b = 2"


@pytest.mark.parametrize("path", sorted(LIBRARY.rglob("*.recipe")), ids=lambda p: p.stem)
def test_library_is_formatted(path):
    text = path.read_text("utf-8")
    assert fmt.format(text) == text


@pytest.mark.parametrize("seed", range(2))
def test_anything_is_formatted_without_loss_and_once_is_enough(seed):
    rng = random.Random(200 + seed)
    texts = list(TEXTS.values())
    for _ in range(60):
        text = corrupted(rng.choice(texts), rng)
        once = fmt.format(text)  # raises when a token, a comment or the tree would change, or twice differs
        assert fmt._meaning(once)[0] == fmt._meaning(text)[0]


def test_result_that_would_mean_something_else_is_never_given(monkeypatch):
    monkeypatch.setattr(fmt, "_format", lambda text: text.replace("90%", "9%"))
    with pytest.raises(fmt.NotTheSame):
        fmt.format('recipe 1 "a"\nlet a = 90%\n')

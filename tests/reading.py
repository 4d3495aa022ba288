"""What tests of the language share: a small sound recipe to change, and findings in short form."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from recipelang.loading.read import check_all
from recipelang.source import Diagnostics, Source
from recipelang.spec.params import Given
from recipelang.spec.recipe import Checked, Recipe
from recipelang.syntax import Parsed, parse

CASES = Path(__file__).parent / "cases"
LIBRARY = Path(__file__).parents[1] / "recipes"

#: texts of every recipe of the library and of every sample of the language's design
TEXTS = {p.stem: p.read_text("utf-8") for d in (LIBRARY, CASES / "language") for p in sorted(d.rglob("*.recipe"))}

SOUND = """recipe 1 "sound"

param target: ratio in 50%..99% = 90%
param length: epochs = 30 epochs
let warm = 2 epochs

model { base = "hf://owner/model", task = question_answering }
data { source = "hf://owner/data" }

stage gradual {
  length        = length
  batch         = 16
  learning_rate = linear(8e-5 -> 8e-6, over = start..end, rewind = 2 epochs)

  prune weights {
    targets  = @linear & @encoder
    never    = @embeddings | @head
    method   = magnitude(scope = uniform)
    sparsity = cubic(70% -> target, over = start + warm .. end - warm, updates = 10 per epoch)
  }

  distill { teacher = "hf://owner/teacher", hardness = 100%, temperature = 5.5 }
}

evaluate dev { metrics = [f1, exact_match] }

require warm >= 1 epoch, "leave room"
expect sparsity(@linear & @encoder) == target ± 0.1%
prefer dev.f1 >= 87%
"""


def files_of(text: str, folder: Path) -> Path:
    """Writes a text, in which a line `# NAME.recipe` begins another file; the path of the first, `a.recipe`."""
    text, *others = re.split(r"^# (\S+\.recipe)\n", text + "\n", flags=re.M)
    for name, other in zip(["a.recipe", *others[::2]], [text, *others[1::2]], strict=True):
        (folder / name).write_text(other, "utf-8")
    return folder / "a.recipe"


def sound(*changes: tuple[str, str], add: str = "") -> str:
    """`SOUND` with every `(old, new)` applied; an old text that is not there is a mistake of the test."""
    text = SOUND
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return text + add


def parsed(text: str) -> tuple[Parsed, Diagnostics]:
    found = Diagnostics()
    return parse(Source("a.recipe", text), found), found


def checked(text: str, **given: str) -> Checked:
    return check_all(Source("a.recipe", text), {n: Given(v, f"-p {n}") for n, v in given.items()})


@cache
def found_in(name: str) -> Checked:
    """What a check of a text of `TEXTS` finds, once for all that choose by it."""
    return checked(TEXTS[name])


def recipe_of(text: str, **given: str) -> Recipe:
    result = checked(text, **given)
    assert [f"{d.code} {d.message}" for d in result.diagnostics] == []
    assert result.recipe is not None
    return result.recipe


def codes(text: str, **given: str) -> list[str]:
    return [d.code for d in checked(text, **given).diagnostics.sorted()]


def at_lines(found: Diagnostics) -> list[tuple[int, str]]:
    """`(line, code)` in reading order."""
    return [(d.primary.source.position(d.primary.span.start)[0] if d.primary else 0, d.code) for d in found.sorted()]


def value_of(expression: str, before: str = "") -> tuple[object, list[str]]:
    """An expression's value as a `let` of a sound recipe, and the codes found."""
    result = checked(sound(add=f"{before}\nlet it = {expression}\n"))
    found = [d.code for d in result.diagnostics.sorted()]
    return (result.recipe.evaluator._values["it"] if result.recipe else None), found

"""Every production of the grammar has an example in `grammar/README.md`, and the example uses it."""

import re
from pathlib import Path

import pytest

from recipelang.source import Diagnostics, Source
from recipelang.syntax.parser import parse_tokens
from recipelang.syntax.tokens import tokenise

FOLDER = Path(__file__).parents[3] / "grammar"
RULES = re.sub(r"//.*", "", (FOLDER / "recipe.lark").read_text("utf-8").partition("%declare")[0])
PRODUCTIONS = re.findall(r"^\??([a-z_]+):", RULES, re.M) + re.findall(r"(?<!\")->\s*([a-z_]+)", RULES)
BLOCK = re.search(r"## Every production.*?```\n(.*?)```", (FOLDER / "README.md").read_text("utf-8"), re.S)[1]
STATEMENTS, VALUES = (dict(re.findall(r"^(\w+)\s{2,}(.+)$", part, re.M)) for part in BLOCK.split("\n\n"))
#: these leave no node of their own: each stands for the one that was chosen
TRANSPARENT = {"stmt", "line", "expr", "unary", "quantity", "primary", "arg"}


def tree(text: str):
    source, found = Source("example", text), Diagnostics()
    return parse_tokens(source, tokenise(source, found), found), found


def test_the_list_names_every_production_and_no_other():
    assert sorted({*STATEMENTS, *VALUES}) == sorted(set(PRODUCTIONS))


@pytest.mark.parametrize("name", [*STATEMENTS, *VALUES])
def test_example_of_a_production_uses_it(name):
    if name in ("start", "header"):
        text = STATEMENTS[name]
    else:
        text = "recipe 1\n" + (STATEMENTS[name] if name in STATEMENTS else "value = " + VALUES[name])
    found_tree, found = tree(text)
    assert [d.code for d in found] == (["E001"] if name == "error_stmt" else [])
    assert name in TRANSPARENT or next(found_tree.find_data(name), None) is not None

"""Recipes made of more than they may be: one coded error, little time, little memory."""

import re

import pytest

from tests.limits.server import assert_bounded
from tests.reading import SOUND

HEAD = 'recipe 1 "x"\n'


def uses(n: int) -> str:
    return "".join(f'use "./l{i}.recipe" as l{i}\n' for i in range(n))


def libraries(n: int, content: str) -> dict[str, str]:
    return {f"l{i}": HEAD + content for i in range(n)}


#: the files of each, the first of them `a`, and the code that it must end in
ATTACKS = {
    "twenty recipes on top of each other": (
        {f"{'a' if not i else f'b{i}'}": f'{HEAD}extends "./b{i + 1}.recipe"\n' for i in range(20)},
        "E041",
    ),
    "libraries that use each other twice, twice": (
        {"a": SOUND + 'use "./l0.recipe" as x\n'}
        | {f"l{i}": HEAD + "".join(f'use "./l{i + 1}.recipe" as {n}\n' for n in "xy") for i in range(7)}
        | {"l7": f"{HEAD}let a = 1\n"},
        "E042",
    ),
    "more than 32 files": ({"a": SOUND + uses(40), **libraries(40, "let a = 1\n")}, "E042"),
    "more than 1 MiB": ({"a": SOUND + uses(20), **libraries(20, "#" * 60_000 + "\n")}, "E042"),
    # 60,000 definitions take minutes to join, each file being within its limits
    "thirty full libraries": (
        {"a": SOUND + uses(30), **libraries(30, "".join(f"let a{i}=1\n" for i in range(1990)))},
        "E042",
    ),
    "libraries full of tokens": ({"a": SOUND + uses(15), **libraries(15, f"let a = [{'1,' * 9_000}]\n")}, "E042"),
    "a base that is itself": ({"a": f'{HEAD}extends "./a.recipe"\n'}, "E040"),
    "doubling across files": (
        {"a": SOUND + 'use "./l0.recipe" as l\nlet it = l.a40\n'}
        | libraries(1, "let a0 = 1\n" + "".join(f"let a{i + 1} = [a{i}, a{i}]\n" for i in range(40))),
        "E043",
    ),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("files")


@pytest.mark.parametrize("name", ATTACKS)
def test_recipe_of_too_much_ends_in_its_code_within_its_bounds(name, folder, command):
    files, code = ATTACKS[name]
    for old in folder.glob("*.recipe"):
        old.unlink()
    for file, content in files.items():
        (folder / f"{file}.recipe").write_text(content, "utf-8")
    ended = command("validate", "a.recipe")
    assert re.findall(r"^error\[(\w+)\]", ended.err, re.M) == [code]
    assert_bounded(ended)


@pytest.mark.parametrize("by", ["overlay", "params"])
def test_file_laid_over_is_bounded_too(by, folder, command):
    (folder / "a.recipe").write_text(SOUND, "utf-8")
    (folder / "over.recipe").write_text(HEAD + "".join(f"set a{i}=1\n" for i in range(2100)), "utf-8")
    ended = command("validate", "a.recipe", f"--{by}", "over.recipe")
    assert re.findall(r"^error\[(\w+)\]", ended.err, re.M) == ["E042"]
    assert_bounded(ended)


def test_what_is_just_within_is_read(folder, command):
    for i in range(10):
        (folder / f"l{i}.recipe").write_text(HEAD + "".join(f"let a{j}=1\n" for j in range(190)), "utf-8")
    (folder / "a.recipe").write_text(SOUND + uses(10), "utf-8")
    ended = command("validate", "a.recipe")
    assert (ended.status, ended.err) == (0, "")

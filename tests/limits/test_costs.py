"""What a few lines can ask for: near names, studies, alignment. Each in a process of its own, with a coded answer."""

import re

import pytest

from tests.limits.attacks import PIECES, filled
from tests.limits.server import assert_bounded
from tests.reading import sound

FORMATTED = ["..", "# x\n", "stage a { ", "1..(1+"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("costs")
    parameters = "".join(f"param p{i}: int = 1\n" for i in range(10))
    (folder / "b.recipe").write_text(sound(add=parameters), "utf-8")
    return folder


def codes(ended):
    return re.findall(r"^(?:error|warning)\[(\w+)\]", ended.err, re.M)


# ------------------------------------------------------------------------ near names
def parameters(n: int, letters: int) -> list[str]:
    return [f"p{i:04d}" + "abcdefghij" * (letters // 10) for i in range(n)]


NEAR = {
    "one name of 30,000 letters": ["n" * 30_000],
    "names just short enough to be compared": parameters(700, 70),
    "many short names": parameters(1_900, 0),
}


@pytest.mark.parametrize("name", NEAR)
def test_unknown_names_near_to_known_ones(name, folder, command):
    known = NEAR[name]
    uses = "".join(f"  a{i} = {word[:-1]}x\n" for i, word in enumerate(known[:90]))
    text = sound(add="".join(f"param {word}: int = 1\n" for word in known) + f"meta {{\n{uses}}}\n")
    (folder / "near.recipe").write_text(text, "utf-8")
    ended = command("validate", "near.recipe")
    assert set(codes(ended)) - {"E042"} <= {"E022", "E051"}
    assert_bounded(ended)


# --------------------------------------------------------------------------- studies
def arms(n: int, made_of) -> str:
    return "".join(f"arm a{i} {{ arms = [{', '.join(f'a{j}' for j in made_of(i) if j < n)}] }}\n" for i in range(n))


def vary(names: int, values: int) -> str:
    listed = ", ".join(map(str, range(1, values + 1)))
    return "vary {\n" + "".join(f"p{i} = [{listed}]\n" for i in range(names)) + "}\n"


STUDIES = {
    "a chain of arms": (arms(900, lambda i: [i + 1]), "E101"),
    "arms that fork": (arms(62, lambda i: [i + 1, i + 2]), "E101"),
    "arms of all others": (arms(60, lambda i: range(i + 1, 60)), "E101"),
    "arms in a circle": (arms(900, lambda i: [(i + 1) % 900]), "E101"),
    "20 to the power of 10": (vary(10, 20), "E101"),
    "2 to the power of 900": (vary(900, 2), "E101"),
    "9,000 values": (vary(1, 9_000), "E101"),
    "9,000 equal values": (f"vary {{ p0 = [{'1, ' * 9_000}] }}\n", "E012"),
    "seeds without number": ("", "E101"),
}


@pytest.mark.parametrize("name", STUDIES)
@pytest.mark.parametrize("arguments", [("validate",), ("study", "--plan")], ids=" ".join)
def test_study_is_counted_before_it_is_made(name, arguments, folder, command):
    text, code = STUDIES[name]
    seeds = f", seeds = [{', '.join(map(str, range(5_000)))}]" if name == "seeds without number" else ""
    (folder / "s.recipe").write_text(f'recipe 1 "s"\nstudy {{ of = "./b.recipe"{seeds} }}\n{text}', "utf-8")
    first, *more = arguments
    ended = command(first, "s.recipe", *more)
    assert codes(ended) == [code]
    assert_bounded(ended)


def test_study_just_within_is_checked_in_part(folder, command):
    (folder / "s.recipe").write_text(f'recipe 1 "s"\nstudy {{ of = "./b.recipe" }}\n{vary(3, 10)}', "utf-8")
    ended = command("validate", "s.recipe")
    assert codes(ended) == ["W160"]
    assert_bounded(ended, status=0)


# --------------------------------------------------------------------------- formatting
LONG = {
    "a long name among short ones": "meta {\n" + "b" * 400 + " = 1\n" + "".join(f"a{i} = 1\n" for i in range(180)) + "}\n",
    "a long line with a comment": f'let a = "{"x" * 3_000}" # x\n' + "".join(f"let b{i} = 1 # x\n" for i in range(500)),
}  # fmt: skip


@pytest.mark.parametrize("name", LONG)
def test_recipe_is_formatted_however_long_a_line_is(name, folder, command):
    (folder / "long.recipe").write_text('recipe 1 "x"\n' + LONG[name], "utf-8")
    assert_bounded(command("fmt", "long.recipe"), status=0)
    assert_bounded(command("fmt", "--check", "long.recipe"), status=0)


@pytest.mark.parametrize("levels", [1, 60])
def test_nested_recipe_is_formatted_or_told_to_grow_too_large(levels, folder, command):
    text = 'recipe 1 "x"\n' + "a {\n" * levels + "b = 1\n" * 1_000 + "}\n" * levels
    (folder / "deep.recipe").write_text(text, "utf-8")
    ended = command("fmt", "deep.recipe")
    assert codes(ended) == (["E042"] if levels == 60 else [])
    assert_bounded(ended, status=int(levels == 60))


@pytest.mark.parametrize("piece", FORMATTED)
def test_text_full_of_one_thing_is_formatted_in_time(piece, folder, command):
    assert piece in (*PIECES, "1..(1+")
    (folder / "piece.recipe").write_text(filled(piece)[:-10], "utf-8")
    ended = command("fmt", "--check", "piece.recipe")
    assert ended.status in (0, 1, 4)
    assert_bounded(ended, status=ended.status)


# --------------------------------------------------------------------------- settings, recipes of other tools
SETTINGS = {
    "a key of 30,000 parts": "[lint]\n" + ".".join(["a"] * 30_000) + " = 1\n",
    "tables in tables": "".join(f"[{'.'.join(['a'] * 16)}.b{i}]\n" for i in range(1_000)),
    "lists in lists": "a = " + "[" * 30_000 + "\n",
    "one long word": "a" * 60_000 + " = 1\n",
    "a number of 60,000 digits": "a = " + "9" * 60_000 + "\n",
    "a day that does not exist": "a = 2025-02-30\n",
}


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_end_in_their_code(name, tmp_path_factory, command_in):
    folder = tmp_path_factory.mktemp("settings")
    (folder / "a.recipe").write_text(sound(), "utf-8")
    (folder / "recipelang.toml").write_text(SETTINGS[name], "utf-8")
    ended = command_in(folder, "lint", "a.recipe")
    assert codes(ended) == ["E095"]
    assert_bounded(ended)


YAML = {
    "formulas on each other": "v0: 1\n" + "".join(f"v{i}: eval(v{i - 1} + 1)\n" for i in range(1, 1_500)),
    "formulas that double": "v0: 1\n" + "".join(f"v{i}: eval(v{i - 1} + v{i - 1})\n" for i in range(1, 1_300)),
    "aliases of aliases": "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{f'*a{i - 1}, ' * 9}]\n" for i in range(1, 12)),
    "patterns for a very deep model": "modifiers:\n  - !GMPruningModifier\n    params: ["
    + ", ".join(f"'re:bert.encoder.layer.{i}.x'" for i in range(200))
    + "]\n    init_sparsity: 0.1\n    final_sparsity: 0.9\n    start_epoch: 0\n    end_epoch: 2\n    update_frequency: 1\n",
    "very many modifiers": "modifiers:\n"
    + "".join(f"  - !SetWeightDecayModifier {{start_epoch: {i}, weight_decay: 0}}\n" for i in range(1_000)),
}


@pytest.mark.parametrize("name", YAML)
def test_recipe_of_another_tool_is_refused_in_time(name, folder, command):
    (folder / "old.yaml").write_text(YAML[name], "utf-8")
    assert_bounded(command("migrate", "old.yaml"))

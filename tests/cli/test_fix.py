"""`recipelang validate --fix`: what is plainly meant is written, the rest is said, and a file is never half."""

import os
from pathlib import Path

import pytest

from recipelang.cli.mend import ROUNDS, mend
from recipelang.loading.read import check_all
from recipelang.source import Diagnostic, Diagnostics, Edit, Fix, Label, Source, Span
from recipelang.spec.recipe import Checked
from recipelang.syntax import parse

from .command import ROOT, command

SLIPS = (
    ("hardness = 80%", "hardness = 80 %"),
    ("temperature = 2 }", "temperatur = 2 }"),
    ('base = "model"', "base = 'model'"),
)


@pytest.fixture
def slips(text: str, here: Path) -> str:
    """`slips.recipe`: the sound recipe with three mistakes whose fixes are safe. Gives its text."""
    for good, bad in SLIPS:
        assert good in text
        text = text.replace(good, bad)
    Path("slips.recipe").write_text(text, "utf-8")
    return text


def test_safe_fixes_are_written_and_told_and_nothing_is_left(slips, text):
    ended = command("validate", "--fix", "slips.recipe")
    assert ended.code == 0
    assert Path("slips.recipe").read_text("utf-8") == text
    lines = ended.err.splitlines()
    assert len(lines) == 4
    assert lines[-1] == "fixed 3 findings in slips.recipe"
    assert lines[0] == "slips.recipe:8:16: use double quotes (E002)"
    assert ended.out.startswith("slips.recipe: ok (tiny: ")


def test_without_the_option_nothing_is_written(slips):
    assert command("validate", "slips.recipe").code == 1
    assert Path("slips.recipe").read_text("utf-8") == slips


def test_what_cannot_be_fixed_is_left_and_decides_the_exit_code(slips):
    Path("slips.recipe").write_text(slips.replace("micro_batch = micro", "micro_batch = 0"), "utf-8")
    ended = command("validate", "--fix", "slips.recipe")
    assert (ended.code, ended.codes) == (1, ["E038"])
    assert "fixed 3 findings in slips.recipe" in ended.err
    assert command("validate", "--fix", "slips.recipe").err.count("fixed") == 0


def test_guesses_are_made_only_when_asked_for(here, text):
    headless = text.partition("\n")[2]
    Path("a.recipe").write_text(headless, "utf-8")
    assert command("validate", "--fix", "a.recipe").codes == ["E010"]
    assert Path("a.recipe").read_text("utf-8") == headless
    ended = command("validate", "--unsafe-fixes", "a.recipe")
    assert ended.code == 0
    assert Path("a.recipe").read_text("utf-8") == headless.replace("param", 'recipe 1 "unnamed"\n\nparam', 1)


def test_fixes_that_uncover_others_are_followed(here, text):
    # the colon is told only when the string in single quotes on its line has been mended
    Path("a.recipe").write_text(text.replace('model { base = "model"', "model: { base = 'model'"), "utf-8")
    ended = command("validate", "--fix", "a.recipe")
    assert (ended.code, ended.err.splitlines()[-1]) == (0, "fixed 2 findings in a.recipe")
    assert Path("a.recipe").read_text("utf-8") == text


def test_standard_input_goes_to_standard_output_alone(slips, text):
    ended = command("validate", "--fix", "-", stdin=slips.encode())
    assert (ended.code, ended.out) == (0, text)
    assert "fixed 3 findings in <stdin>\n<stdin>: ok" in ended.err
    ended = command("validate", "--fix", "--format", "json", "-", stdin=b'recipe 1 "a"\n')
    assert (ended.code, ended.out) == (1, 'recipe 1 "a"\n')
    assert '"valid": false' in ended.err


def test_document_of_what_is_left_stays_alone_on_standard_output(slips):
    ended = command("validate", "--fix", "--format", "github", "slips.recipe")
    assert (ended.code, ended.out) == (0, "")
    assert "fixed 3 findings in slips.recipe" in ended.err


def test_line_ends_rights_and_links_stay(slips, text):
    crlf = "# ±\r\n" + slips.replace("\n", "\r\n").replace("  batch = 8\r\n", "  batch = 8 ", 1)
    Path("slips.recipe").write_bytes(crlf.encode())
    Path("slips.recipe").chmod(0o640)
    Path("link.recipe").symlink_to("slips.recipe")
    ended = command("validate", "--unsafe-fixes", "link.recipe")
    assert (ended.code, ended.codes) == (0, [])
    data = Path("slips.recipe").read_bytes()
    assert data.count(b"\n") == data.count(b"\r\n") == crlf.count("\r\n")
    assert Path("link.recipe").is_symlink()
    assert Path("slips.recipe").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("fails", ["os.fsync", "os.replace", "os.chmod"])
def test_a_write_that_fails_leaves_the_file_and_no_other(slips, monkeypatch, fails):
    before = sorted(os.listdir())

    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(fails, full)
        ended = command("validate", "--fix", "slips.recipe")
    assert (ended.code, ended.codes) == (1, ["E084"])
    assert "copy it to another folder" in ended.err
    assert "fixed" not in ended.err
    assert Path("slips.recipe").read_text("utf-8") == slips
    assert sorted(os.listdir()) == before


def test_a_read_only_file_is_not_replaced(slips, monkeypatch):
    access = os.access
    monkeypatch.setattr("os.access", lambda path, mode: mode != os.W_OK and access(path, mode))
    ended = command("validate", "--fix", "slips.recipe")
    assert (ended.code, ended.codes) == (1, ["E084"])
    assert "permission is denied" in ended.err
    assert Path("slips.recipe").read_text("utf-8") == slips


def test_a_file_without_anything_to_fix_is_not_touched(here):
    before = Path("tiny.recipe").stat()
    assert command("validate", "--fix", "tiny.recipe").code == 0
    after = Path("tiny.recipe").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_value_of_an_option_is_no_place_in_the_file(here, text):
    ended = command("validate", "--fix", "tiny.recipe", "-p", "target=60")
    assert (ended.code, ended.codes) == (1, ["E038"])
    assert Path("tiny.recipe").read_text("utf-8") == text


# ------------------------------------------------------------------- the rounds
def suggesting(*fixes: Fix):
    """A check that finds, in any text, a mistake that each of these fixes would mend."""

    def check(source: Source) -> Checked:
        found = Diagnostics()
        for i, fix in enumerate(fixes):
            found.add(Diagnostic("E001", f"no {i}", Label(source, fix.edits[0].span), fixes=(fix,)))
        return Checked(parse(source, Diagnostics()), None, found)

    return check


def writes(start: int, end: int, text: str) -> Fix:
    return Fix(f"write `{text}`", (Edit(Span(start, end), text),))


@pytest.mark.parametrize("line", ["parm seed: int = 2", "lt seed = 3", "praam goal: ratio = 80%"])
def test_a_fix_writes_no_second_definition(line):
    text = f'recipe 1 "a"\nparam seed: int = 1\nlet goal = 90%\n{line}\n'
    assert mend(Source("a", text), lambda source: check_all(source, {}), {"safe", "unsafe"}).source.text == text


GOOD = 'recipe 1 "a"\nseed = 1\n'


def test_a_fix_that_breaks_the_text_is_not_made_and_the_others_are():
    at = GOOD.index("1\n")
    breaks, mends = writes(at - 2, at - 1, "]"), writes(at, at + 1, "2")
    assert mend(Source("a", GOOD), suggesting(breaks), {"safe"}).source.text == GOOD
    mended = mend(Source("a", GOOD), suggesting(breaks, mends), {"safe"})
    assert mended.source.text == GOOD.replace("= 1", "= 2")


def test_fixes_that_never_end_are_stopped():
    grows = writes(0, 0, "# x\n")
    assert mend(Source("a", GOOD), suggesting(grows), {"safe"}).source.text.count("# x") == ROUNDS


def test_fixes_that_undo_each_other_are_stopped():
    def check(source: Source) -> Checked:
        at = source.text.index("seed = ") + 7
        return suggesting(writes(at, at + 1, "2" if source.text[at] == "1" else "1"))(source)

    assert len(mend(Source("a", GOOD), check, {"safe"}).made) == 1


def test_mending_a_sound_recipe_changes_nothing(text):
    mended = mend(Source("a", text), lambda source: check_all(source, {}), {"safe", "unsafe"})
    assert (mended.source.text, mended.made) == (text, [])


@pytest.mark.parametrize(
    "path", sorted((ROOT / "tests" / "cases" / "diagnostics").glob("*.case")), ids=lambda p: p.stem
)
@pytest.mark.parametrize("allowed", [{"safe"}, {"safe", "unsafe"}], ids=["safe", "unsafe"])
def test_mending_any_recipe_ends_and_leaves_nothing_to_mend(path, allowed):
    def check(source: Source) -> Checked:
        return check_all(source, {})

    text = path.read_text("utf-8").partition("\n-----\n")[0]
    mended = mend(Source("a", text), check, allowed)
    assert mend(mended.source, check, allowed).made == []


@pytest.mark.parametrize(
    ("passage", "safely", "boldly"),
    [
        ("stage x { length: 3 steps }", "stage x { length = 3 steps }", None),
        ("stage x { batch 16 }", "stage x { batch = 16 }", None),
        ("ensure 3 > 2", "ensure 3 > 2", "ensure = 3 > 2"),
        ('data: { train = "x" }', 'data { train = "x" }', None),
        ("stage x { length = 1 epoch batch = 2 }", "stage x { length = 1 epoch, batch = 2 }", None),
        (
            "stage x { length = 3 width = 4 }",
            "stage x { length = 3 width = 4 }",
            "stage x { length = 3, width = 4 }",
        ),
        ("let x = 3 seed = 4", "let x = 3 seed = 4", "let x = 3 \nseed = 4"),
        ("let x = 90 %", "let x = 90%", None),
        ("let x = 'a'", 'let x = "a"', None),
        (r"let x = 'a\b'", r"let x = 'a\b'", None),
        ("reqire 3 > 2", "require 3 > 2", None),
        ("seed = 1 # \u202e", "seed = 1 # ", None),
        ("seed\x0c= 1", "seed\x0c= 1", "seed= 1"),
        ("optimzr = adam", "optimzr = adam", None),
    ],
)
def test_what_is_plainly_meant_and_what_is_a_guess(passage, safely, boldly):
    def mended(allowed: set[str]) -> str:
        found = mend(Source("a", f'recipe 1 "a"\n{passage}\n'), lambda s: check_all(s, {}), allowed)
        return found.source.text.partition("\n")[2].removesuffix("\n")

    assert mended({"safe"}) == safely
    if boldly:
        assert mended({"safe", "unsafe"}) == boldly


def test_other_files_of_a_recipe_are_mended_only_when_they_are_named(here, text):
    slip = text.replace("hardness = 80%", "hardness = 80 %")
    Path("base.recipe").write_text(slip, "utf-8")
    Path("child.recipe").write_text("recipe 1 'child'\nextends 'base.recipe'\n", "utf-8")
    ended = command("validate", "--fix", "child.recipe")
    assert (ended.code, ended.codes) == (1, ["E002"])
    assert Path("child.recipe").read_text("utf-8") == 'recipe 1 "child"\nextends "base.recipe"\n'
    assert Path("base.recipe").read_text("utf-8") == slip
    assert command("validate", "--fix", "base.recipe", "child.recipe").code == 0
    assert Path("base.recipe").read_text("utf-8") == text

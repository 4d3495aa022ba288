"""`recipelang migrate`: one file or a folder, three reports, exit codes, nothing overwritten by accident."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .command import command, files

WHOLE = """\
modifiers:
  - !EpochRangeModifier {start_epoch: 0, end_epoch: 4}
  - !GMPruningModifier
    params: __ALL_PRUNABLE__
    init_sparsity: 0.1
    final_sparsity: 0.5
    start_epoch: 0
    end_epoch: 2
    update_frequency: 0.5
"""
PARTLY = WHOLE + "  - !QuantizationModifier {start_epoch: 3}\n"
TOLD = WHOLE + "    log_types: __ALL__\n"
REFUSED = "x_stage: {q_modifiers: {QuantizationModifier: {scheme: FP8}}}\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, text in (("whole.yaml", WHOLE), ("deep/partly.yml", PARTLY), ("deep/refused.yaml", REFUSED)):
        path = tmp_path / "old" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return tmp_path


def test_one_file_goes_to_standard_output_and_validates() -> None:
    ended = command("migrate", "old/whole.yaml")
    assert ended.code == 0 and ended.out.startswith('recipe 1 "whole"')
    assert "whole (2 carried)" in ended.err and "parameters without a value: `base`" in ended.err
    assert "the newest loader accepts it" in ended.err
    assert command("validate", "-", stdin=ended.out.encode()).code == 0
    assert command("fmt", "--check", "-", stdin=ended.out.encode()).code == 0


def test_standard_input() -> None:
    ended = command("migrate", "-", stdin=WHOLE.encode())
    assert ended.code == 0 and ended.out.startswith('recipe 1 "stdin"')


@pytest.mark.parametrize(("text", "code", "strict"), [(WHOLE, 0, 0), (TOLD, 0, 1), (PARTLY, 1, 1), (REFUSED, 1, 1)])
def test_exit_codes(text: str, code: int, strict: int) -> None:
    assert command("migrate", "-", stdin=text.encode()).code == code
    assert command("migrate", "-", "--strict-exit", stdin=text.encode()).code == strict


def test_a_refused_file_writes_nothing(here: Path) -> None:
    ended = command("migrate", "old/deep/refused.yaml", "-o", "new.recipe")
    assert ended.code == 1 and ended.codes == ["E112", "E111"] and ended.out == ""
    assert not (here / "new.recipe").exists()


def test_a_folder_is_written_as_it_lies(here: Path) -> None:
    ended = command("migrate", "old", "-o", "new")
    assert ended.code == 1
    assert files(here / "new") == {"whole.recipe", "deep/partly.recipe"}
    assert ended.out.splitlines()[-1] == "3 files: 1 whole, 1 partly, 1 refused"


def test_nothing_is_overwritten_unasked(here: Path) -> None:
    (here / "new").mkdir()
    (here / "new/whole.recipe").write_text("mine")
    ended = command("migrate", "old", "-o", "new")
    assert ended.code == 1 and ended.codes == ["E085"]
    assert files(here / "new") == {"whole.recipe"} and (here / "new/whole.recipe").read_text() == "mine"
    command("migrate", "old", "-o", "new", "--overwrite")
    assert (here / "new/whole.recipe").read_text().startswith("recipe 1")


def test_two_files_of_one_name(here: Path) -> None:
    (here / "old/whole.yml").write_text(WHOLE)
    ended = command("migrate", "old", "-o", "new")
    assert ended.codes == ["E085"] and not (here / "new").exists()


def test_json() -> None:
    ended = command("migrate", "old", "--format", "json")
    read = json.loads(ended.out)
    partly, refused, whole = read["files"]
    assert (partly["outcome"], refused["outcome"], whole["outcome"]) == ("partly", "refused", "whole")
    assert partly["modifiers"][-1] == {"name": "QuantizationModifier", "line": 10, "outcome": "lost"}
    assert [d["code"] for d in refused["diagnostics"]] == ["E112", "E111"]
    assert whole["loader"] == {"accepts": True, "why": None}


def test_markdown() -> None:
    out = command("migrate", "old", "--format", "markdown").out
    assert "| old/deep/partly.yml | partly | 3 | 2 | 0 | 1 | E112 |" in out
    assert "- line 10: error E112, " in out and "`QuantizationModifier`" in out


def test_a_file_that_cannot_be_read_does_not_stop_the_others(here: Path) -> None:
    (here / "old/bad.yaml").write_bytes(b"\xff\xfe")
    ended = command("migrate", "old")
    assert "old/bad.yaml" in ended.out and "4 files: 1 whole, 1 partly, 2 refused" in ended.out


def test_a_folder_without_recipes(here: Path) -> None:
    (here / "empty").mkdir()
    assert command("migrate", "empty").codes == ["E046"]


def test_completion_offers_old_recipes() -> None:
    from recipelang.cli.complete import old_recipes

    assert old_recipes("old/") == ["old/whole.yaml", "old/deep/partly.yml", "old/deep/refused.yaml"]


@pytest.mark.parametrize("text", ["modifiers:\n  - !GMPruningModifier {params: [a}\n", "a: &a [*a]\nmodifiers: []\n"])
def test_a_file_that_is_not_read_is_not_said_to_hold_nothing(here: Path, text: str) -> None:
    (here / "old.yaml").write_text(text, "utf-8")
    ended = command("migrate", "old.yaml")
    assert ended.code == 1 and ended.err.splitlines()[-1] == "old.yaml: refused"

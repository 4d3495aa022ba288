"""What stands in `docs/migration.md` is what the commands give."""

from __future__ import annotations

import re
from pathlib import Path

from recipelang.migrate import to_llm_compressor
from recipelang.migrate.migrate import migrate
from recipelang.source import Source
from recipelang.spec.check import check
from tests.cli.command import ROOT, command

PAGE = (ROOT / "docs" / "migration.md").read_text("utf-8")
OLD, YAML = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.M | re.S)
NEW, ONE_SHOT = re.findall(r"^```recipe\n(.*?)^```", PAGE, re.M | re.S)


def test_the_recipe_and_its_report(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bert.yaml").write_text(OLD, "utf-8")
    ended = command("migrate", "bert.yaml")
    assert (ended.code, ended.out) == (1, NEW)
    assert ended.err[ended.err.index("error[E112]") :] in PAGE


def test_compat_is_one_line_more() -> None:
    done = migrate(Source("bert.yaml", OLD), "compat")
    assert done.text is not None
    more = set(done.text.splitlines()) - set(NEW.splitlines())
    assert {line for line in more if "origin" not in line} == {"  compat        = sparseml_1"}
    assert "  compat        = sparseml_1" in PAGE


def test_the_recipe_for_llm_compressor() -> None:
    checked = check(Source("one.recipe", ONE_SHOT), complete=True)
    assert checked.recipe is not None
    assert to_llm_compressor.convert(checked.recipe, Path()) == YAML

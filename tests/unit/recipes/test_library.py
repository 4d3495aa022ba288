"""Every recipe of the library is sound."""

from pathlib import Path

import pytest

from recipelang.cli.read import read_source
from recipelang.cli.validate import check_all

RECIPES = sorted((Path(__file__).parents[3] / "recipes").rglob("*.recipe"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_recipe_has_no_findings(path):
    checked = check_all(read_source(str(path)), {})
    assert [f"{d.code} {d.message}" for d in checked.diagnostics] == []
    assert checked.recipe is not None

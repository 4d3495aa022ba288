"""`make quick` runs what is there, and something of every room."""

import re
from pathlib import Path

from tests.quick import FILES

ROOT = Path(__file__).parents[2]
ROOMS = sorted(p.parent.name for p in (ROOT / "recipelang").glob("*/__init__.py"))
#: they stand on the others: what is quick to test of them is tested there
ABOVE = {"api", "loops"}


def test_every_file_that_is_listed_is_there_and_holds_its_test():
    for entry in FILES:
        path, _, test = entry.partition("::")
        assert f"def {test.partition('[')[0] or 'test_'}" in (ROOT / path).read_text("utf-8"), entry


def test_every_room_is_looked_at():
    texts = "".join((ROOT / entry.partition("::")[0]).read_text("utf-8") for entry in FILES)
    seen = set(re.findall(r"recipelang\.(\w+)", texts))
    assert [room for room in ROOMS if room not in seen | ABOVE] == []


def test_none_is_listed_twice():
    assert len(set(FILES)) == len(FILES)

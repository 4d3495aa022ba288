"""The grammar builds without conflicts, and the shipped tables are its own."""

from pathlib import Path

from recipelang.syntax import grammar


def test_grammar_builds_strictly_and_the_tables_are_up_to_date():
    built = grammar.serialise(grammar.build())
    shipped = Path(grammar.__file__).with_name(grammar.TABLES).read_text("utf-8")
    a, b = grammar._from_json(built), grammar._from_json(shipped)
    assert sorted(map(str, a["data"]["parser"]["parser"]["tokens"].values())) == sorted(
        map(str, b["data"]["parser"]["parser"]["tokens"].values())
    )
    assert sorted(repr(r["expansion"]) + repr(r["origin"]) for r in a["memo"].values() if "expansion" in r) == sorted(
        repr(r["expansion"]) + repr(r["origin"]) for r in b["memo"].values() if "expansion" in r
    )

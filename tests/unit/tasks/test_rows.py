"""Rows that are kept as Arrow come back as they were, and examples are made when they are asked for."""

from __future__ import annotations

import json
import math

import pytest

from recipelang.source import RecipeError
from recipelang.storage import pages
from recipelang.tasks import hub, records, regression, rows, sequence_classification
from recipelang.tasks.rows import Made, Portions, chained, stored

PLAIN = [{"text": f"t{i}", "label": i, "score": i / 3, "good": i % 2 == 0, "words": ["a"] * (i % 3)} for i in range(23)]
ODD = {
    "null": lambda r: r | {"text": None},
    "another type": lambda r: r | {"label": "7"},
    "a whole number among fractions": lambda r: r | {"score": 1},
    "a truth among numbers": lambda r: r | {"label": True},
    "more than 64 bits": lambda r: r | {"label": 2**70},
    "half a character": lambda r: r | {"text": "\ud800"},
    "nan": lambda r: r | {"score": math.inf},
    "a key less": lambda r: {k: v for k, v in r.items() if k != "label"},
    "a key more": lambda r: r | {"more": 1},
    "another order": lambda r: dict(reversed(r.items())),
    "an object inside": lambda r: r | {"text": {"a": [1, {"b": None}]}},
    "lists of lists": lambda r: r | {"words": [["a"]]},
    "a null in a list": lambda r: r | {"words": ["a", None]},
    "several types in a list": lambda r: r | {"words": ["a", 1]},
    "no object": lambda r: "a string",
    "an empty object": lambda r: {},
}


@pytest.fixture(params=[3, 4, 23, 100])
def portion(request, monkeypatch):
    monkeypatch.setattr(rows, "PORTION", request.param)


def same(found, wanted) -> bool:
    """Types and the order of keys included."""
    return repr(list(found)) == repr(wanted)


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("at", [0, 5, 22])
def test_rows_come_back_as_they_were(portion, odd, at):
    given = [*PLAIN]
    given[at] = ODD[odd](given[at])
    found = stored(iter(given))
    assert len(found) == 23 and same(found, given)
    assert all(repr(found[i]) == repr(given[i]) for i in (0, 22, 5, 6, 4, -1, 0))
    assert repr(found[3:9]) == repr(given[3:9])
    with pytest.raises(IndexError):
        found[23]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 6, 7])
def test_any_number_of_rows(count, monkeypatch):
    monkeypatch.setattr(rows, "PORTION", 3)
    assert same(stored(PLAIN[:count]), PLAIN[:count])
    assert same(chained([stored(PLAIN[:count]), PLAIN[count:]]), PLAIN)


def test_rows_beyond_memory(monkeypatch):
    monkeypatch.setattr(rows, "PORTION", 3)
    monkeypatch.setattr(pages, "MOST", 10)
    assert same(stored(PLAIN), PLAIN)


def test_examples_are_made_when_they_are_asked_for(monkeypatch):
    made = []

    def make(i):
        made.append(i)
        return i * 10

    few = Made(make, range(5))
    assert made == [0, 1, 2, 3, 4] and list(few) == [0, 10, 20, 30, 40] and few[1:3][1] == 20 and len(made) == 5
    made.clear()
    monkeypatch.setattr(rows, "PORTION", 4)
    many = Made(make, range(5))
    assert made == [] and many[3] == 30 and len(many[1:4]) == 3 and made == [3]
    assert list(many[1:4]) == [10, 20, 30]


@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".tsv", ".parquet", ".arrow"])
@pytest.mark.parametrize("task", [sequence_classification, regression])
def test_examples_of_many_rows_are_those_of_few(tmp_path, ending, task, monkeypatch):
    import pyarrow
    from pyarrow import parquet

    given = [{"sentence": f"text {i}", "label": i % 3} for i in range(11)]
    path = tmp_path / f"d{ending}"
    match ending:
        case ".jsonl":
            path.write_text("".join(json.dumps(row) + "\n\n" for row in given), "utf-8")
        case ".csv" | ".tsv":
            lines = ["sentence,label", *(f"{r['sentence']},{r['label']}" for r in given)]
            path.write_text("\r\n".join(lines).replace(",", "\t" if ending == ".tsv" else ","), "utf-8")
        case ".parquet":
            parquet.write_table(pyarrow.Table.from_pylist(given), path)
        case _:
            table = pyarrow.Table.from_pylist(given)
            with pyarrow.ipc.new_file(str(path), table.schema) as writer:
                writer.write_table(table)
    few = list(task.TASK.open_split(str(path), "train"))
    monkeypatch.setattr(rows, "PORTION", 4)
    monkeypatch.setattr(records, "PORTION", 4)
    many = task.TASK.open_split(str(path), "train")
    assert list(many) == few and len(many) == len(given) and list(many[2:7]) == few[2:7]


def test_lines_are_named_in_many_rows_too(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "PORTION", 2)
    path = tmp_path / "a.jsonl"
    path.write_text('{"sentence": "a", "label": 0}\n' * 7 + "\n{nope\n", "utf-8")
    with pytest.raises(RecipeError) as caught:
        records.read_file(path)
    assert "line 9" in caught.value.diagnostics[0].notes[0]
    path.write_bytes(b'{"sentence": "a", "label": 0}\n' * 7 + b"\xff\n")
    with pytest.raises(RecipeError, match="UTF-8"):
        records.read_file(path)
    assert isinstance(Portions(3, lambda a, b: [1, 2, 3][a:b])[:2], list)


def test_rows_of_the_hub_come_a_portion_at_a_time(monkeypatch):
    import datasets

    features = {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])}
    features |= {"answers": {"text": datasets.List(datasets.Value("string"))}}
    given = [{"text": f"t{i}", "label": i % 2, "answers": {"text": ["a"] * (i % 3)}} for i in range(11)]
    loaded = datasets.Dataset.from_list(given, features=datasets.Features(features))
    few = hub._rows(loaded)
    for module in (rows, hub):
        monkeypatch.setattr(module, "PORTION", 4)
    many = hub._rows(loaded)
    assert isinstance(many, Portions) and same(many, few) and same(few, given) and many[10] == given[10]


@pytest.mark.parametrize("odd", ["null", *(o for o in ODD if o not in ("no object", "null"))])
def test_a_column_alone_is_what_rows_have_of_it(portion, odd):
    given = [*PLAIN]
    given[5] = ODD[odd](given[5])
    for found in (stored(iter(given)), given):
        for column in ("text", "label", "score", "good", "words", "more", "never"):
            assert repr(list(rows.values_of(found, column))) == repr([row.get(column) for row in given])
        assert list(rows.keys_of(found)) == list(dict.fromkeys(key for row in given for key in row))
        assert rows.strange_in(found) is None


@pytest.mark.parametrize("at", [0, 5, 22])
def test_the_first_row_that_is_no_object_is_found(portion, at):
    given = [*PLAIN]
    given[at] = "a string"
    assert rows.strange_in(stored(iter(given))) == rows.strange_in(given) == at


@pytest.mark.parametrize("values", [
    [1, 2, 3], [1, None], [1.5, math.inf], [True, False], [True, None], ["a", "", "ü"], ["a", None], [None, None],
    [["a"], [], None], [{"a": 1}, {"a": None}], [b"x"],
])  # fmt: skip
def test_lists_of_a_column_are_those_of_arrow(values):
    import pyarrow

    plain = pyarrow.array(values)
    several = pyarrow.chunked_array([plain, plain.slice(1)])
    assert repr(rows.listed(plain)) == repr(plain.to_pylist())
    assert repr(rows.listed(several)) == repr(several.to_pylist())
    for kind in (pyarrow.int8(), pyarrow.uint64(), pyarrow.float32(), pyarrow.float16()):
        column = pyarrow.array([1, 0, 3]).cast(kind, safe=False) if kind != pyarrow.float16() else None
        if column is not None:
            assert repr(rows.listed(column)) == repr(column.to_pylist())


def test_text_of_a_table_that_is_not_utf8_is_told_as_before(tmp_path, monkeypatch):
    import pyarrow

    broken = pyarrow.array([b"ok", b"\xff"] * 4).view(pyarrow.string())
    table = pyarrow.table({"sentence": broken, "label": [0, 1] * 4})
    assert not rows.is_plain(table) and rows.is_plain(table.drop_columns("sentence"))


@pytest.mark.parametrize("ending", [".parquet", ".arrow"])
def test_tables_in_batches_of_any_size_are_held_in_portions(portion, tmp_path, ending, monkeypatch):
    import pyarrow
    from pyarrow import parquet

    monkeypatch.setattr(records, "PORTION", rows.PORTION)
    monkeypatch.setattr(pages, "MOST", 10)
    given = [row | {"label": None if i == 7 else i} for i, row in enumerate(PLAIN)]
    table, path = pyarrow.Table.from_pylist(given), tmp_path / f"d{ending}"
    for size in (1, 5, 23):
        if ending == ".parquet":
            parquet.write_table(table, path, row_group_size=size)
        else:
            with pyarrow.ipc.new_file(str(path), table.schema) as writer:
                writer.write_table(table, max_chunksize=size)
        found = records.read_file(path).rows
        assert same(found, given) and len(found) == 23
        assert list(rows.values_of(found, "label")) == [row["label"] for row in given]

"""One file, a folder of them, or those of a pattern, compressed or not: the same records in the same order."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from recipelang.planning.contents import data_digest
from recipelang.source import RecipeError
from recipelang.storage import unpacking
from recipelang.storage.reading import Unreadable, Why
from recipelang.tasks import causal_lm, question_answering, records, shards, table
from recipelang.tasks.records import read_table
from recipelang.tasks.shards import ENDINGS, ending, files
from tests.conftest import make_data

ROWS = [{"sentence": 'a "fine" film', "label": "1"}, {"sentence": "so, so bad", "label": "0"}]


def written(folder: Path, of: str) -> Path:
    """Both records in a format."""
    path = folder / f"d{of}"
    match of:
        case ".json":
            path.write_text(json.dumps(ROWS), "utf-8")
        case ".jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), "utf-8")
        case ".csv":
            path.write_text(
                "sentence,label\n"
                + "".join('"{}",{}\n'.format(r["sentence"].replace('"', '""'), r["label"]) for r in ROWS),
                "utf-8",
            )
        case ".tsv" | ".txt":
            path.write_text("sentence\tlabel\n" + "".join("\t".join(r.values()) + "\n" for r in ROWS), "utf-8")
        case ".parquet":
            parquet.write_table(pyarrow.Table.from_pylist(ROWS), path)
        case ".arrow":
            table = pyarrow.Table.from_pylist(ROWS)
            with pyarrow.ipc.new_file(str(path), table.schema) as writer:
                writer.write_table(table)
    return path


def zstd(data: bytes) -> bytes:
    sink = pyarrow.BufferOutputStream()
    with pyarrow.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


PACK = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zst": zstd}


def named(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_text(json.dumps({"sentence": name, "label": 0}) + "\n", "utf-8")
    return folder


def refused(path: Path) -> tuple[str, str]:
    with pytest.raises(RecipeError) as caught:
        files(path)
    (found,) = caught.value.diagnostics
    return found.code, found.message


@pytest.mark.parametrize("compressed", PACK)
@pytest.mark.parametrize("of", ENDINGS)
def test_a_compressed_file_holds_the_same_records(tmp_path, of, compressed):
    plain = written(tmp_path, of)
    packed = tmp_path / f"packed{of}{compressed}"
    packed.write_bytes(PACK[compressed](plain.read_bytes()))
    assert ending(packed) == of
    assert list(read_table(str(packed), "train", None, None).rows) == ROWS


@pytest.mark.parametrize("compressed", PACK)
def test_several_streams_in_a_file_are_read_to_the_end(tmp_path, compressed):
    lines = [json.dumps(row).encode() + b"\n" for row in ROWS]
    path = tmp_path / f"a.jsonl{compressed}"
    path.write_bytes(b"".join(map(PACK[compressed], lines)))
    assert list(read_table(str(path), "train", None, None).rows) == ROWS


@pytest.mark.parametrize("compressed", PACK)
@pytest.mark.parametrize(
    "damage", [lambda d: d[:-9], lambda d: b"", lambda d: b"no " + d, lambda d: d[:9] + b"\xff" * 30]
)
def test_a_damaged_file_is_refused(tmp_path, compressed, damage):
    path = tmp_path / f"a.jsonl{compressed}"
    path.write_bytes(damage(PACK[compressed]((json.dumps(ROWS[0]) + "\n").encode() * 40)))
    with pytest.raises(RecipeError) as caught:
        read_table(str(path), "train", None, None)
    assert [d.code for d in caught.value.diagnostics] == ["E074"]


@pytest.mark.parametrize("compressed", PACK)
def test_no_more_is_unpacked_than_the_limit(tmp_path, compressed, monkeypatch):
    monkeypatch.setattr(unpacking, "_BESIDE", 1000)
    monkeypatch.setattr(unpacking, "_TIMES", 2)
    data = PACK[compressed](b"a" * 1_000_000)
    with pytest.raises(Unreadable) as caught:
        unpacking.unpack(Path(f"a{compressed}"), data)
    assert caught.value.why is Why.TOO_LARGE
    assert len(unpacking._unpacked(compressed, data, 5000)) == 5001


def test_an_xz_file_cannot_ask_for_any_memory(monkeypatch):
    monkeypatch.setattr(unpacking, "_XZ_MEMORY", 2**20)
    with pytest.raises(Unreadable) as caught:
        unpacking.unpack(Path("a.xz"), lzma.compress(b"a" * 100, preset=9))
    assert caught.value.why is Why.DAMAGED


def test_numbers_in_names_count_as_numbers(tmp_path):
    named(tmp_path / "d", *(f"part-{n}.jsonl" for n in range(12)), "_SUCCESS", ".hidden.jsonl", "README.md")
    found = [f"part-{n}.jsonl" for n in range(12)]
    assert [p.name for p in files(tmp_path / "d")] == found
    assert [p.name for p in files(tmp_path / "d/*.jsonl")] == found
    assert [p.name for p in files(tmp_path / "d/part-1?.jsonl")] == found[10:]
    rows = read_table(str(tmp_path / "d"), "train", None, None).rows
    assert [row["sentence"] for row in rows] == found


def test_a_file_of_such_a_name_is_itself(tmp_path):
    named(tmp_path, "[a]*.jsonl", "a.jsonl")
    assert files(tmp_path / "[a]*.jsonl") == (tmp_path / "[a]*.jsonl",)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["a-00000-of-00003.jsonl", "a-00002-of-00003.jsonl"], "`a-00001-of-00003.jsonl`"),
        (["a-00001-of-00003.jsonl", "a-00002-of-00003.jsonl"], "`a-00003-of-00003.jsonl`"),
        (["a-00000-of-00003.jsonl", "a-00001-of-00003.jsonl"], "`a-00002-of-00003.jsonl`"),
        (["a-0-of-1.jsonl", "b-0-of-2.jsonl"], "`b-1-of-2.jsonl`"),
        (["part-0.jsonl", "part-2.jsonl"], "`part-1.jsonl`"),
        (["part-01.jsonl", "part-03.jsonl.gz", "part-04.jsonl"], None),
        (["part-01.jsonl", "part-03.jsonl"], "`part-02.jsonl`"),
        (["2019.jsonl", "2021.jsonl"], None),
        (["a0.jsonl", "b2.jsonl"], None),
        (["a-00000-of-99999999.jsonl"], "`a-00000001-of-99999999.jsonl`"),
    ],
)
def test_a_gap_is_found(tmp_path, names, said):
    named(tmp_path / "d", *names)
    if said is None:
        assert [p.name for p in files(tmp_path / "d")] == names
        return
    code, message = refused(tmp_path / "d")
    assert code == "E210" and said in message


@pytest.mark.parametrize(
    ("names", "asked", "code"),
    [
        (["a.jsonl", "b.csv"], "d", "E211"),
        (["a.jsonl", "b.csv"], "d/*", "E211"),
        (["a.jsonl", "b.jsonl.gz"], "d", None),
        (["README.md"], "d", "E074"),
        ([], "d", "E074"),
        (["a.json", "config.json"], "d", "E074"),
        (["a.jsonl"], "d/*.json", "E212"),
        (["a.jsonl"], "elsewhere/*.jsonl", "E212"),
        (["a.jsonl"], "*/a.jsonl", None),  # there is no such file, and the name of the file is no pattern
    ],
)
def test_what_does_not_belong_together_is_refused(tmp_path, names, asked, code):
    named(tmp_path / "d", *names)
    if code is None:
        assert files(tmp_path / asked)
    else:
        assert refused(tmp_path / asked)[0] == code


def test_no_more_files_than_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "MOST", 2)
    assert refused(named(tmp_path / "d", "a.jsonl", "b.jsonl", "c.jsonl"))[0] == "E211"


@pytest.mark.parametrize("row", [{"sentence": None, "label": 0}, {"sentence": 1, "label": 0}])
def test_a_record_is_numbered_in_its_own_file(tmp_path, row):
    folder = named(tmp_path / "d", "part-0.jsonl", "part-1.jsonl")
    with open(folder / "part-1.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    found = read_table(str(folder), "train", None, None)
    with pytest.raises(RecipeError) as caught:
        [found.text(i, "sentence") for i in range(len(found.rows))]
    assert "`sentence` of record 1 of `part-1.jsonl`" in caught.value.diagnostics[0].message


def test_a_column_that_one_shard_lacks_is_named_there(tmp_path):
    folder = named(tmp_path / "d", "part-0.jsonl", "part-1.jsonl")
    (folder / "part-1.jsonl").write_text('{"sentence": "a"}\n', "utf-8")
    found = read_table(str(folder), "train", None, None)
    with pytest.raises(RecipeError) as caught:
        found.lacks("label", "label")
    assert "record 0 of `part-1.jsonl` lacks `label`" in caught.value.diagnostics[0].message


def test_shards_with_other_class_names_are_refused():
    one, other = (table.Table(f"{n}.parquet", [{"label": 0}], {"label": (n, "b")}) for n in ("a", "c"))
    with pytest.raises(RecipeError) as caught:
        table.joined("*.parquet", [one, other])
    assert caught.value.diagnostics[0].code == "E211"
    assert table.joined("*.parquet", [one, one]).names("label") == ("a", "b")


@pytest.mark.parametrize("ids", [True, False])
def test_questions_of_shards_are_numbered_on(tmp_path, ids):
    rows = [
        {
            **({"id": f"q{i}"} if ids else {}),
            "question": "a",
            "context": "b",
            "answers": {"text": ["b"], "answer_start": [0]},
        }
        for i in range(4)
    ]
    for n in range(2):
        (tmp_path / f"part-{n}.json").write_text(json.dumps(rows[2 * n : 2 * n + 2]), "utf-8")
    found = question_answering.read_file(tmp_path / "part-*.json")
    assert [e.id for e in found] == ([f"q{i}" for i in range(4)] if ids else list("0123"))
    assert found.flat and found.with_ids == ids
    make_data(tmp_path / "a.json", 3)
    make_data(tmp_path / "b.json", 3)
    with pytest.raises(RecipeError, match="E075"):  # the same ids twice
        question_answering.read_file(tmp_path / "[ab].json")


def test_texts_of_shards_stand_in_order(tmp_path):
    for n in range(3):
        (tmp_path / f"t{n}.txt").write_text(f"text {n}", "utf-8")
        (tmp_path / f"s{n}.json").write_text(json.dumps([f"string {n}"]), "utf-8")
        (tmp_path / f"r{n}.jsonl").write_text(json.dumps({"text": f"record {n}"}) + "\n", "utf-8")
    for pattern, word in (("t*.txt", "text"), ("s*.json", "string"), ("r*.jsonl", "record")):
        found = causal_lm.TASK.open_split(str(tmp_path / pattern), "train")
        assert list(found) == [f"{word} {n}" for n in range(3)]
    (tmp_path / "m0.json").write_text('["a"]', "utf-8")
    (tmp_path / "m1.json").write_text('[{"text": "a"}]', "utf-8")
    with pytest.raises(RecipeError, match="E211"):
        causal_lm.TASK.open_split(str(tmp_path / "m*.json"), "train")


def test_an_arrow_stream_is_read_as_a_file_is(tmp_path):
    data = pyarrow.Table.from_pylist(ROWS)
    with pyarrow.ipc.new_stream(str(tmp_path / "a.arrow"), data.schema) as writer:
        writer.write_table(data)
    assert list(records.read_file(tmp_path / "a.arrow").rows) == ROWS
    (tmp_path / "b.arrow").write_bytes((tmp_path / "a.arrow").read_bytes()[:60])
    with pytest.raises(RecipeError, match="E074"):
        records.read_file(tmp_path / "b.arrow")


def test_the_digest_of_shards_is_of_names_order_and_contents(tmp_path):
    folder = named(tmp_path / "d", "part-0.jsonl", "part-1.jsonl")
    first = data_digest(folder)
    assert first == data_digest(folder / "*.jsonl") == data_digest(folder, anew=True)
    assert data_digest(folder / "part-0.jsonl") not in (first, data_digest(folder / "part-1.jsonl"))
    (folder / "README.md").write_text("of no account")
    assert data_digest(folder) == first
    named(folder, "part-2.jsonl")
    assert data_digest(folder) != first
    (folder / "part-2.jsonl").unlink()
    (folder / "part-1.jsonl").write_text("{}\n")
    assert data_digest(folder) != first

"""Streams: every format gives the records that reading the file as a whole gives, from any record on."""

import bz2
import gzip
import json
import lzma

import pyarrow
import pytest
from pyarrow import parquet

from recipelang.source import RecipeError
from recipelang.tasks import causal_lm, streams
from recipelang.tasks.records import read_file
from recipelang.tasks.streams import Pass, Place, open_stream

ROWS = [{"text": f"text {i}, with é", "label": str(i % 3)} for i in range(23)]


def lines():
    """Some of them empty."""
    return "".join(json.dumps(row) + "\n" * (1 + (i % 5 == 0)) for i, row in enumerate(ROWS))


def separated(by):
    quote = '"' if by == "," else ""
    return "\n".join([f"text{by}label", *(f"{quote}{r['text']}{quote}{by}{r['label']}" for r in ROWS)]) + "\n"


def zstd(data):
    with pyarrow.BufferOutputStream() as sink:
        with pyarrow.CompressedOutputStream(sink, "zstd") as stream:
            stream.write(data)
        return sink.getvalue().to_pybytes()


def arrow(path, kind):
    table = pyarrow.Table.from_pylist(ROWS)
    if kind == "parquet":
        parquet.write_table(table, path, row_group_size=5)
        return
    new = pyarrow.ipc.new_file if kind == "file" else pyarrow.ipc.new_stream
    with pyarrow.OSFile(str(path), "wb") as sink, new(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=4)


FORMATS = {
    "a.jsonl": lambda p: p.write_text(lines(), "utf-8"),
    "a.json": lambda p: p.write_text(json.dumps(ROWS), "utf-8"),
    "b.json": lambda p: p.write_text(json.dumps({"data": ROWS}), "utf-8"),
    "a.csv": lambda p: p.write_text(separated(","), "utf-8"),
    "a.tsv": lambda p: p.write_text(separated("\t"), "utf-8"),
    "a.txt": lambda p: p.write_text(separated("\t"), "utf-8"),
    "a.jsonl.gz": lambda p: p.write_bytes(gzip.compress(lines().encode())),
    "a.jsonl.bz2": lambda p: p.write_bytes(bz2.compress(lines().encode())),
    "a.jsonl.xz": lambda p: p.write_bytes(
        lzma.compress(lines().encode()[:100]) + lzma.compress(lines().encode()[100:])
    ),
    "a.jsonl.zst": lambda p: p.write_bytes(zstd(lines().encode())),
    "a.csv.gz": lambda p: p.write_bytes(gzip.compress(separated(",").encode())),
    "a.parquet": lambda p: arrow(p, "parquet"),
    "a.arrow": lambda p: arrow(p, "file"),
    "b.arrow": lambda p: arrow(p, "stream"),
}


def taken(path, at=Place(), most=1000, *, texts=False, order=None):
    shards = open_stream(str(path), "train", {}, None, texts=texts)
    through = Pass(shards, order or range(len(shards.names)), at)
    return through, through.take(most)


@pytest.mark.parametrize("name", FORMATS)
def test_records_are_those_of_the_whole_file_from_any_record_on(tmp_path, name):
    FORMATS[name](tmp_path / name)
    whole = list(read_file(tmp_path / name).rows)
    assert [r["text"] for r in whole] == [r["text"] for r in ROWS]
    for first in (0, 1, 4, 5, 11, 22, 23):
        through, table = taken(tmp_path / name, Place(0, first))
        assert list(table.rows) == whole[first:]
        assert through.ended
    assert taken(tmp_path / name, Place(0, 7))[1].record(2) == f"record 9 of `{name}`"


def test_portions_go_over_shards_in_the_order_of_the_pass(tmp_path):
    for i in range(3):
        (tmp_path / f"part-{i}.jsonl").write_text("".join(json.dumps({"text": f"{i}{j}"}) + "\n" for j in range(4)))
    shards = open_stream(str(tmp_path), "train", {}, None, texts=True)
    through = Pass(shards, [2, 0, 1], Place())
    seen, places = [], []
    while not through.ended:
        places.append(through.place)
        table = through.take(5)
        seen += [r["text"] for r in table.rows]
        assert all(
            table.record(i).startswith(f"record {r['text'][1]} of `part-{r['text'][0]}")
            for i, r in enumerate(table.rows)
        )
    assert seen == [f"{i}{j}" for i in (2, 0, 1) for j in range(4)]
    for place, first in zip(places, (0, 5, 10), strict=True):
        again = Pass(shards, [2, 0, 1], place).take(100)
        assert [r["text"] for r in again.rows] == seen[first:]


def test_a_portion_ends_sooner_where_records_are_long(tmp_path, monkeypatch):
    monkeypatch.setattr(streams, "_CHARACTERS", 25)
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"text": "0123456789"}) + "\n" for _ in range(9)))
    through, table = taken(tmp_path / "a.jsonl")
    assert len(table.rows) == 3 and through.place == Place(0, 3)
    chat = {"messages": [{"role": "user", "content": "0123456789"}] * 3}
    assert streams._characters(chat) == 42


def test_texts_are_whole_files_and_strings(tmp_path):
    (tmp_path / "a.txt").write_text("one\ntwo\n", "utf-8")
    assert list(taken(tmp_path / "a.txt", texts=True)[1].rows) == ["one\ntwo\n"]
    (tmp_path / "a.json").write_text(json.dumps(["one", "two"]))
    _, table = taken(tmp_path / "a.json", texts=True)
    assert causal_lm.streamed(table, {}) == ["one", "two"]
    with pytest.raises(RecipeError) as error:
        causal_lm.streamed(table, {"text": "body"})
    assert error.value.diagnostics[0].code == "E074"


GOOD = json.dumps({"text": "a"}) + "\n"


@pytest.mark.parametrize(
    ("name", "content", "code", "where"),
    [
        ("a.jsonl", (GOOD * 3 + '{"text": }\n').encode(), "E074", "line 4"),
        ("a.jsonl", (GOOD + '{"text": "a", "text": "b"}\n').encode(), "E074", "line 2"),
        ("a.jsonl", (GOOD * 2).encode() + b'{"text": "\xff"}\n', "E074", "not UTF-8"),
        ("a.jsonl", b"\n\n", "E074", "is empty"),
        ("a.jsonl.gz", gzip.compress(GOOD.encode() * 9999)[:-20], "E074", "is damaged"),
        ("a.jsonl.xz", lzma.compress(GOOD.encode() * 9999)[:-20], "E074", "is damaged"),
        ("a.jsonl.zst", zstd(GOOD.encode() * 9999)[:-9], "E074", "is damaged"),
        ("a.jsonl.bz2", b"not packed", "E074", "is damaged"),
        ("a.csv", b"text,label\na,b\na\n", "E074", "line 3"),
        ("a.parquet", b"PAR1 and nothing else", "E074", "not a parquet file"),
        ("a.arrow", b"ARROW1 and nothing else", "E074", "not an Arrow file"),
        ("a.json", b'{"other": 1}', "E074", "not a list"),
    ],
)
def test_what_cannot_be_read_is_told_at_its_place(tmp_path, name, content, code, where):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RecipeError) as error:
        taken(tmp_path / name, most=100_000)
    (found,) = error.value.diagnostics
    assert found.code == code
    assert where in " ".join([found.message, *found.notes])


def test_a_packed_file_may_not_grow_without_end(tmp_path, monkeypatch):
    from recipelang.storage import unpacking

    monkeypatch.setattr(unpacking, "_BESIDE", 1000)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(GOOD.encode() * 400_000))
    with pytest.raises(RecipeError) as error:
        taken(tmp_path / "a.jsonl.gz", most=1_000_000)
    assert error.value.diagnostics[0].code == "E213"


def test_a_file_that_must_be_read_whole_is_refused_where_it_is_large(tmp_path, monkeypatch):
    monkeypatch.setattr(streams, "_WHOLE", 100)
    (tmp_path / "a.json").write_text(json.dumps(ROWS))
    with pytest.raises(RecipeError) as error:
        taken(tmp_path / "a.json")
    assert error.value.diagnostics[0].code == "E218"
    (tmp_path / "a.jsonl").write_text(lines())
    assert len(taken(tmp_path / "a.jsonl")[1].rows) == len(ROWS)


def test_shards_that_name_their_classes_differently_are_refused(tmp_path):
    import datasets

    for i, names in enumerate((["no", "yes"], ["yes", "no"])):
        features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=names)})
        datasets.Dataset.from_dict({"text": ["a"], "label": [0]}, features=features).to_parquet(
            tmp_path / f"{i}.parquet"
        )
    shards = open_stream(str(tmp_path), "train", {}, None, texts=False)
    assert dict(shards.classes) == {"label": ("no", "yes")}
    through = Pass(shards, [0, 1], Place())
    with pytest.raises(RecipeError) as error:
        through.take(5)
    assert error.value.diagnostics[0].code == "E211"


def test_a_stream_of_the_hub_is_read_shard_by_shard(monkeypatch):
    import datasets

    from recipelang.tasks import hub_stream

    made = datasets.Dataset.from_list(ROWS).to_iterable_dataset(num_shards=3)

    class Builder:
        def as_streaming_dataset(self, split):
            if split != "train":
                raise ValueError(f"Bad split: {split}")
            return made

    monkeypatch.setattr(hub_stream, "builder_of", lambda name, revision, config: Builder())
    shards = open_stream("hf://own/name", "train", {}, None, texts=True)
    assert len(shards.names) == 3
    every = [list(shards.read(i, 0)) for i in range(3)]
    assert [row for shard in every for row in shard] == ROWS
    assert list(shards.read(1, 2)) == every[1][2:]
    with pytest.raises(RecipeError) as error:
        open_stream("hf://own/name", "dev", {}, None, texts=True)
    assert error.value.diagnostics[0].code == "E074"

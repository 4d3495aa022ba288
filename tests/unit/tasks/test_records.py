"""The same records from every format, and what is said of files that are none."""

import csv
import json

import pytest

from recipelang.source import RecipeError
from recipelang.tasks import records, sequence_classification
from recipelang.tasks.records import read_table

ROWS = [{"sentence": 'a "fine" film', "label": "1"}, {"sentence": "so, so bad", "label": "0"}]


def write(folder, ending):
    path = folder / f"d{ending}"
    match ending:
        case ".json":
            path.write_text(json.dumps(ROWS), "utf-8")
        case ".jsonl":
            path.write_text("".join(json.dumps(r) + "\n" for r in ROWS), "utf-8")
        case ".csv":
            with open(path, "w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, ["sentence", "label"])
                writer.writeheader()
                writer.writerows(ROWS)
        case ".tsv" | ".txt":
            lines = ["sentence\tlabel", *("\t".join(r.values()) for r in ROWS)]
            path.write_text("\r\n".join(lines) + "\r\n", "utf-8")
        case ".parquet":
            import pyarrow
            from pyarrow import parquet

            parquet.write_table(pyarrow.Table.from_pylist(ROWS), path)
        case ".arrow":
            import pyarrow

            table = pyarrow.Table.from_pylist(ROWS)
            with pyarrow.ipc.new_file(str(path), table.schema) as writer:
                writer.write_table(table)
    return path


@pytest.mark.parametrize("ending", records.ENDINGS)
def test_every_format_gives_the_same_records(tmp_path, ending):
    assert list(read_table(str(write(tmp_path, ending)), "train", None, None).rows) == ROWS


def test_names_of_classes_come_with_parquet_files_of_the_hub(tmp_path):
    import datasets

    features = datasets.Features(
        {
            "text": datasets.Value("string"),
            "label": datasets.ClassLabel(names=["no", "yes"]),
            "ner_tags": datasets.List(datasets.ClassLabel(names=["O", "B-X"])),
        }
    )
    made = datasets.Dataset.from_dict({"text": ["a"], "label": [1], "ner_tags": [[0, 1]]}, features=features)
    made.to_parquet(tmp_path / "d.parquet")
    table = read_table(str(tmp_path / "d.parquet"), "train", None, None)
    assert table.classes == {"label": ("no", "yes"), "ner_tags": ("O", "B-X")}


def test_two_columns_of_a_name_are_refused_in_parquet_too(tmp_path):
    from pyarrow import Table as Arrow, parquet

    path = tmp_path / "d.parquet"
    parquet.write_table(Arrow.from_arrays([["a"], [0], [1]], names=["text", "label", "label"]), path)
    with pytest.raises(RecipeError) as error:
        records.read_file(path)
    assert "two columns `label`" in error.value.diagnostics[0].message


def test_columns_of_a_file_without_header_have_numbers(tmp_path):
    path = tmp_path / "d.tsv"
    path.write_text("yes\tit is\tit was\nno\tit is\tit rains\n", "utf-8")
    found = sequence_classification.TASK.open_split(str(path), "train", {"label": "1", "text": "2", "pair": "3"})
    assert [(e.text, e.pair, e.label) for e in found] == [("it is", "it was", "yes"), ("it is", "it rains", "no")]


@pytest.mark.parametrize(
    ("name", "text", "code", "said"),
    [
        ("d.tsv", "sentence\tlabel\na\t1\tb\n", "E074", "on line 2 has 3 cells, the first line has 2"),
        ("d.tsv", "label\tlabel\na\t1\n", "E074", "two columns `label`"),
        ("d.csv", 'sentence,label\n"a,1\n', "E074", "is not CSV"),
        ("d.csv", "sentence,label\n", "E074", "holds no records"),
        ("d.jsonl", "[1]\n", "E074", "record 0 of `d.jsonl` is not an object"),
        ("d.json", '{"rows": []}', "E074", "is not a list of records"),
        ("d.parquet", "sentence\n", "E074", "is not a parquet file"),
        ("d.tsv", "sentence\tlabels_\na\t1\nb\t0\n", "E074", "`sentence`, `labels_`"),
        ("d.json", '[{"sentence": null, "label": 1}, {"sentence": "a", "label": 0}]', "E075", "it is null"),
        ("d.json", '[{"sentence": "a", "label": -1}, {"sentence": "a", "label": 0}]', "E075", "`label` is `-1`"),
        ("d.json", '[{"sentence": "a", "label": 2.5}, {"sentence": "a", "label": 3.1}]', "E149", "holds scores"),
        ("d.json", '[{"sentence": "a", "label": 1}, {"sentence": "b", "label": 1}]', "E074", "only one label"),
    ],
)
def test_what_cannot_be_read_says_what_is_there(tmp_path, name, text, code, said):
    (tmp_path / name).write_text(text, "utf-8")
    with pytest.raises(RecipeError) as error:
        sequence_classification.TASK.classes.names(
            sequence_classification.TASK.open_split(str(tmp_path / name), "train")
        )
    found = error.value.diagnostics[0]
    assert found.code == code
    assert said in " ".join((found.message, *found.help, *found.notes))

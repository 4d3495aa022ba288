"""Task files of lm-eval: what may stand in one, and what never reaches lm-eval."""

from __future__ import annotations

import pytest

from recipelang.planning.task_file import MOST_BYTES, data_of, metrics_of, read_task
from recipelang.source import RecipeError

TASK = """task: toy
dataset_path: json
dataset_kwargs: {data_files: {test: [q.jsonl], train: more.jsonl}}
training_split: train
test_split: test
output_type: multiple_choice
doc_to_text: 'TEMPLATE'
doc_to_target: "{{answer}}"
doc_to_choice: ["a", "b"]
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}, {metric: acc_norm}]
metadata: {version: 1}
"""


@pytest.fixture
def write(tmp_path):
    for name in ("q.jsonl", "more.jsonl"):
        (tmp_path / name).write_text("{}\n", "utf-8")

    def written(text: str):
        (tmp_path / "toy.yaml").write_text(text, "utf-8")
        return tmp_path / "toy.yaml"

    return written


def code_of(file) -> str:
    with pytest.raises(RecipeError) as error:
        read_task(file)
    return error.value.diagnostics[0].code


@pytest.mark.parametrize(
    "template",
    [
        "{{question}}",
        "{{question.strip() | trim}} {{choices.text[0]}}",
        "{% if passage %}{{passage}}{% else %}-{% endif %}",
        '{{ ["A", "B"][answer] }} {{ choices.label.index(key) }} {{ "x" if a > 1 else "y" }}',
        "plain text",
    ],
)
def test_templates_of_tasks_are_read(write, template):
    file = write(TASK.replace("TEMPLATE", template.replace("'", "''")))
    form = read_task(file)
    assert form["doc_to_text"] == template
    assert metrics_of(form) == ("acc", "acc_norm")
    assert [p.name for p in data_of(form)] == ["q.jsonl", "more.jsonl"]
    assert "metadata" not in form


@pytest.mark.parametrize(
    "template",
    [
        "{{ question.__class__ }}",
        '{{ question["__class__"] }}',
        '{{ question["__cl" ~ "ass__"] }}',
        '{{ question | attr("__class__") }}',
        "{{ cycler.__init__.__globals__ }}",
        "{{ lipsum() }}",
        "{{ question.format(question) }}",
        "{{ range(10000000) | list }}",
        "{% for x in question %}{{ x }}{% endfor %}",
        '{% include "other" %}',
        "{% macro a() %}{% endmacro %}",
        "{% set x = 1 %}",
        "{{ question * 10000000000 }}",
        "{{ 2 ** 10000000000 }}",
        "{{ question.strip(*choices) }}",
        "{{ question | map('upper') | list }}",
    ],
)
def test_templates_that_reach_further_are_refused(write, template):
    assert code_of(write(TASK.replace("TEMPLATE", template.replace("'", "''")))) == "E228"


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("'TEMPLATE'", "!function utils.text", "E228"),
        ("'TEMPLATE'", "!!python/object/apply:os.system [id]", "E228"),
        ("'TEMPLATE'", "&a x\ndescription: *a", "E228"),
        ("task: toy", "task: toy\nprocess_results: utils.f", "E228"),
        ("task: toy", "task: toy\ncustom_dataset: utils.f", "E228"),
        ("task: toy", "task: toy\nuse_prompt: promptsource", "E228"),
        ("task: toy", "task: toy\nfilter_list: []", "E228"),
        ("task: toy", "task: toy\nunsafe_code: true", "E228"),
        ("{metric: acc_norm}", "{metric: acc, hf_evaluate: true}", "E219"),
        ("{metric: acc_norm}", "{metric: accuracy}", "E228"),
        ("aggregation: mean", "aggregation: utils.f", "E228"),
        ("{data_files:", "{trust_remote_code: true, data_files:", "E219"),
        ("[q.jsonl]", "[/etc/passwd]", "E219"),
        ("[q.jsonl]", "['*.jsonl']", "E219"),
        ("[q.jsonl]", "['https://example.org/q.jsonl']", "E219"),
        ("[q.jsonl]", "[other.jsonl]", "E219"),
        ("dataset_path: json", "dataset_path: ./script.py", "E219"),
        ("multiple_choice", "anything", "E219"),
        ("test_split: test", "", "E219"),
        ("'TEMPLATE'", "'{{ unclosed'", "E219"),
    ],
)
def test_what_is_no_plain_task_is_refused(write, old, new, code):
    assert old in TASK
    assert code_of(write(TASK.replace(old, new))) == code


def test_a_link_and_a_large_file_are_refused(write, tmp_path):
    (tmp_path / "q.jsonl").unlink()
    (tmp_path / "q.jsonl").symlink_to(tmp_path / "more.jsonl")
    assert code_of(write(TASK)) == "E219"
    assert code_of(write(TASK + "#" * MOST_BYTES)) == "E219"

"""Every task is declared in its file, and is known wherever tasks are listed by hand."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from recipelang.engine.card import PIPELINES
from recipelang.engine.models import LOSSES
from recipelang.planning.distill import COMPARED
from recipelang.planning.families import HEADS
from recipelang.spec.blocks import ColumnsSpec, DataSpec
from recipelang.spec.metrics import MEASURES, METRICS, MORE_METRICS
from recipelang.tasks import task_of
from recipelang.tasks.task import Task
from recipelang.values import aliases
from tests import other_tasks
from tests.reading import LIBRARY

every_task = pytest.mark.parametrize("name", METRICS)


@every_task
def test_a_task_is_declared_in_the_file_of_its_name(name):
    task = task_of(name)
    assert type(task) is Task and task.name == name


def test_a_task_loads_neither_torch_nor_numpy():
    program = "import recipelang.tasks.task, sys; print({'torch', 'numpy'} & sys.modules.keys())"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout == "set()\n"


@every_task
def test_what_a_task_names_is_there(name):
    task = task_of(name)
    assert set(task.fields) <= ColumnsSpec.model_fields.keys()
    assert set(task.settings) <= DataSpec.model_fields.keys()
    # of an encoder and a decoder no type is in a table of ours: transformers says which have the head
    assert any(task.head in heads for heads in HEADS.values()) or name == "text_to_text"
    assert task.classes is None or task.gives in LOSSES, "name its loss in `LOSSES` of `engine/models.py`"
    assert task.gives in COMPARED, "say in `COMPARED` of `planning/distill.py` how a teacher is compared"
    assert {*METRICS[name], *MORE_METRICS.get(name, ())} <= MEASURES.keys()


@every_task
def test_the_hub_has_a_word_for_the_head_of_a_task(name):
    head = task_of(name).head
    assert head in PIPELINES, (
        f"add `{head}` to `PIPELINES` of `engine/card.py`: a model card names the Hub's word for it"
    )


@every_task
def test_a_task_has_a_recipe_and_a_test_of_whole_runs(name):
    texts = [path.read_text("utf-8") for path in LIBRARY.rglob("*.recipe")]
    assert any(re.search(rf"^  task = {name}$", text, re.M) for text in texts), "write a recipe of the library"
    assert task_of(name).first is not None, "say in `first` what `recipelang init` begins with"
    # questions and texts have test files of their own
    elsewhere = {"question_answering", "causal_lm", "text_to_text"}
    assert name in {*other_tasks.TASKS, *elsewhere}, "give it records in `tests/other_tasks.py`"


def test_every_metric_is_of_a_task():
    of_tasks = {m for names in (*METRICS.values(), *MORE_METRICS.values()) for m in names}
    assert MEASURES.keys() - of_tasks == {"loss"}  # of a later release


def test_a_word_of_another_tool_means_one_thing():
    """A table of aliases turned round keeps the last of two words that claim one."""
    source = (Path(aliases.__file__)).read_text("utf-8")
    for table in re.findall(r"^\w+ = _table\(\n(.*?)^\)", source, re.S | re.M):
        words = [w for line in re.findall(r'": "([^"]*)"', table) for w in line.split()]
        assert sorted(w for w in set(words) if words.count(w) > 1) == []
    assert not set(aliases.SYMBOLS) & {*METRICS, *MEASURES}  # a word of ours is read as itself

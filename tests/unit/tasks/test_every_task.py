"""Every task holds what `tasks/task.py` says, and is known wherever tasks are listed by hand."""

import inspect
import re
from pathlib import Path
from typing import get_type_hints

import pytest

from recipelang.cli.starter import LIBRARY, TASKS as WRITTEN
from recipelang.planning.families import HEADS
from recipelang.spec.blocks import ColumnsSpec, DataSpec
from recipelang.spec.metrics import MEASURES, METRICS, MORE_METRICS
from recipelang.tasks import task as protocol, task_of
from recipelang.tasks.task import Task
from recipelang.values.aliases import SYMBOLS
from tests import other_tasks

CONSTANTS = get_type_hints(Task)
FUNCTIONS = {n: f for n, f in vars(Task).items() if inspect.isfunction(f) and not n.startswith("_")}
#: of tasks with classes only, as their docstrings say
OF_CLASSES = {n for n, f in FUNCTIONS.items() if "Only where there are `CLASSES`" in (f.__doc__ or "")}
every_task = pytest.mark.parametrize("name", METRICS)


@every_task
def test_a_task_holds_what_the_engine_has_to_know(name):
    task, said = task_of(name), inspect.getsource(protocol)
    for constant, kind in CONSTANTS.items():
        assert hasattr(task, constant), f"`tasks/{name}.py` lacks `{constant}`: {_why(said, constant)}"
        value, origin = getattr(task, constant), getattr(kind, "__origin__", kind)
        assert isinstance(value, origin), f"`{constant}` of `tasks/{name}.py` is no {origin.__name__}"
    for function, wanted in FUNCTIONS.items():
        if function in OF_CLASSES and not task.CLASSES:
            continue
        assert hasattr(task, function), f"`tasks/{name}.py` lacks `{function}()`: {inspect.getdoc(wanted)}"
        given = getattr(task, function)
        count = len(inspect.signature(wanted).parameters) - 1  # without `self`
        inspect.signature(given).bind(*range(count))


def _why(text, constant):
    found = re.search(rf"^    {constant}: .*?  #: (.*)$", text, re.M)
    return found[1] if found else ""


@every_task
def test_what_a_task_names_is_there(name):
    task = task_of(name)
    assert set(task.FIELDS) <= ColumnsSpec.model_fields.keys()
    assert set(task.SETTINGS) <= DataSpec.model_fields.keys()
    # of an encoder and a decoder no type is in a table of ours: transformers says which have the head
    assert any(task.HEAD in heads for heads in HEADS.values()) or name == "text_to_text"
    assert not (task.CLASSES and task.NUMBERS)
    assert {*METRICS[name], *MORE_METRICS.get(name, ())} <= MEASURES.keys()


@every_task
def test_a_task_has_a_recipe_and_a_test_of_whole_runs(name):
    assert name in {*LIBRARY, *WRITTEN}, "name a recipe of the library in `LIBRARY` of `cli/starter.py`"
    # questions and texts have test files of their own
    elsewhere = {"question_answering", "causal_lm", "text_to_text"}
    assert name in {*other_tasks.TASKS, *elsewhere}, "give it records in `tests/other_tasks.py`"


def test_every_metric_is_of_a_task():
    of_tasks = {m for names in (*METRICS.values(), *MORE_METRICS.values()) for m in names}
    assert MEASURES.keys() - of_tasks == {"loss"}  # of a later release


def test_a_word_of_another_tool_means_one_thing():
    """A table of aliases turned round keeps the last of two words that claim one."""
    source = (Path(protocol.__file__).parents[1] / "values" / "aliases.py").read_text("utf-8")
    for table in re.findall(r"^\w+ = _table\(\n(.*?)^\)", source, re.S | re.M):
        words = [w for line in re.findall(r'": "([^"]*)"', table) for w in line.split()]
        assert sorted(w for w in set(words) if words.count(w) > 1) == []
    assert not set(SYMBOLS) & {*METRICS, *MEASURES}  # a word of ours is read as itself

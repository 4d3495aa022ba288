"""Task files of lm-eval, read as data: no function of a file is looked up, no template of it can call what is not listed.

lm-eval itself would import Python files that a task names (`!function`), fetch metrics as code, and render templates of
Jinja without limits, which reach any object of Python. So a file is read here first, and lm-eval is given what is left:
keys that are known, with values of their kinds, and templates whose every part is harmless. E219, E228.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, TemplateError, nodes

from recipelang.source import RecipeError, fail
from recipelang.spec.harness import HARNESS_METRICS
from recipelang.storage.reading import Unreadable, check_regular, read_text

#: a task file of lm-eval has some dozen lines
MOST_BYTES = 64 * 1024
KINDS = ("json", "csv", "parquet")
OUTPUTS = ("multiple_choice", "loglikelihood", "loglikelihood_rolling", "generate_until")
_SPLITS = ("training_split", "validation_split", "test_split", "fewshot_split")
_TEMPLATES = ("doc_to_text", "doc_to_target", "doc_to_choice", "description", "target_delimiter", "fewshot_delimiter")
_OTHERS = ("task", "tag", "dataset_path", "dataset_kwargs", "output_type", "num_fewshot", "metric_list")
_WRITING = "generation_kwargs"
#: of no effect on a result
_IGNORED = ("metadata", "task_alias", "should_decontaminate", "doc_to_decontamination_query")
_OF_METRICS = {"metric", "aggregation", "higher_is_better", "ignore_case", "ignore_punctuation"}
_AGGREGATIONS = (
    None,
    "mean",
    "median",
    "perplexity",
    "weighted_perplexity",
    "bits_per_byte",
    "f1",
    "matthews_corrcoef",
)
_OF_WRITING: dict[str, tuple[type, ...]] = {
    "until": (list, str),
    "do_sample": (bool,),
    "max_gen_toks": (int,),
    "temperature": (int, float),
}
#: what a template may be made of; a call or an attribute is looked at by its name
_PARTS = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.Name,
    nodes.Const,
    nodes.Getattr,
    nodes.Getitem,
    nodes.Filter,
    nodes.Compare,
    nodes.Operand,
    nodes.CondExpr,
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.If,
    nodes.List,
    nodes.Tuple,
    nodes.Add,
    nodes.Sub,
    nodes.Concat,
    nodes.Call,
    nodes.Slice,
)
_FILTERS = ("trim", "lower", "upper", "capitalize", "title", "first", "last", "length", "string", "int", "join", "list")
_METHODS = ("strip", "lstrip", "rstrip", "lower", "upper", "capitalize", "title", "index", "split")


class _Loader(yaml.SafeLoader):
    """Nothing but plain values."""


def read_task(file: Path) -> dict[str, Any]:
    """What lm-eval may be given of a task file, paths of data made absolute. E219 where it is no task, E228 where it
    would run code or holds what is not read."""
    form = _loaded(file)
    known = {*_SPLITS, *_TEMPLATES, *_OTHERS, _WRITING, *_IGNORED}
    if odd := next((str(k) for k in form if k not in known), None):
        notes = ["keys that name functions, other files or filters can run code, and are not read"]
        help = "write the task without it, and its data as a file that needs no function"
        raise fail("E228", f"a task file cannot have `{odd[:60]}`", notes=notes, help=help)
    form = {k: v for k, v in form.items() if k not in _IGNORED and v is not None}
    _plain(form)
    for name in (n for n in _TEMPLATES if n in form):
        for text in _strings(form[name]):
            _harmless(text, name)
    form["dataset_kwargs"] = {"data_files": _data_files(form, file)}
    return form


def metrics_of(form: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(m["metric"] for m in form["metric_list"]))


def data_of(form: Mapping[str, Any]) -> list[Path]:
    return [Path(p) for paths in form["dataset_kwargs"]["data_files"].values() for p in paths]


def _loaded(file: Path) -> dict[str, Any]:
    try:
        text = read_text(file, MOST_BYTES)
    except Unreadable as error:
        why = error.reason or error.why.value
        raise fail(
            "E219", f"the task file `{file.name}` cannot be read", notes=[why], help="name a file of lm-eval"
        ) from None
    try:
        for event in yaml.parse(text, Loader=_Loader):
            tag = getattr(event, "tag", None)
            if tag or isinstance(event, yaml.AliasEvent):
                what = f"`{tag}`" if tag else "an alias"
                help = "write plain values: a task whose functions are Python files is not read"
                raise fail("E228", f"a task file cannot have {what}", help=help)
        form = _Loader(text).get_single_data()
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        notes = [str(error).splitlines()[0][:120]]
        raise fail("E219", f"the task file `{file.name}` is not YAML", notes=notes, help="check its syntax") from None
    if not isinstance(form, dict) or not isinstance(form.get("task"), str):
        help = "write `task: NAME`; files of groups and tags are not tasks"
        raise fail("E219", f"`{file.name}` is not a task of lm-eval", help=help)
    return form


def _plain(form: Mapping[str, Any]) -> None:
    """E219 for values of other kinds, and for what a task cannot do without."""
    wrong = next((n for n in (*_SPLITS, "task", "dataset_path") if n in form and not isinstance(form[n], str)), None)
    shots = form.get("num_fewshot", 0)
    if wrong or isinstance(shots, bool) or not isinstance(shots, int) or shots < 0:
        raise _misshapen(wrong or "num_fewshot")
    if form.get("output_type", "generate_until") not in OUTPUTS:
        raise _misshapen("output_type", f"write one of {', '.join(OUTPUTS)}")
    if form.get("dataset_path") not in KINDS:
        help = "write the data to a file: `dataset_path: json`, `dataset_kwargs: {data_files: {test: test.jsonl}}`"
        notes = ["data sets on the Hub are not fetched for a task"]
        raise fail("E219", "a task's data must be files beside it", notes=notes, help=help)
    if not ({"test_split", "validation_split"} & form.keys()):
        raise _misshapen("test_split", "write `test_split: test`, a key of `data_files`")
    metrics = form.get("metric_list")
    if not isinstance(metrics, list) or not metrics or not all(isinstance(m, dict) for m in metrics):
        raise _misshapen(
            "metric_list", "write `metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]`"
        )
    for metric in metrics:
        _known_metric(metric)
    writing = form.get(_WRITING, {})
    if not isinstance(writing, dict):
        raise _misshapen(_WRITING)
    for name, value in writing.items():
        if name not in _OF_WRITING or not isinstance(value, _OF_WRITING[name]):
            raise _misshapen(f"{_WRITING}.{name}", f"it has {', '.join(_OF_WRITING)}")


def _known_metric(metric: Mapping[str, Any]) -> None:
    name, aggregation = metric.get("metric"), metric.get("aggregation")
    if not isinstance(name, str) or name not in HARNESS_METRICS or aggregation not in _AGGREGATIONS:
        notes = ["lm-eval fetches a metric that it does not have as code"]
        help = f"measure {', '.join(HARNESS_METRICS)}"
        raise fail("E228", f"a task file cannot have the metric `{str(name)[:60]}`", notes=notes, help=help)
    odd = next((k for k in metric if k not in _OF_METRICS), None)
    flags = (metric.get(k, False) for k in _OF_METRICS - {"metric", "aggregation"})
    if odd or not all(isinstance(f, bool) for f in flags):
        raise _misshapen(f"metric_list.{odd or name}", f"a metric has {', '.join(sorted(_OF_METRICS))}")


def _misshapen(name: str, help: str = "write it as lm-eval's guide to tasks does") -> RecipeError:
    return fail("E219", f"`{name[:60]}` of the task file is missing or wrong", help=help)


def _data_files(form: Mapping[str, Any], file: Path) -> dict[str, list[str]]:
    """Split -> files, which lie in the folder of the task file. E219."""
    given = form.get("dataset_kwargs")
    files = given.get("data_files") if isinstance(given, dict) and set(given) == {"data_files"} else None
    if isinstance(files, str | list):
        files = {"train": files}
    if not isinstance(files, dict) or not files:
        raise _misshapen("dataset_kwargs", "write `dataset_kwargs: {data_files: {test: test.jsonl}}`, and nothing else")
    found: dict[str, list[str]] = {}
    for split, named in files.items():
        each = [named] if isinstance(named, str) else named
        if not isinstance(split, str) or not isinstance(each, list) or not all(isinstance(n, str) for n in each):
            raise _misshapen("dataset_kwargs.data_files")
        found[split] = [str(_beside(file, n)) for n in each]
    return found


def _beside(file: Path, name: str) -> Path:
    path = Path(name)
    if path.is_absolute() or ".." in path.parts or "://" in name or any(c in name for c in "*?["):
        help = "name files in the folder of the task file, by their names"
        raise fail("E219", f"`{name[:80]}` is not in the folder of the task file", help=help)
    try:
        check_regular(file.parent / path, inside=file.parent)
    except Unreadable:
        help = f"put `{name[:80]}` beside `{file.name}`"
        raise fail("E219", f"the task's data `{name[:80]}` cannot be read", help=help) from None
    return file.parent / path


def _strings(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list() | tuple():
            for item in value:
                yield from _strings(item)
        case dict():
            for item in value.values():
                yield from _strings(item)
        case int() | float():
            return
        case _:
            raise _misshapen("a template")


def _harmless(text: str, name: str) -> None:
    try:
        tree = Environment(autoescape=False).parse(text)
    except (TemplateError, RecursionError) as error:
        raise fail(
            "E219", f"`{name}` of the task file is no template", notes=[str(error)[:120]], help="check it"
        ) from None
    for node in (tree, *tree.find_all(nodes.Node)):
        if not _allowed(node):
            what = type(node).__name__.lower()
            notes = [f"a template can reach any object of Python; here it has a {what}"]
            help = "use columns, filters such as `trim`, conditions and methods such as `strip()`"
            raise fail("E228", f"the template `{name}` is not harmless", notes=notes, help=help)


def _allowed(node: nodes.Node) -> bool:
    match node:
        case nodes.Getattr(attr=attribute):
            return not attribute.startswith("_")
        case nodes.Getitem(arg=nodes.Const(value=str(key))):
            return not key.startswith("_")
        case nodes.Getitem(arg=key):  # one that is computed could spell anything; those of data meet a sandbox
            return isinstance(key, nodes.Const | nodes.Name | nodes.Getattr | nodes.Call | nodes.Slice)
        case nodes.Filter(name=name):
            return name in _FILTERS
        case nodes.Call(node=nodes.Getattr(attr=method), dyn_args=None, dyn_kwargs=None):
            return method in _METHODS
        case nodes.Call():
            return False
    return isinstance(node, _PARTS)

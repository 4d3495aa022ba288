"""What llm-compressor's `oneshot(...)` is called with beside a recipe: model, data, samples, lengths, seed.

Its recipes hold modifiers alone, so this becomes comments. Names and defaults are those of its release 0.14.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path, PurePath

from recipelang.kinds.text import percent
from recipelang.planning.data import DEFAULT_LENGTH
from recipelang.planning.facts import ModelFacts
from recipelang.source import Diagnostic, RecipeError
from recipelang.source.render import line_of
from recipelang.spec.blocks import DataSpec, StageSpec
from recipelang.spec.recipe import Recipe
from recipelang.spec.references import is_split
from recipelang.tasks import task_of

#: data sets of the Hub that it knows by a word and reads as plain text; of other words it makes dialogues
_WORDS = {"salesforce/wikitext": "wikitext", "wikitext": "wikitext", "allenai/c4": "c4"}
#: ending -> the loader of `datasets`, and what it has to know
_FILES = {
    ".json": ("json", ""),
    ".jsonl": ("json", ""),
    ".csv": ("csv", ""),
    ".tsv": ("csv", ', delimiter="\\t"'),
    ".parquet": ("parquet", ""),
    ".txt": ("text", ', sample_by="document"'),
}


def comments(recipe: Recipe, facts: ModelFacts) -> Iterator[str]:
    """Lines of a YAML comment.

    Raises:
        RecipeError: E115, for data that it cannot load, and for stages that read several.
    """
    reading = [stage for stage in recipe.stages if stage.reads_data and stage.data in recipe.data]
    given = [*_model(recipe)]
    told: list[str] = []
    if reading:
        _all_read_the_same(recipe, reading)
        data = recipe.data[reading[0].data]
        told = [
            f"# calibrated on {_named(data)}, which it cuts and samples in its own way: the samples differ from recipelang's\n"
        ]
        given += _data(recipe, reading[0], data, facts)
        if not _reads_texts(recipe, data):
            number = f"{data.samples} examples" if data.samples else "all examples"
            told.append(f"# LOADER is a DataLoader of your own, of {number}: without it, only plain texts are read\n")
        seed = next(s for s in (data.seed, reading[0].seed, recipe.seed) if s is not None)
        told.append(f"# it sets no seed: call `torch.manual_seed({seed})` before it\n")
    yield f"# the rest are arguments of its `oneshot(...)`: {', '.join(given)}\n"
    yield from told
    if left := [name for name, blocks in (("evaluate", recipe.evaluations), ("expect", recipe.claims)) if blocks]:
        yield f"# left out: what the recipe's {' and '.join(f'`{b}`' for b in left)} measure and check\n"


def _all_read_the_same(recipe: Recipe, reading: list[StageSpec]) -> None:
    if other := next((stage for stage in reading if stage.data != reading[0].data), None):
        message = "llm-compressor calibrates all stages on the same data"
        label = recipe.label(f"stage.{other.name}.data")
        raise RecipeError(Diagnostic("E115", message, label, help=("convert one recipe per data set",)))


#: dtypes of the weights, as the tool names them
_PRECISIONS = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16", "auto": "auto"}


def _model(recipe: Recipe) -> Iterator[str]:
    name, _, version = recipe.model.base.removeprefix("hf://").partition("@")
    version = recipe.model.revision or version
    if recipe.model.task == "causal_lm":
        yield f"model={json.dumps(name)}"
        if version:
            yield f"model_revision={json.dumps(version)}"
    else:
        revision = f", revision={json.dumps(version)}" if version else ""
        yield f"model={task_of(recipe.model.task).auto_model}.from_pretrained({json.dumps(name)}{revision})"
        yield f"tokenizer={json.dumps(name)}"
    yield f'precision="{_PRECISIONS[recipe.model.dtype]}"'


def _where(data: DataSpec) -> tuple[str, str]:
    """The reference of the training split, and the split's name there."""
    if data.train is None or (data.source is not None and is_split(data, data.train)):
        return data.source or "", data.train or "train"
    return data.train, "train"


def _named(data: DataSpec) -> str:
    if data.mixes:
        return "a mixture of " + ", ".join(f"{percent(m.share)} {line_of(m.source)}" for m in data.mixes)
    reference, split = _where(data)
    config = f", configuration {line_of(data.config)}" if data.config else ""
    return f"{line_of(reference)}{config}, split {line_of(split)}"


def _data(recipe: Recipe, stage: StageSpec, data: DataSpec, facts: ModelFacts) -> Iterator[str]:
    if not _reads_texts(recipe, data):  # it makes plain texts of everything else
        yield "dataset=LOADER"
        return
    yield from _dataset(recipe, stage, data)
    if column := dict(data.columns).get("text"):
        yield f"text_column={json.dumps(column)}"
    yield f"num_calibration_samples={data.samples}"
    if not data.shuffle:
        yield "shuffle_calibration_samples=False"
    limit = facts.max_positions if facts.path != Path() else DEFAULT_LENGTH
    yield f"max_seq_length={data.max_length or min(DEFAULT_LENGTH, limit)}"
    yield "concatenate_data=True"


def _reads_texts(recipe: Recipe, data: DataSpec) -> bool:
    return recipe.model.task == "causal_lm" and "messages" not in dict(data.columns) and not data.mixes


def _dataset(recipe: Recipe, stage: StageSpec, data: DataSpec) -> Iterator[str]:
    reference, split = _where(data)
    scheme, _, rest = reference.rpartition("://")
    name, _, version = rest.partition("@")
    if scheme == "hf" and not version and name.lower() in _WORDS:
        yield f"dataset={json.dumps(_WORDS[name.lower()])}"
        if data.config:
            yield f"dataset_config_name={json.dumps(data.config)}"
        yield f"splits={json.dumps(split)}"
    elif scheme == "hf":
        config = f", {json.dumps(data.config)}" if data.config else ""
        revision = f", revision={json.dumps(version)}" if version else ""
        yield f"dataset=load_dataset({json.dumps(name)}{config}, split={json.dumps(split)}{revision})"
    elif not scheme and (found := _FILES.get(PurePath(reference).suffix.lower())):
        loader, more = found
        yield f'dataset=load_dataset("{loader}", data_files={json.dumps(reference)}, split="train"{more})'
    else:
        at = f"data.{stage.data}" if stage.data else "data"
        label = recipe.label(f"{at}.{'source' if reference == data.source else 'train'}")
        help = ("name a data set on the Hub, or a text file",)
        raise RecipeError(Diagnostic("E115", f"llm-compressor cannot load `{reference[:80]}`", label, help=help))

"""Languages of sources and targets, for models whose tokenizers name them: which ones are meant, and what is said of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import TypeAdapter

from recipelang.planning.data_plan import DataPlan
from recipelang.planning.facts import MAX_CONFIG, ModelFacts
from recipelang.planning.probe import encoding_fails
from recipelang.planning.remembered import file_digest, remembered
from recipelang.source import Diagnostic, RecipeError, at_label
from recipelang.spec.blocks import DataSpec
from recipelang.spec.recipe import Recipe
from recipelang.storage.reading import Unreadable, read_object
from recipelang.tasks import task_of
from recipelang.tasks.languages import Languages, languages_of
from recipelang.tasks.meaning import Meaning
from recipelang.tasks.reading import load_tokenizer
from recipelang.version import __version__, installed

#: what decides what a tokenizer says of languages
_FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "added_tokens.json", "config.json")
_FOUND: TypeAdapter[Languages | None] = TypeAdapter(Languages | None)
_SIDES = ("source_language", "target_language")


def with_languages(recipe: Recipe, block: str, spec: DataSpec, facts: ModelFacts, meaning: Meaning) -> Meaning:
    """What data mean, with the languages of their texts. E054 where the tokenizer names none, E197 for one it lacks.

    What the recipe names goes before what the folder names; a target that neither names has the language of the
    source, as in transformers.
    """
    if not set(_SIDES) <= set(task_of(facts.task).settings):
        return meaning
    if not any((facts.path / name).is_file() for name in ("tokenizer.json", "vocab.txt")):
        return meaning  # texts cannot be read at all, which is told where they are
    with at_label(recipe.label("model.base")), encoding_fails(facts.path):
        found = _languages(facts.path)
    named = {side: code for side in _SIDES if (code := getattr(spec, side)) is not None}
    if found is None:
        for side in named:
            message = f"`{side}` does not apply: the tokenizer names no languages"
            help = ("remove it", 'models such as T5 read it in words: `prefix = "translate English to German: "`')
            raise RecipeError(Diagnostic("E054", message, recipe.label(f"{block}.{side}"), help=help))
        return meaning
    codes = {}
    for side, code in named.items():
        with at_label(recipe.label(f"{block}.{side}")):
            codes[side] = found.code(code)
    source = codes.get("source_language", found.source)
    target = codes.get("target_language", found.target or source)
    frames = {"source": found.around(source), "target": found.around(target)}
    return meaning.model_copy(update={"source_language": source, "target_language": target, "frames": frames})


def language_remarks(recipe: Recipe, plan: DataPlan, facts: ModelFacts) -> Iterator[Diagnostic]:
    """W180 where both texts have one language that nobody chose, W181 where the output will write another than it learnt."""
    source, target = plan.meaning.source_language, plan.meaning.target_language
    if not target:
        return
    block = f"data.{plan.label}" if plan.label else "data"
    if source == target and recipe.data[plan.label].target_language is None:
        notes: tuple[str, ...] = ("neither `data` nor the tokenizer names a language of the targets",)
        notes += ("for summaries this is right; a model that translates would write the wrong language",)
        help = (f'to translate, write `target_language = "..."` in `data`; to confirm, `target_language = "{target}"`',)
        message = f"sources and targets are both marked `{target}`"
        yield Diagnostic("W180", message, recipe.label(block), notes=notes, help=help)
    found = _languages(facts.path)
    codes = {} if found is None else {number: code for code, number in found.known.items()}
    for file, field, forced in _forced(facts):
        if (token := codes.get(forced, target)) == target:
            continue
        notes = (f"`{field}` of {file}, which the output keeps, is the code `{token}`",)
        notes += ("evaluations of this recipe write the language of the targets",)
        help = (f"after the run, set `{field}` to the id of `{target}`, or pass it to `generate`",)
        message = f"the output will write `{token}`, its targets are `{target}`"
        yield Diagnostic("W181", message, recipe.label("model.base"), notes=notes, help=help)
        return


def _languages(folder: Path) -> Languages | None:
    """Loading a tokenizer of many languages takes a while: done once for these files."""
    files = [p for p in map(folder.joinpath, _FILES) if p.is_file()]
    parts = [__version__, installed("tokenizers"), *((p.name, file_digest(p)) for p in files)]
    return remembered("languages", parts, _FOUND, lambda: languages_of(folder, load_tokenizer(folder)))


def _forced(facts: ModelFacts) -> Iterator[tuple[str, str, int]]:
    """Tokens that a text which transformers generates begins with: file, field, token. The first file that has one counts."""
    try:
        path = facts.path / "generation_config.json"
        own = read_object(path, MAX_CONFIG) if path.is_file() else {}
    except Unreadable:
        own = {}
    for field in ("forced_bos_token_id", "decoder_start_token_id"):
        for file, given in (("generation_config.json", own), ("config.json", facts.config)):
            if type(number := given.get(field)) is int and number >= 0:
                yield file, field, number
                break

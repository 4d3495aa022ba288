"""What a command is given, files and options, into what the front half takes."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path

from recipelang.loading.files import References, is_elsewhere, read_source
from recipelang.source import Diagnostics, Source, fail
from recipelang.source.frozen import frozen
from recipelang.spec.check import check
from recipelang.spec.params import Given, read_file
from recipelang.spec.recipe import Checked
from recipelang.syntax import parse


@frozen
class Around:
    """What a command line or a caller lays over a recipe."""

    given: Mapping[str, Given] = field(default_factory=dict)
    overlays: tuple[Source, ...] = ()


NOTHING = Around()


def read_around(params: Sequence[str] = (), params_files: Sequence[str] = (), overlays: Sequence[str] = ()) -> Around:
    """`-p` ranks above files of parameters; of files the last is on top."""
    given = {**read_params_files(params_files), **read_params(params)}
    return Around(given, tuple(read_source(o) for o in overlays))


def around_of(params: Mapping[str, object], overlays: Sequence[str | Path] | str | Path = ()) -> Around:
    """What a program gives: values as a command line has them after `-p`, or as Python's own."""
    given = {name: Given(_text(value), f"-p {name}") for name, value in params.items()}
    several = (overlays,) if isinstance(overlays, str | Path) else overlays
    return Around(given, tuple(read_source(_named(o)) for o in several))


def _text(value: object) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return str(value).lower()
        case list() | tuple():
            return f"[{', '.join(map(_text, value))}]"
    return str(value)


def _named(recipe: str | Path) -> str:
    """Of a program: `-` is a file like another, as only a command has a standard input for recipes."""
    return f".{os.sep}-" if str(recipe) == "-" else str(recipe)


def typed(file: str) -> str | Source:
    """Of a command: `-` is standard input."""
    return read_source(file) if file == "-" else file


def name_of(recipe: str | Path | Source) -> str:
    """What a command line calls it: its path or reference, `-` for a text that has none."""
    return "-" if isinstance(recipe, Source) or "\n" in str(recipe) else _named(recipe)


def source_of(recipe: str | Path | Source) -> Source:
    """Of a program: a path or another name of a recipe, or the text itself, which has several lines."""
    if isinstance(recipe, Source):
        return recipe
    name = _named(recipe)
    return Source("<text>", name) if "\n" in name else read_source(name)


def read_recipe(file: str, around: Around, *, complete: bool = False) -> Checked:
    """A recipe with all that is laid over it, checked. `complete`: a parameter without a value is an error."""
    return check_all(read_source(file), around.given, complete=complete, overlays=around.overlays)


def check_all(
    source: Source,
    given: Mapping[str, Given],
    *,
    complete: bool = False,
    overlays: Sequence[Source] = (),
    find: Callable[[str], str] | None = None,
) -> Checked:
    """`check` of a text with what it may refer to. `find` looks for recipes elsewhere, instead of the lock."""
    checked = check(source, given, complete=complete, load=References(source, find).load, overlays=overlays)
    return _tracked_here(checked)


def _tracked_here(checked: Checked) -> Checked:
    """W190: whoever published a recipe does not decide where the numbers of this machine are sent."""
    recipe = checked.recipe
    at = recipe.label("track.to") if recipe is not None and recipe.track is not None else None
    if recipe is None or at is None or not is_elsewhere(at.source.name):
        return checked
    help = "name trackers in your own recipe, or in `[track]` of `recipelang.toml`"
    checked.diagnostics.say("W190", "`track` of a downloaded recipe is not followed", at, help=help)
    return replace(checked, recipe=replace(recipe, track=None))


def read_params_files(paths: Sequence[str]) -> dict[str, Given]:
    given: dict[str, Given] = {}
    for path in paths:
        found = Diagnostics()
        given |= read_file(parse(read_source(path), found), found)
        found.raise_errors()
    return given


def read_params(options: Sequence[str]) -> dict[str, Given]:
    """`-p name=value`, each once."""
    given: dict[str, Given] = {}
    for option in options:
        name, equals, value = option.partition("=")
        name = name.strip()
        if not equals or not name:
            raise fail("E036", f"`-p {option}` is not `name=value`", help="write `-p target=97%`")
        if name in given:
            raise fail("E026", f"`-p {name}` is given twice", help="keep one of them")
        given[name] = Given(value.strip(), f"-p {name}")
    return given

"""What the TAB key offers: recipes, their parameters, codes, runs to resume. Reads files, loads no torch."""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import typer

from recipelang.loading.files import References, read_source
from recipelang.source import Diagnostics, RecipeError, Source
from recipelang.source.codes import codes as known_codes, rule_names, title
from recipelang.spec import compose
from recipelang.syntax import parse, tree as t

#: below what was typed, and so many files at most: an answer must come at once
DEPTH, LIMIT = 3, 2_000

_PLAIN = re.compile(r"[\w.%:/+@-]+")  # needs no quotes in any shell


def recipes(incomplete: str) -> list[str]:
    """`.recipe` files here and in the folders below; the copies that runs keep only when asked for. Those pulled."""
    found = [name for name, entry in _below(incomplete) if name.endswith(".recipe") and entry.is_file()]
    own = [n for n in found if not n.endswith("/recipe/effective.recipe") or "/recipe/" in incomplete]
    return own + pulled(incomplete)


def pulled(incomplete: str) -> list[str]:
    """References of recipes that are in the cache, once one is begun."""
    from recipelang.artifact.cache import known

    return [r for r in known() if r.startswith(incomplete)] if incomplete else []


def documents(incomplete: str) -> list[str]:
    """Recipes, and JSON files that may be one."""
    return [*recipes(incomplete), *(n for n, e in _below(incomplete) if n.endswith(".recipe.json") and e.is_file())]


def old_recipes(incomplete: str) -> list[str]:
    """What `migrate` reads: YAML, and Markdown that may hold it."""
    return [n for n, e in _below(incomplete) if n.endswith((".yaml", ".yml", ".md")) and e.is_file()]


def runs(incomplete: str) -> list[str]:
    """Output folders of runs that are not finished."""
    from recipelang.engine.records import status_of

    inside = [(name.removesuffix("/recipe"), entry) for name, entry in _below(incomplete) if name.endswith("/recipe")]
    found = [(name, Path(entry.path)) for name, entry in inside if os.path.isfile(f"{entry.path}/effective.recipe")]
    return [name for name, path in found if status_of(path.parent) != "finished"]


def every_run(incomplete: str) -> list[str]:
    """Output folders of runs, finished or not."""
    inside = [(name.removesuffix("/recipe"), entry) for name, entry in _below(incomplete) if name.endswith("/recipe")]
    return [name for name, entry in inside if os.path.isfile(f"{entry.path}/plan.json")]


def models(incomplete: str) -> list[str]:
    """Folders that hold a model's config."""
    return [name for name, entry in _below(incomplete) if os.path.isfile(f"{entry.path}/config.json")]


def what_tells(incomplete: str) -> list[str]:
    """What `inspect`, `verify` and `sign` look at: runs, and recipes that were pulled."""
    return every_run(incomplete) + pulled(incomplete)


def study_variants(ctx: typer.Context, incomplete: str) -> list[str]:
    """Arms of the study on the line, and its runs with the first seed below an arm that is typed."""
    from recipelang.study.read import read_study
    from recipelang.study.variants import points

    try:
        source = read_source(ctx.params.get("file") or "")
        found = points(read_study(source))
    except RecipeError:
        return []
    names = dict.fromkeys([p.arm.name for p in found] + [p.name for p in found])
    return [n for n in names if n.startswith(incomplete)]


def codes(incomplete: str) -> list[tuple[str, str]]:
    return [(code, title(code)) for code in known_codes() if code.startswith(incomplete.upper())]


def explained(incomplete: str) -> list[tuple[str, str]]:
    """Codes with their titles; once a word is begun, words of the language too."""
    from recipelang.reference.words import words

    return codes(incomplete) + [(word, "") for word in words() if incomplete and word.startswith(incomplete)]


def rules(incomplete: str) -> list[tuple[str, str]]:
    """Codes of lint rules, each with its name."""
    return [
        (code, name)
        for name, code in sorted(rule_names().items(), key=lambda i: i[1])
        if code.startswith(incomplete.upper())
    ]


def params(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """`name=value` for every parameter of the recipe on the line, values where the recipe tells some."""
    found: list[tuple[str, str]] = []
    for source, statements in _on_the_line(ctx):
        for node in statements:
            if isinstance(node, t.Param) and node.fixed is None:
                doc = textwrap.shorten(node.doc or source.slice(node.span), 60, placeholder=" …")
                found += [(f"{node.name}={value}", doc) for value in _values(node, source)]
    return [(text, doc) for text, doc in found if text.startswith(incomplete)]


def paths(ctx: typer.Context, incomplete: str) -> list[str]:
    """What `trace` can tell of: parameters, lets, and attributes by their path."""
    found: list[str] = []
    for _, statements in _on_the_line(ctx):
        found += [s.name for s in statements if isinstance(s, t.Param | t.Let)]
        found += [path for path, s in compose.paths(statements, "") if isinstance(s, t.Attribute)]
    return [path for path in found if path.startswith(incomplete)]


def _on_the_line(ctx: typer.Context) -> Iterator[tuple[Source, tuple[t.Statement, ...]]]:
    """The recipes that the command line names, with what they build on."""
    # after a `-p` without its value the parser gives up, and leaves the file among the rest
    files = [ctx.params.get("file"), *(ctx.params.get("files") or ()), *ctx.args]
    for file in dict.fromkeys(f for f in files if f and f != "-"):
        try:
            parsed = parse(read_source(file), Diagnostics())
        except RecipeError:
            continue
        if parsed.recipe is not None:
            whole = compose.compose(parsed, Diagnostics(), References(parsed.source).load)
            yield (parsed.source, parsed.recipe.statements) if whole is None else (whole.source, whole.tree.statements)


def _values(node: t.Param, source: Source) -> list[str]:
    """The values of `one_of` and `bool`, the default of another type, or nothing after the `=`."""
    match node.type:
        case t.Call(function=t.Path(names=("one_of",))):
            return [a.value.text for a in node.type.arguments if isinstance(a.value, t.Path)]
        case t.Path(names=("bool",)):
            return ["true", "false"]
    if isinstance(node.default, t.Text) or node.default is None:
        return [""]
    default = source.slice(node.default.span)
    return [default if _PLAIN.fullmatch(default) else ""]


def _below(incomplete: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Files and folders whose path, as it is being typed, goes on from `incomplete`."""
    start = incomplete[: incomplete.rfind("/") + 1]
    todo, seen = [start], 0
    while todo and seen < LIMIT:
        at = todo.pop(0)
        try:
            entries = sorted(os.scandir(os.path.expanduser(at) or "."), key=lambda e: e.name)
        except OSError:
            continue
        seen += len(entries)
        for entry in entries:
            name = at + entry.name
            if entry.name.startswith(".") or not (name.startswith(incomplete) or incomplete.startswith(name + "/")):
                continue
            yield name, entry
            if entry.is_dir() and name.count("/") < start.count("/") + DEPTH:
                todo.append(name + "/")

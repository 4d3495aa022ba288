"""`recipelang explain`: the page of a code, or what a word of the language means."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import typer

from recipelang.cli import complete, screen
from recipelang.cli.exit_codes import Exit
from recipelang.cli.screen import explained
from recipelang.kinds.schedule import ARGUMENTS
from recipelang.methods import METHODS
from recipelang.methods.declaration import CALLED_SCOPES
from recipelang.methods.reconstruction import RECONSTRUCTIONS
from recipelang.reference.words import every_block, words
from recipelang.schedules.shapes import SHAPES
from recipelang.source.codes import codes, page, rule_names, title
from recipelang.source.suggest import closest
from recipelang.spec.blocks import BLOCKS
from recipelang.spec.metrics import MEASURES
from recipelang.spec.optimizers import OPTIMIZERS
from recipelang.values.quantities import DIMENSIONS, UNITS
from recipelang.values.selector import ROLES

#: first letter of a code -> what such codes are
_SORTS = {"E": "Errors", "W": "Warnings", "L": "Advice of `lint`"}


def explain(
    word: str = typer.Argument(
        "",
        metavar="WORD",
        help="A code from a message, such as E051, the name of a lint rule, or a word of the language; the default "
        "lists all codes.",
        autocompletion=complete.explained,
    ),
) -> None:
    """Explain a code or a word: what it means, with an example.

    The page of a code shows a recipe that fails with it, and the corrected recipe. Words are
    blocks, attributes, methods, optimizers, shapes, roles, units and metrics.

    Examples:

      recipelang explain E051

      recipelang explain no-never

      recipelang explain prune

      recipelang explain @linear

      recipelang explain       (every code)
    """
    if not word:
        _every_code()
        return
    found = page(rule_names().get(word.lower(), "") or word.upper())
    if found is not None:
        print(found)
        return
    meanings = list(_meanings(word))
    for number, show in enumerate(meanings):
        if number:
            screen.tell()
        show()
    if not meanings:
        near = closest(word.upper(), codes()) or closest(word, rule_names()) or closest(word, words())
        hint = f"; did you mean {near}?" if near else ""
        what = "code" if word[1:].isdigit() else "code or word"
        screen.tell(f"recipelang: there is no {what} `{word}`{hint}", to_errors=True)
        raise typer.Exit(Exit.USAGE)


def _meanings(word: str) -> Iterator[Callable[[], None]]:
    """What shows each meaning of a word."""
    for kind, spec in {kind: spec for _, kind, spec in every_block() if kind == word}.items():
        parents = [parent for parent, k, _ in every_block() if k == kind]
        yield partial(explained.block, kind, spec, parents, [*BLOCKS.get(kind, {})])
    for parent, kind, spec in every_block():
        if word in spec.attributes():
            of = " inside ".join(f"`{k}`" for k in (kind, parent) if k)
            yield partial(explained.attribute, word, spec.attributes()[word], spec, of)
    for table, what in (
        (METHODS, "a pruning method"),
        (CALLED_SCOPES, "a scope of a pruning method"),
        (RECONSTRUCTIONS, "a way to reconstruct layers"),
        (OPTIMIZERS, "an optimizer"),
    ):
        if word in table:
            yield partial(explained.function, table[word], what)
        for signature in table.values():
            for a in signature.arguments:
                if a.name == word:
                    default = a.kind.text(a.default)
                    yield partial(explained.argument, word, f"`{signature.name}`", a.kind.name, default, a.doc)
    if word in ARGUMENTS:
        kind, doc = ARGUMENTS[word]
        yield partial(explained.argument, word, "shapes of schedules", kind, "", doc)
    if word in SHAPES:
        yield partial(explained.shape, word)
    if (role := word.removeprefix("@")) in ROLES:
        yield partial(explained.heading, f"@{role}, a role of tensors", ROLES[role])
    if word in UNITS:
        yield partial(explained.heading, f"{word}, a unit", DIMENSIONS[UNITS[word][0]])
    if word in MEASURES:
        yield partial(explained.heading, f"{word}, a metric", MEASURES[word].doc)


def _every_code() -> None:
    for letter, sort in _SORTS.items():
        explained.heading(sort)
        explained.rows((code, title(code)) for code in codes() if code.startswith(letter))
        screen.tell()
    screen.tell(
        "`recipelang explain CODE` shows the page of one; `recipelang explain WORD` explains a word of the language."
    )

"""Text to tree. Never raises: mistakes are diagnostics, and the tree is always whole."""

from __future__ import annotations

from functools import lru_cache

from recipelang.source import Diagnostic, Diagnostics, Label, Source
from recipelang.source.frozen import frozen
from recipelang.source.words import limit_text
from recipelang.syntax import tree as tree
from recipelang.syntax.build import Builder
from recipelang.syntax.parser import parse_tokens
from recipelang.syntax.tokens import MAX_TOKENS as MAX_TOKENS, Tokens, span_of, tokenise

#: The version of the language that this release reads.
LANGUAGE = (1, 0)
MAX_BYTES = 64 * 1024
MAX_STATEMENTS = 2_000


@frozen
class Parsed:
    """A text and what was read of it: the tree, or none where nothing could be read."""

    source: Source
    recipe: tree.Recipe | None
    tokens: Tokens | None


def parse(source: Source, diagnostics: Diagnostics, room: int = MAX_TOKENS) -> Parsed:
    """Parse one file; `recipe` is `None` only when a limit was broken or the version is unknown.

    `room`: how many tokens it may have, which is less where others belong to the same recipe.
    """
    parsed, found = _parsed(source, room)
    diagnostics.extend(found)
    return parsed


@lru_cache(maxsize=32)  # variants of a study are the same few texts, each with other values
def _parsed(source: Source, room: int) -> tuple[Parsed, tuple[Diagnostic, ...]]:
    """What was read, and what was found."""
    found = Diagnostics()
    if len(source.text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        found.say("E042", f"`{source.name}` is larger than {limit_text(MAX_BYTES)}", help="split it, or shorten it")
        return Parsed(source, None, None), tuple(found)
    of_tokens = Diagnostics()
    tokens = tokenise(source, of_tokens, room)
    if tokens is not None and not _version_is_known(tokens, source, found):
        return Parsed(source, None, tokens), tuple(found)  # what a newer language means is not for this one to judge
    found.extend(of_tokens)
    if tokens is None:
        return Parsed(source, None, None), tuple(found)
    raw = parse_tokens(source, tokens, found)
    recipe: tree.Recipe | None = Builder(source, tokens, found).recipe(raw)
    if recipe is not None and len(every := _flat(recipe.statements)) > MAX_STATEMENTS:
        at = Label(source, every[MAX_STATEMENTS].span, "one too many")
        message = f"a recipe has at most {MAX_STATEMENTS:,} statements"
        found.say("E042", message, at, help="split it, or shorten it")
        recipe = None
    return Parsed(source, recipe, tokens), tuple(found)


def size(parsed: Parsed) -> tuple[int, int]:
    """How many statements and tokens a text has, for limits on several texts together."""
    statements = len(_flat(parsed.recipe.statements)) if parsed.recipe is not None else 0
    return statements, len(parsed.tokens.stream) if parsed.tokens is not None else 0


def _flat(statements: tuple[tree.Statement, ...]) -> list[tree.Statement]:
    """Statements and those inside them, as they stand in the text."""
    out: list[tree.Statement] = []
    for statement in statements:
        out += [statement, *(_flat(statement.body) if isinstance(statement, tree.Block) else ())]
    return out


def _version_is_known(tokens: Tokens, source: Source, diagnostics: Diagnostics) -> bool:
    """Read before anything else, so that a tool that is too old says so even if the rest does not parse."""
    stream = [token for token in tokens.stream if token.type != "NL"][:2]
    if len(stream) < 2 or stream[0].type != "RECIPE" or stream[1].type != "NUMBER":
        return True
    text = str(stream[1])
    parts = text.split(".")
    known = all(p.isdigit() for p in parts) and tuple(int(p) for p in (*parts, "0"))[:2] <= LANGUAGE and parts[0] != "0"
    if not known:
        ours = ".".join(map(str, LANGUAGE))
        diagnostics.say(
            "E011",
            f"this recipe needs language version {text}",
            Label(source, span_of(stream[1])),
            notes=(f"this recipelang reads versions up to {ours}",),
            help="install a newer recipelang, or write `recipe 1`",
        )
    return known

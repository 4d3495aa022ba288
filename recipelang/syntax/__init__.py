"""Text to tree. Never raises: mistakes are diagnostics, and the tree is always whole."""

from __future__ import annotations

from dataclasses import dataclass

from recipelang.source import Diagnostic, Diagnostics, Label, Source, Span
from recipelang.syntax import tree as tree
from recipelang.syntax.build import Builder
from recipelang.syntax.parser import parse_tokens
from recipelang.syntax.tokens import Tokens, tokenise

#: The version of the language that this release reads.
LANGUAGE = (1, 0)
MAX_BYTES = 64 * 1024
MAX_STATEMENTS = 2_000


@dataclass(frozen=True)
class Parsed:
    source: Source
    recipe: tree.Recipe | None
    tokens: Tokens | None


def parse(source: Source, diagnostics: Diagnostics) -> Parsed:
    """Parse one file; `recipe` is `None` only when a limit was broken or the version is unknown."""
    if len(source.text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        message = f"a recipe has at most {MAX_BYTES // 1024} KiB"
        diagnostics.add(Diagnostic("E042", message, Label(source, Span(0, 0)), help=("split it, or shorten it",)))
        return Parsed(source, None, None)
    tokens = tokenise(source, diagnostics)
    if tokens is None or not _version_is_known(tokens, source, diagnostics):
        return Parsed(source, None, tokens)
    raw = parse_tokens(source, tokens, diagnostics)
    recipe: tree.Recipe | None = Builder(source, tokens, diagnostics).recipe(raw)
    if recipe is not None and _count(recipe.statements) > MAX_STATEMENTS:
        diagnostics.add(
            Diagnostic("E042", f"a recipe has at most {MAX_STATEMENTS:,} statements", Label(source, Span(0, 0)))
        )
        recipe = None
    return Parsed(source, recipe, tokens)


def _count(statements: tuple[tree.Statement, ...]) -> int:
    return sum(1 + _count(s.body) if isinstance(s, tree.Block) else 1 for s in statements)


def _version_is_known(tokens: Tokens, source: Source, diagnostics: Diagnostics) -> bool:
    """Read before anything else, so that a tool that is too old says so even if the rest does not parse."""
    from recipelang.syntax.tokens import span_of

    stream = [token for token in tokens.stream if token.type != "NL"][:2]
    if len(stream) < 2 or stream[0].type != "RECIPE" or stream[1].type != "NUMBER":
        return True
    text = str(stream[1])
    parts = text.split(".")
    known = all(p.isdigit() for p in parts) and tuple(int(p) for p in (*parts, "0"))[:2] <= LANGUAGE and parts[0] != "0"
    if not known:
        ours = ".".join(map(str, LANGUAGE))
        diagnostics.add(
            Diagnostic(
                "E011",
                f"this recipe needs language version {text}",
                Label(source, span_of(stream[1])),
                notes=(f"this recipelang reads versions up to {ours}",),
                help=("install a newer recipelang, or write `recipe 1`",),
            )
        )
    return known

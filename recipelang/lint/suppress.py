"""Comments that allow a finding: `# recipe: allow(L020) distillation is the ablation`.

A comment speaks of the statement on its own line, or else of the one below it, as
far as that reaches: above a block's header, of the whole block. Only tokens are
looked at, so it does not matter which file of a recipe holds it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recipelang.lint.every_rule import CODES, DEFAULTS, code_of
from recipelang.source import Diagnostic, Label, Source, Span
from recipelang.source.suggest import closest, instead
from recipelang.source.text import Sources
from recipelang.syntax import grammar

if TYPE_CHECKING:
    from lark import Token

_COMMENT = re.compile(r"#\s*recipe:\s*(\w+)\s*\(([^)]*)\)?\s*(.*)")
_WORD = re.compile(r"[\w-]+")
_OPEN, _CLOSE = ("LBRACE", "LPAR", "LSQB"), ("RBRACE", "RPAR", "RSQB")


@dataclass(frozen=True)
class Suppression:
    """`rules`: each as written, where, and its code if there is such a rule. `reach`: what it speaks of."""

    span: Span
    verb: str
    rules: tuple[tuple[str, Span, str | None], ...]
    reason: str
    reach: Span

    @property
    def acts(self) -> bool:
        return self.verb == "allow" and bool(self.reason)


def suppressions(source: Source) -> list[Suppression]:
    files = source.files if isinstance(source, Sources) else (source,)
    return [found for file in files if "recipe:" in file.text for found in _of_file(file)]


def covering(diagnostic: Diagnostic, comments: list[Suppression]) -> list[Suppression]:
    """The comments that allow a finding."""
    if diagnostic.primary is None:
        return []
    at = diagnostic.primary.span.start
    return [
        c
        for c in comments
        if c.acts and c.reach.start <= at < c.reach.end and diagnostic.code in [code for _, _, code in c.rules]
    ]


def doubtful(
    source: Source, comments: list[Suppression], used: set[tuple[int, str]], judged: set[str]
) -> list[Diagnostic]:
    """What is wrong with the comments themselves; one for a rule that was not judged may well be needed elsewhere."""
    found: list[Diagnostic] = []
    for comment in comments:
        at = Label(source, comment.span)
        if comment.verb != "allow":
            found.append(_unknown(source, "word", comment.verb, _find(source, comment), ["allow"]))
            continue
        if not comment.rules:
            help = "write its code or name, as in `# recipe: allow(L020) distillation is the ablation`"
            found.append(Diagnostic("W112", "this `allow` names no rule", at, help=(help,)))
            continue
        for word, span, code in comment.rules:
            if code is None:
                found.append(_unknown(source, "rule", word, span, [*CODES, *DEFAULTS]))
        if not comment.reason:
            help = "give the reason after the bracket, as in `# recipe: allow(L020) distillation is the ablation`"
            found.append(Diagnostic("W110", "this `allow` has no reason, so it has no effect", at, help=(help,)))
            continue
        if isinstance(source, Sources) and comment.span.start >= source.files[0].end:
            continue  # of a base or a library: it may be needed there, or by another child
        for word, span, code in comment.rules:
            if code in judged and (comment.span.start, code) not in used:
                message = f"`allow({word})` matches no finding here"
                help = "remove it, or put it on the line above the finding's place"
                found.append(Diagnostic("W111", message, Label(source, span), help=(help,)))
    return found


def _unknown(source: Source, what: str, word: str, span: Span, known: list[str]) -> Diagnostic:
    near = closest(word, known) or (known[0] if len(known) == 1 else None)
    help = f"did you mean `{near}`?" if near else "`recipelang lint` shows the code of each finding"
    fixes = instead(word, near, span, known)
    return Diagnostic("W112", f"unknown {what} `{word}` in a comment", Label(source, span), help=(help,), fixes=fixes)


def _find(source: Source, comment: Suppression) -> Span:
    offset = source.slice(comment.span).index(comment.verb, source.slice(comment.span).index("recipe:") + 7)
    return Span(comment.span.start + offset, comment.span.start + offset + len(comment.verb))


def _of_file(file: Source) -> list[Suppression]:
    tokens = [token for token in grammar.lex(file.text) if token.type != "WS"]
    found = []
    for index, token in enumerate(tokens):
        match = _COMMENT.match(token) if token.type == "COMMENT" else None
        if match is None:
            continue
        start = file.base + (token.start_pos or 0)
        rules = tuple(
            (word[0], Span(at := start + match.start(2) + word.start(), at + len(word[0])), code_of(word[0]))
            for word in _WORD.finditer(match[2])
        )
        span = Span(start, start + len(token.rstrip()))
        found.append(Suppression(span, match[1], rules, match[3].strip(), _reach(tokens, index, file.base)))
    return found


def _reach(tokens: list[Token], index: int, base: int) -> Span:
    """From the start of the statement on the comment's line, or the next one, to where its brackets are closed."""
    first = index
    while first > 0 and tokens[first - 1].type != "NL":
        first -= 1
    while first < len(tokens) and tokens[first].type in ("NL", "COMMENT"):
        first += 1
    if first == len(tokens):
        return Span(base, base)
    depth, end = 0, first
    while end < len(tokens) and (depth > 0 or tokens[end].type != "NL"):
        depth += (tokens[end].type in _OPEN) - (tokens[end].type in _CLOSE)
        end += 1
    return Span(base + (tokens[first].start_pos or 0), base + (tokens[end - 1].end_pos or 0))

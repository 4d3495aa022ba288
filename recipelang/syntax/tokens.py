"""From text to the tokens the parser sees.

The lexer is total; this step takes out white space and comments, folds line
ends, drops them inside brackets, and reports characters that mean nothing. A
line inside an open bracket that looks like a statement ends the bracket: one
local mistake instead of a swallowed file.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field

from lark import Token

from recipelang.source import Diagnostics, Edit, Fix, Label, Source, Span
from recipelang.source.diagnostic import LIMIT
from recipelang.syntax import grammar

KEYWORDS = frozenset(
    [
        "recipe",
        "extends",
        "use",
        "param",
        "let",
        "set",
        "patch",
        "unset",
        "require",
        "expect",
        "prefer",
        "if",
        "then",
        "else",
        "and",
        "or",
        "not",
        "in",
        "except",
        "per",
        "true",
        "false",
        "none",
        "as",
    ]
)
_STATEMENT_WORDS = frozenset(["EXTENDS", "USE", "PARAM", "LET", "SET", "PATCH", "UNSET", "REQUIRE", "EXPECT", "PREFER"])

MAX_TOKENS = 20_000
MAX_NESTING = 64
MAX_OPERATORS = 256

_TRIVIA = frozenset({"WS", "COMMENT"})
_OPERATORS = frozenset(
    [
        "PLUS",
        "MINUS",
        "STAR",
        "SLASH",
        "VBAR",
        "AMPERSAND",
        "ARROW",
        "DOTS",
        "IF",
        "THEN",
        "ELSE",
        "AND",
        "OR",
        "NOT",
        "IN",
        "EXCEPT",
        "PER",
        "CMP",
        "PM",
        "BANG",
    ]
)
_CLOSERS = {"LPAR": "RPAR", "LSQB": "RSQB"}


@dataclass(repr=False, eq=False)
class Tokens:
    """`all` concatenates to the source; `stream` is what the parser reads."""

    all: list[Token]
    stream: list[Token] = field(default_factory=list)
    docs: dict[int, str] = field(default_factory=dict)  # start of a statement -> its `##` lines


def span_of(token: Token) -> Span:
    return Span(token.start_pos or 0, token.end_pos or 0)


def tokenise(source: Source, diagnostics: Diagnostics, room: int = MAX_TOKENS) -> Tokens | None:
    """`None` when the text breaks a limit: nothing after that would be cheap."""
    tokens = Tokens(grammar.lex(source.text))
    if (excess := one_too_many(tokens.all, room)) is not None:
        at = Label(source, span_of(excess), "one too many")
        message = f"a recipe has at most {MAX_TOKENS:,} tokens"
        diagnostics.say("E042", message, at, help="split it, or shorten it")
        return None
    _characters(source, diagnostics)
    significant = _significant(tokens, source, diagnostics)
    tokens.stream = _fold(significant)
    return tokens if _within_limits(tokens.stream, source, diagnostics) else None


def one_too_many(tokens: list[Token], room: int = MAX_TOKENS) -> Token | None:
    """The first token beyond the limit; twice as many may stand where white space and comments are counted too."""
    telling = [t for t in tokens if t.type not in _TRIVIA]
    return next(iter(telling[room:] or tokens[MAX_TOKENS * 2 :]), None)


def _characters(source: Source, diagnostics: Diagnostics) -> None:
    """Control and bidirectional characters hide what a text says: refused anywhere, comments too."""
    found = 0
    for offset, char in enumerate(source.text):
        if found > LIMIT:
            return  # more of them are never shown
        if char in _FORBIDDEN or (char == "\r" and source.text[offset + 1 : offset + 2] != "\n"):
            found += 1
            diagnostics.say(
                "E002",
                f"character U+{ord(char):04X} is not allowed in a recipe",
                Label(source, Span(offset, offset + 1)),
                help="delete it: it is invisible on screen and can hide what the text says",
                fixes=(_deletion(char, Span(offset, offset + 1)),),
            )


def _deletion(char: str, at: Span) -> Fix:
    """A character without width changes nothing that is seen; any other may have stood for a space or a line end."""
    return Fix("delete it", (Edit(at, ""),), "safe" if unicodedata.category(char) == "Cf" else "unsafe")


_FORBIDDEN = frozenset(
    [chr(c) for c in range(0x20) if chr(c) not in "\t\n\r"]
    + [chr(c) for c in range(0x7F, 0xA0)]
    + [chr(c) for c in (0x200E, 0x200F, 0x61C, *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0xFEFF)]
)


def _significant(tokens: Tokens, source: Source, diagnostics: Diagnostics) -> list[Token]:
    out: list[Token] = []
    doc: list[str] = []
    strange: set[int] = set()  # lines with a character that was reported: one finding says enough
    opened = 0  # `{` of this line that wait for their `}`
    read = 0  # where the last string in single quotes ended
    for token in tokens.all:
        closers: list[Token] = []
        if (token.start_pos or 0) < read:
            continue
        match token.type:
            case "WS":
                continue
            case "COMMENT":
                if token.startswith("##"):
                    doc.append(token[2:].strip())
                continue
            case "BAD" if quoted := _single_quoted(token, source, diagnostics):
                token, read = quoted, quoted.end_pos or 0
            case "BAD" if token == "%" and out and out[-1].type == "NUMBER":
                out[-1] = _percent(out[-1], token, source, diagnostics)
                continue
            case "BAD":
                line = source.position(span_of(token).start)[0]
                if token[0] not in _FORBIDDEN and line not in strange:
                    strange.add(line)
                    _bad_character(token, source, diagnostics)
                continue
            case "BADSTR":
                diagnostics.say(
                    "E003",
                    "this string is not closed",
                    Label(source, span_of(token)),
                    help='end it with `"` on the same line, or use `"""` for several lines',
                )
                token, closers = _closed(token, opened)
        if token.type != "NL" and doc:
            tokens.docs[token.start_pos or 0] = "\n".join(doc)
            doc = []
        opened = 0 if token.type == "NL" else max(0, opened + (token.type == "LBRACE") - (token.type == "RBRACE"))
        out += [token, *closers]
    return out


def _closed(token: Token, opened: int) -> tuple[Token, list[Token]]:
    """An open string as a whole one, and the `}` at its end that close what its own line opened."""
    text = str(token).rstrip()
    found = min(opened, len(text) - len(text.rstrip("}"))) if "\\" not in text[-1:] else 0
    closers = []
    for offset in range(len(text) - found, len(text)):
        closer = Token.new_borrow_pos("RBRACE", "}", token)
        closer.start_pos, closer.end_pos = (token.start_pos or 0) + offset, (token.start_pos or 0) + offset + 1
        closers.append(closer)
    string = Token.new_borrow_pos("STRING", text[: len(text) - found].rstrip("\\") + '"', token)
    if closers:
        string.end_pos = closers[0].start_pos
    return string, closers


def _single_quoted(token: Token, source: Source, diagnostics: Diagnostics) -> Token | None:
    """`'text'` as the string that was meant, reported once."""
    start = token.start_pos or 0
    end = source.text.find("'", start + 1)
    inside = source.text[start + 1 : end]
    if token != "'" or end < 0 or any(c in inside for c in '\n"'):
        return None
    at = Span(start, end + 1)
    text = f'"{inside}"'
    # inside double quotes these may mean something that they did not mean here
    fixes = (Fix("use double quotes", (Edit(at, text),), "unsafe" if set(inside) & set("\\{$") else "safe"),)
    message = "strings are written with double quotes"
    diagnostics.say("E002", message, Label(source, at), help=f"write `{text}`", fixes=fixes)
    string = Token.new_borrow_pos("STRING", text, token)
    string.end_pos = end + 1
    return string


def _percent(number: Token, sign: Token, source: Source, diagnostics: Diagnostics) -> Token:
    """`90 %` as the ratio that was meant."""
    text = f"{number}%"
    at, whole = span_of(sign), span_of(number).to(span_of(sign))
    fixes: tuple[Fix, ...] = (Fix(f"write `{text}`", (Edit(whole, text),)),)
    message, help = f"unexpected character `{sign}`", f"write `{text}`, without a space"
    if "e" in number.lower():
        help, fixes = "a ratio has no exponent: write it as `0.05%`", ()
    diagnostics.say("E002", message, Label(source, at), help=help, fixes=fixes)
    ratio = Token.new_borrow_pos("PERCENT", text, number)
    ratio.end_pos = sign.end_pos
    return ratio


def _bad_character(token: Token, source: Source, diagnostics: Diagnostics) -> None:
    hints = {
        "'": 'strings use `"`',
        ";": "statements end with the line",
        "%": "a ratio is written `90%`, without a space",
    }
    hint = hints.get(token[0])
    diagnostics.say("E002", f"unexpected character `{token}`", Label(source, span_of(token)), help=hint)


def _fold(tokens: list[Token]) -> list[Token]:
    """Fold runs of NL into one, and drop NL inside ( ) and [ ]."""
    out: list[Token] = []
    open_brackets: list[str] = []
    given_up: list[str] = []  # brackets that ended with their line: a closer alone on a line belongs to one
    for index, token in enumerate(tokens):
        kind = token.type
        if kind in _CLOSERS:
            open_brackets.append(_CLOSERS[kind])
        elif open_brackets and kind == open_brackets[-1]:
            open_brackets.pop()
        elif given_up and kind == given_up[-1] and out[-1].type == "NL":
            given_up.pop()
            continue
        elif kind in ("LBRACE", "RBRACE"):
            open_brackets.clear()
            given_up.clear()
        elif kind == "NL":
            if open_brackets:
                if not _statement_ahead(tokens, index + 1, out):
                    continue
                given_up += open_brackets
                open_brackets.clear()
            if out and out[-1].type == "NL":
                continue
        out.append(token)
    return out


def _statement_ahead(tokens: list[Token], index: int, before: list[Token]) -> bool:
    """Whether the line at `index` begins a statement, although a bracket is open."""
    while index < len(tokens) and tokens[index].type == "NL":
        index += 1
    ahead = [t.type for t in tokens[index : index + 4]] + ["NL"] * 4
    if ahead[0] in _STATEMENT_WORDS or ahead[0] == "RBRACE":
        return True
    if ahead[0] != "NAME":
        return False
    if ahead[1] == "LBRACE" or (ahead[1] in ("NAME", "STRING") and ahead[2] == "LBRACE"):
        return True
    assigns = ahead[1] in ("EQUAL", "ADDS", "TAKES")
    # `name = value` after `(` or `,` may be a named argument; anywhere else it is an attribute
    return assigns and bool(before) and before[-1].type not in ("LPAR", "COMMA")


def _within_limits(stream: list[Token], source: Source, diagnostics: Diagnostics) -> bool:
    depth, operators = 0, 0
    for token in stream:
        if token.type in ("LPAR", "LSQB", "LBRACE"):
            depth += 1
        elif token.type in ("RPAR", "RSQB", "RBRACE"):
            depth = max(0, depth - 1)
        elif token.type == "NL":
            operators = 0
        elif token.type in _OPERATORS or token.type == "COMMA":
            operators += token.type != "COMMA"
        problem = None
        if depth > MAX_NESTING:
            problem = f"brackets are nested deeper than {MAX_NESTING}"
        elif operators > MAX_OPERATORS:
            problem = f"one expression has more than {MAX_OPERATORS} operators"
        if problem:
            diagnostics.say("E044", problem, Label(source, span_of(token)), help="split it up")
            return False
    return True

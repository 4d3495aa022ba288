"""One style for recipes, from the tokens alone: it changes white space, `+/-`, and nothing else.

Indentation comes from brackets; spaces from the kinds of neighbours; `=` lines
up in runs of attributes that stand on one line each, comments behind the code
likewise. Nothing is reordered, wrapped or dropped. A line that cannot be read
is copied as it is, so files with mistakes can be formatted too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

from lark import Token

from recipelang.source import Diagnostics, Source, fail
from recipelang.source.words import limit_text
from recipelang.syntax import MAX_BYTES, MAX_TOKENS, grammar, parse
from recipelang.syntax.tokens import one_too_many

INDENT = "  "
#: a longer name, and a longer line before a comment, is aligned with nothing: others would move far to the right
LONG_NAME, LONG_LINE = 40, 120
_OPEN, _CLOSE = {"LPAR", "LSQB", "LBRACE"}, {"RPAR", "RSQB", "RBRACE"}
_ASSIGN = {"EQUAL", "ADDS", "TAKES"}
#: after these (or at the start of a line) `-` is a sign
_BEFORE_SIGN = _OPEN | _ASSIGN | {
    "COMMA", "DOTS", "ARROW", "CMP", "PM", "PLUS", "MINUS", "STAR", "SLASH", "VBAR", "AMPERSAND", "BANG",
    "IF", "THEN", "ELSE", "AND", "OR", "NOT", "IN", "EXCEPT", "REQUIRE", "EXPECT", "PREFER",
}  # fmt: skip
#: a range ends at these, when they stand outside its own brackets
_AROUND_RANGE = _ASSIGN | {"COMMA", "IN", "CMP", "ARROW", "PM", "IF", "THEN", "ELSE", "AND", "OR", "NL", "COLON"}


class NotTheSame(AssertionError):
    """Formatting would have changed more than white space: a bug, found before anything is written."""


def format(text: str) -> str:
    """The text in the one style, with line ends `\\n`.

    Raises:
        NotTheSame: the result would mean something else, or would not be stable.
        RecipeError: E042, it has more tokens than a recipe may have, or so would the result have bytes.
    """
    if one_too_many(grammar.lex(text)) is not None:
        raise fail("E042", f"a recipe has at most {MAX_TOKENS:,} tokens", help="split it, or shorten it")
    out = _format(text)
    if len(out.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        help = "split it, nest blocks less, or shorten long lines, with which others are aligned"
        raise fail("E042", f"the formatted recipe would be larger than {limit_text(MAX_BYTES)}", help=help)
    if _meaning(out) != _meaning(text) or _format(out) != out:
        raise NotTheSame
    return out


def _meaning(text: str) -> object:
    """What formatting must keep: tokens and comments in their order, and the tree of a file without mistakes."""
    tokens = [(t.type, _written(t)) for t in grammar.lex(text) if t.type not in ("WS", "NL")]
    found = Diagnostics()
    recipe = parse(Source("", text), found).recipe
    return tokens, None if found.errors else recipe


@dataclass
class _Line:
    """`code` is without comment and indentation; `name` and `operator` are those of an attribute on one line."""

    depth: int = 0
    code: str = ""
    comment: str = ""
    name: str = ""
    operator: str = ""
    raw: bool = False
    tokens: list[Token] = field(default_factory=list)


def _format(text: str) -> str:
    lines = list(_lines(text))
    _align_assignments(lines)
    _align_comments(lines)
    out: list[str] = []
    for line in lines:
        written = line.code if line.raw else (INDENT * line.depth + line.code + line.comment).rstrip()
        if written or (out and out[-1]):  # at most one empty line, none at the top
            out.append(written)
    return "\n".join(out).rstrip("\n") + "\n" if any(out) else ""


def _lines(text: str) -> Iterator[_Line]:
    depth = 0
    row: list[Token] = []
    for token in [*grammar.lex(text), Token("NL", "\n")]:
        if token.type != "NL":
            row.append(token)
            continue
        telling = [t for t in row if t.type != "WS"]
        yield _line(row, telling, depth)
        depth = max(0, depth + sum((t.type in _OPEN) - (t.type in _CLOSE) for t in telling))
        row = []


def _line(row: list[Token], telling: list[Token], depth: int) -> _Line:
    returns = [t for t in row if t.type == "WS" and "\r" in t]
    if returns and (returns != row[-1:] or row[-1].count("\r") > 1 or not row[-1].endswith("\r")):
        return _Line(code="".join(row), raw=True)  # a control character that is reported: not ours to take out
    if any(t.type in ("BAD", "BADSTR") for t in telling):
        return _Line(code="".join(row[:-1] if row[-1].type == "WS" else row), raw=True)
    comment = str(telling.pop()).rstrip() if telling and telling[-1].type == "COMMENT" else ""
    closing = 0
    while closing < len(telling) and telling[closing].type in _CLOSE:
        closing += 1
    line = _Line(max(0, depth - closing), _joined(telling), comment, tokens=telling)
    balance = sum((t.type in _OPEN) - (t.type in _CLOSE) for t in telling)
    if len(telling) > 2 and telling[0].type == "NAME" and telling[1].type in _ASSIGN and balance == 0:
        line.name, line.operator = str(telling[0]), str(telling[1])
        line.code = _joined(telling[2:], after=telling[1])
    return line


def _align_assignments(lines: list[_Line]) -> None:
    """In a run of attributes, the `=` of all in one column; comments between them do not end it."""
    run: list[_Line] = []
    for line in [*lines, _Line(raw=True)]:
        if line.name and (not run or run[0].depth == line.depth):
            run.append(line)
        elif not (line.comment and not line.code and not line.raw):
            _put_together(run)
            run = [line] if line.name else []


def _put_together(run: list[_Line]) -> None:
    width = max((len(a.name) + len(a.operator) for a in run if len(a.name) <= LONG_NAME), default=0)
    for a in run:
        a.code = f"{a.name}{' ' * (max(0, width - len(a.name) - len(a.operator)) + 1)}{a.operator} {a.code}"


def _align_comments(lines: list[_Line]) -> None:
    """Two spaces before a comment; those of neighbouring lines start in one column."""
    run: list[_Line] = []
    for line in [*lines, _Line(raw=True)]:
        if line.comment and line.code and not line.raw:
            run.append(line)
            continue
        lengths = [len(INDENT) * a.depth + len(a.code.rpartition("\n")[2]) for a in run]
        width = max((length for length in lengths if length <= LONG_LINE), default=0)
        for a, length in zip(run, lengths, strict=True):
            a.comment = " " * (max(0, width - length) + 2) + a.comment
        run = []


def _joined(tokens: list[Token], after: Token | None = None) -> str:
    text = ""
    airy = _ranges_of_sums(tokens)
    sign = False  # whether the token before is a sign, which clings to its number
    for i, token in enumerate(tokens):
        before = tokens[i - 1] if i else None
        if before is not None and ((not sign and _spaced(tokens, i, airy)) or _fuse(_written(before), _written(token))):
            text += " "
        text += _written(token)
        last = before or after
        sign = token.type == "BANG" or (token.type == "MINUS" and (last is None or last.type in _BEFORE_SIGN))
    return text


@cache
def _fuse(a: str, b: str) -> bool:
    """Whether two tokens side by side would be read as others: `!` and `=`."""
    return [str(t) for t in grammar.lex(a + b)] != [a, b]


def _written(token: Token) -> str:
    if token.type == "PM":
        return "±"
    if token.type == "COMMENT":
        return str(token).rstrip()
    return str(token).replace("\r\n", "\n")


def _spaced(tokens: list[Token], i: int, airy: set[int]) -> bool:
    """Whether a space stands before `tokens[i]`."""
    a, b = tokens[i - 1].type, tokens[i].type
    if b in ("COMMA", "RPAR", "RSQB", "COLON", "DOT") or a in ("LPAR", "LSQB"):
        return False
    if a == "NAME" and b == "LPAR":
        return False
    if a == "DOT" and b == "NAME":
        return False
    if a == "LBRACE" and b == "RBRACE":
        return False
    if a == "DOT" and b in ("NUMBER", "PERCENT", "NM"):
        return True  # in `2. 5` the two numbers would become one
    if "DOTS" in (a, b):
        return (i if b == "DOTS" else i - 1) in airy
    return True


def _ranges_of_sums(tokens: list[Token]) -> set[int]:
    """Where ranges `..` stand of which one end is a sum: they need air around the dots."""
    sums: list[list[bool]] = [[False]]  # one for each open bracket: whether what stands there now is a sum
    ranges: list[tuple[int, list[bool], list[bool]]] = []
    for i, token in enumerate(tokens):
        kind = token.type
        if kind in _OPEN:
            sums.append([False])
        elif kind in _CLOSE:
            sums.pop()
            sums = sums or [[False]]
        elif kind == "DOTS":
            before, sums[-1] = sums[-1], [False]
            ranges.append((i, before, sums[-1]))
        elif kind in _AROUND_RANGE:
            sums[-1] = [False]
        elif kind == "PLUS" or (kind == "MINUS" and i and tokens[i - 1].type not in _BEFORE_SIGN):
            sums[-1][0] = True
    return {i for i, *ends in ranges if any(is_sum for (is_sum,) in ends)}

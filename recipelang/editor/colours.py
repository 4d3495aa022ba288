"""Which kind each word of a recipe is, for colouring by meaning."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from recipelang.editor.document import Document
from recipelang.editor.names import definitions
from recipelang.source.frozen import frozen
from recipelang.syntax import grammar
from recipelang.syntax.tokens import KEYWORDS
from recipelang.values.quantities import UNITS

#: names of the protocol, in the order by which tokens refer to them
SORTS = (
    "keyword", "class", "property", "function", "parameter", "variable", "enumMember", "decorator", "string", "number",
    "comment", "operator", "regexp", "type", "namespace",
)  # fmt: skip
MODIFIERS = ("declaration", "documentation")

_BY_TYPE = {
    "STRING": "string", "MLSTRING": "string", "BADSTR": "string", "REGEX": "regexp", "NUMBER": "number",
    "PERCENT": "number", "NM": "number", "ROLE": "decorator", "COMMENT": "comment", "ARROW": "operator",
    "DOTS": "operator", "PM": "operator", "CMP": "operator",
}  # fmt: skip


@frozen
class Coloured:
    """A piece of the text on one line, and its sort."""

    start: int
    end: int
    sort: str
    modifiers: tuple[str, ...] = ()


def coloured(document: Document) -> list[Coloured]:
    """In the order of the text; white space and brackets have no colour."""
    return [piece for found in _tokens(document) for piece in _by_line(document.text, found)]


def _tokens(document: Document) -> Iterator[Coloured]:
    known = {name: kind for kind, name in definitions(document)}
    tokens = [t for t in grammar.lex(document.text) if t.type != "WS"]
    opens: list[str] = []
    for before, (token, after) in zip([None, *tokens], pairwise([*tokens, None]), strict=False):
        if token is None:
            continue
        start, end = token.start_pos or 0, token.end_pos or 0
        if token.type in ("LPAR", "LSQB", "LBRACE"):
            opens.append(token.type)
        elif token.type in ("RPAR", "RSQB", "RBRACE"):
            opens[-1:] = []
        if token.type == "COMMENT":
            yield Coloured(start, end, "comment", ("documentation",) if token.startswith("##") else ())
        elif token in KEYWORDS:
            yield Coloured(start, end, "keyword")
        elif token.type == "NAME":
            yield _name(str(token), start, end, before, after, opens, known)
        elif token.type in _BY_TYPE:
            yield Coloured(start, end, _BY_TYPE[token.type])


def _name(
    name: str, start: int, end: int, before: object, after: object, opens: list[str], known: dict[str, str]
) -> Coloured:
    last, next_ = getattr(before, "type", "NL"), getattr(after, "type", "NL")
    if last in ("NL", "LBRACE", "PATCH") or (last == "COMMA" and opens[-1:] in ([], ["LBRACE"])):
        if next_ in ("EQUAL", "ADDS", "TAKES"):
            return Coloured(start, end, "property")
        return Coloured(start, end, "class")
    if last in ("PARAM", "LET"):
        return Coloured(start, end, "variable", ("declaration",))
    if last == "AS":
        return Coloured(start, end, "namespace", ("declaration",))
    if last == "COLON":
        return Coloured(start, end, "type")
    if last == "NAME" and next_ in ("LBRACE", "NAME"):
        return Coloured(start, end, "variable", ("declaration",))  # the label of a block
    if last in ("NUMBER", "PER") and name in UNITS:
        return Coloured(start, end, "type")
    if next_ == "LPAR":
        return Coloured(start, end, "function")
    if next_ == "EQUAL" and opens[-1:] == ["LPAR"]:
        return Coloured(start, end, "parameter")
    if last == "DOT":
        return Coloured(start, end, "property")
    if known.get(name) == "use":
        return Coloured(start, end, "namespace")
    return Coloured(start, end, "variable" if name in known else "enumMember")


def _by_line(text: str, token: Coloured) -> Iterator[Coloured]:
    """A string of several lines as one piece a line: not every editor takes them whole."""
    start = token.start
    for line in text[token.start : token.end].splitlines(keepends=True):
        end = start + len(line)
        yield Coloured(start, start + len(line.rstrip("\r\n")), token.sort, token.modifiers)
        start = end

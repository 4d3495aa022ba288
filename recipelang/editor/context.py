"""Where a cursor stands in a recipe that need not be whole: in which blocks, behind which attribute, in which call."""

from __future__ import annotations

import re
from typing import Literal

from lark import Token

from recipelang.editor.document import Document
from recipelang.kinds.base import Kind
from recipelang.source import Diagnostics, Source, Span
from recipelang.source.frozen import frozen
from recipelang.spec.attribute import Attr, Spec
from recipelang.spec.blocks import BLOCKS, TopSpec
from recipelang.spec.study_blocks import STUDY_BLOCKS
from recipelang.syntax import grammar
from recipelang.syntax.tokens import tokenise

Where = Literal["statement", "value", "string", "type", "comment", "name", "claim"]

_WORD = re.compile(r"(?:@\w*|(?<!\w)[A-Za-z_]\w*(?:\.\w*)*)$")
#: characters before the cursor in which its word begins
_NEAR = 256
_CLAIMS = ("REQUIRE", "EXPECT", "PREFER")
_OPENS = {"LPAR": "RPAR", "LSQB": "RSQB"}


@frozen
class Call:
    """An open bracket: the function before it, how many commas came since, and the argument that is being written."""

    function: str
    commas: int = 0
    argument: str | None = None


@frozen
class Context:
    """`blocks`: kinds from outside in. `word`: what has been written of the name at the cursor, with its place.

    `header`: the words of the statement before the cursor, where it is no attribute. `before`: the kind and text of the
    token before the word.
    """

    where: Where
    blocks: tuple[str, ...]
    word: str
    span: Span
    attribute: str | None = None
    calls: tuple[Call, ...] = ()
    header: tuple[str, ...] = ()
    before: tuple[str, str] = ("", "")

    @property
    def spec(self) -> type[Spec] | None:
        """What may stand in the block at hand."""
        return spec_of(self.blocks)

    @property
    def kind(self) -> Kind | None:
        """What the value of the attribute at hand must be."""
        attr = self.attr
        return attr.kind if attr is not None else None

    @property
    def attr(self) -> Attr | None:
        return self.spec.attributes().get(self.attribute or "") if self.spec is not None else None


def spec_of(blocks: tuple[str, ...]) -> type[Spec] | None:
    """The schema of a block inside others, by their kinds."""
    if not blocks:
        return TopSpec
    table = BLOCKS.get(blocks[-2] if len(blocks) > 1 else "", {})
    if len(blocks) > 2:
        return None
    return table.get(blocks[-1]) or (STUDY_BLOCKS[""].get(blocks[0]) if len(blocks) == 1 else None)


def context(document: Document, offset: int) -> Context:
    """What is known of an offset from the text before it."""
    text = document.text[:offset]
    last = next((t for t in reversed(grammar.lex(text)) if t.type != "WS"), None)
    at_end = last is not None and last.end_pos == len(text)
    inside = last.type if last is not None and at_end else ""
    if inside == "COMMENT":
        return Context("comment", (), "", Span(offset, offset))
    if inside == "BADSTR" and last is not None:
        start = (last.start_pos or 0) + (3 if last.startswith('"""') else 1)
        return _read(document, text[: last.start_pos], "string", Span(start, offset))
    match = _WORD.search(text[-_NEAR:])
    start = offset - len(match[0]) if match else offset
    return _read(document, text[:start], None, Span(start, offset))


def _read(document: Document, before: str, where: Where | None, span: Span) -> Context:
    """`before`: the text up to the word or string at the cursor."""
    tokens = tokenise(Source(document.source.name, before), Diagnostics())
    stream = tokens.stream if tokens is not None else []
    blocks, statement = _statement(stream)
    kinds = [t.type for t in statement]
    word = document.text[span.start : span.end]
    last = (statement[-1].type, str(statement[-1])) if statement else ("", "")
    header = tuple(str(t) for t in statement)
    attribute, calls = None, _calls(statement)
    found: Where
    if kinds[:1] in (["NAME"], ["LET"], ["SET"], ["PARAM"]) and {"EQUAL", "ADDS", "TAKES"} & set(kinds):
        found = "value"
        attribute = header[0] if kinds[0] == "NAME" else None
    elif kinds[:1] and kinds[0] in _CLAIMS:
        found = "claim"
    elif kinds[:1] == ["PARAM"]:
        found = "type" if "COLON" in kinds else "name"
    elif not statement:
        found = "statement"
    else:
        found = "name"
    return Context(where or found, blocks, word, span, attribute, calls, header, last)


def _statement(stream: list[Token]) -> tuple[tuple[str, ...], list[Token]]:
    """The kinds of the open blocks, and the tokens of the statement that is being written."""
    blocks: list[str] = []
    statement: list[Token] = []
    for token in stream:
        match token.type:
            case "LBRACE":
                words = [str(t) for t in statement if t.type not in ("PATCH", "STRING")]
                blocks.append(words[0] if words else "")
                statement = []
            case "RBRACE":
                blocks[-1:] = []
                statement = []
            case "NL":
                statement = []
            case "COMMA" if not _calls(statement) and not _is_claim(statement):
                statement = []  # `data { train = "a", dev = "b" }`
            case _:
                statement.append(token)
    return tuple(blocks), statement


def _is_claim(statement: list[Token]) -> bool:
    return bool(statement) and statement[0].type in _CLAIMS


def _calls(statement: list[Token]) -> tuple[Call, ...]:
    """The brackets that are open, from outside in."""
    found: list[Call] = []
    for index, token in enumerate(statement):
        if token.type in _OPENS:
            before = statement[index - 1] if index else None
            is_call = token.type == "LPAR" and before is not None and before.type == "NAME"
            found.append(Call(_dotted(statement[:index]) if is_call else ""))
        elif token.type in _OPENS.values():
            found[-1:] = []
        elif token.type == "COMMA" and found:
            found[-1] = Call(found[-1].function, found[-1].commas + 1)
        elif token.type == "EQUAL" and found and statement[index - 1].type == "NAME":
            found[-1] = Call(found[-1].function, found[-1].commas, str(statement[index - 1]))
    return tuple(found)


def _dotted(tokens: list[Token]) -> str:
    """The name that ends here, `a` or `a.b`."""
    start = len(tokens) - 1
    while start > 1 and tokens[start - 1].type == "DOT" and tokens[start - 2].type == "NAME":
        start -= 2
    return "".join(tokens[start:])

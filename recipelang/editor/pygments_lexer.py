"""Recipes in colour wherever Pygments colours code: Sphinx, MkDocs, rich, notebooks. Found by the name `recipe`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from pygments.lexer import Lexer
from pygments.token import Comment, Keyword, Name, Number, Operator, String, Text, Token

from recipelang.editor.colours import coloured
from recipelang.editor.document import Document

_TOKENS = {
    "keyword": Keyword,
    "class": Keyword.Type,
    "property": Name.Attribute,
    "function": Name.Function,
    "parameter": Name.Variable,
    "variable": Name.Variable,
    "enumMember": Name.Constant,
    "decorator": Name.Decorator,
    "string": String,
    "number": Number,
    "comment": Comment,
    "operator": Operator,
    "regexp": String.Regex,
    "type": Name.Builtin,
    "namespace": Name.Namespace,
}


class RecipeLexer(Lexer):
    """The tokens of an editor, as those of Pygments; what has no colour is text, so that nothing of a text is lost."""

    name = "Recipe"
    aliases: ClassVar = ["recipe"]
    filenames: ClassVar = ["*.recipe"]

    def get_tokens_unprocessed(self, text: str) -> Iterator[tuple[int, type[Token], str]]:  # type: ignore[valid-type]
        at = 0
        for piece in coloured(Document("text.recipe", text)):
            if at < piece.start:
                yield at, Text, text[at : piece.start]
            sort = String.Doc if "documentation" in piece.modifiers else _TOKENS[piece.sort]
            yield piece.start, sort, text[piece.start : piece.end]
            at = piece.end
        if at < len(text):
            yield at, Text, text[at:]

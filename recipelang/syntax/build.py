"""From lark's tree to ours: spans, exact numbers, decoded strings. No vocabulary.

Depth is bounded by the limits in `tokens` (64 brackets, 256 operators), so
plain recursion over expressions is safe; blocks count as brackets.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from typing import cast

from lark import Token, Tree

from recipelang.source import Diagnostics, Label, Source, Span
from recipelang.syntax import tree as t
from recipelang.syntax.tokens import Tokens, span_of

MAX_DIGITS = 40
MAX_EXPONENT = 60


class Builder:
    def __init__(self, source: Source, tokens: Tokens, diagnostics: Diagnostics) -> None:
        self.source = source
        self.docs = tokens.docs
        self.diagnostics = diagnostics
        self.edges: dict[tuple[int, int], int] = {}  # (id of a node, side) -> offset; the tree outlives the builder

    # ------------------------------------------------------------- statements
    def recipe(self, tree: Tree[Token]) -> t.Recipe:
        parts = [c for c in tree.children if isinstance(c, Tree)]
        header = parts[0]
        version = cast(Token, header.children[1])
        name = header.children[2] if len(header.children) > 2 else None
        return t.Recipe(
            str(version),
            self._literal(cast(Token, name)) if name is not None else None,
            tuple(s for part in parts[1:] for s in self.statements(part)),
            span=Span(0, len(self.source.text)),
            version_span=span_of(version),
            doc=self.docs.get(self._span(header).start, ""),
        )

    def statements(self, tree: Tree[Token]) -> list[t.Statement]:
        if tree.data == "inline":
            return [self.statement(c) for c in tree.children if isinstance(c, Tree)]
        return [self.statement(tree)]

    def statement(self, tree: Tree[Token]) -> t.Statement:
        span = self._span(tree)
        doc = self.docs.get(span.start, "")
        c = tree.children
        match tree.data:
            case "attr":
                name = cast(Token, c[0])
                return t.Attribute(str(name), str(c[1]), self.expr(c[2]), span=span, doc=doc, name_span=span_of(name))
            case "block":
                return self._block(tree, span, doc)
            case "param":
                return self._param(c, span, doc)
            case "let":
                name = cast(Token, c[1])
                return t.Let(str(name), self.expr(c[3]), span=span, doc=doc, name_span=span_of(name))
            case "require" | "expect" | "prefer":
                message = cast(t.Text, self.expr(c[3])) if len(c) > 3 else None
                return t.Claim(str(tree.data), self.expr(c[1]), message, span=span, doc=doc)
            case "error_stmt":
                return t.Broken(str(c[0]), span=span, doc=doc)
            case "extends":
                reference = cast(Token, c[1])
                return t.Extends(self._text(reference, span_of(reference)), span=span, doc=doc)
            case "use":
                reference, alias = cast(Token, c[1]), cast(Token, c[3])
                text = self._text(reference, span_of(reference))
                return t.Use(text, str(alias), span=span, doc=doc, alias_span=span_of(alias))
            case "patch":
                block = cast("Tree[Token]", c[1])
                return t.Patch(self._block(block, self._span(block), doc), span=span, doc=doc)
            case "set":
                return t.Set(self.path(cast("Tree[Token]", c[1])), self.expr(c[3]), span=span, doc=doc)
        return t.Unset(self.path(cast("Tree[Token]", c[1])), span=span, doc=doc)

    def _block(self, tree: Tree[Token], span: Span, doc: str) -> t.Block:
        kind = cast(Token, tree.children[0])
        labels = [cast(Token, c.children[0]) for c in tree.children if isinstance(c, Tree) and c.data == "label"]
        body = next(c for c in tree.children if isinstance(c, Tree) and c.data == "body")
        statements = tuple(s for c in body.children if isinstance(c, Tree) for s in self.statements(c))
        return t.Block(
            str(kind),
            tuple(self._literal(x) if x.type == "STRING" else str(x) for x in labels),
            statements,
            span=span,
            doc=doc,
            kind_span=span_of(kind),
            label_spans=tuple(span_of(x) for x in labels),
        )

    def _param(self, c: list[Token | Tree[Token]], span: Span, doc: str) -> t.Param:
        name = cast(Token, c[1])
        within = default = None
        for keyword, value in zip(c[4::2], c[5::2], strict=False):
            if str(keyword) == "in":
                within = self.expr(value)
            else:
                default = self.expr(value)
        return t.Param(str(name), self.expr(c[3]), within, default, span=span, doc=doc, name_span=span_of(name))

    # ------------------------------------------------------------ expressions
    def expr(self, node: Token | Tree[Token]) -> t.Expr:
        span = self._span(node)
        if isinstance(node, Token):
            return self._leaf(node, span)
        c = node.children
        match node.data:
            case "group":
                return self.expr(c[1])
            case "unit":
                number, unit = cast(Token, c[0]), cast(Token, c[1])
                return t.Number(self._number(number), str(unit), span=span, unit_span=span_of(unit))
            case "bool":
                return t.Constant({"true": True, "false": False}.get(str(c[0])), span=span)
            case "string":
                return self._text(cast(Token, c[0]), span)
            case "ref":
                return self.path(cast("Tree[Token]", c[0]))
            case "call":
                arguments = (self._argument(a) for a in c[2:-1] if not (isinstance(a, Token) and a.type == "COMMA"))
                return t.Call(self.path(cast("Tree[Token]", c[0])), tuple(arguments), span=span)
            case "list":
                items = [x for x in c[1:-1] if not (isinstance(x, Token) and x.type == "COMMA")]
                return t.ListOf(tuple(self.expr(x) for x in items), span=span)
            case "neg" | "complement" | "not_":
                return t.Unary(str(c[0]), self.expr(c[1]), span=span)
            case "cond":
                return t.If(self.expr(c[1]), self.expr(c[3]), self.expr(c[5]), span=span)
            case "rate":
                unit = cast(Token, c[2])
                right = t.Path((str(unit),), span=span_of(unit))
                return t.Binary("per", self.expr(c[0]), right, span=span, operator_span=self._span(c[1]))
        operator = cast(Token, c[1])
        symbol = "±" if operator.type == "PM" else str(operator)
        return t.Binary(symbol, self.expr(c[0]), self.expr(c[2]), span=span, operator_span=span_of(operator))

    def _argument(self, node: Token | Tree[Token]) -> t.Argument:
        span = self._span(node)
        if isinstance(node, Tree) and node.data == "named":
            name = cast(Token, node.children[0])
            return t.Argument(str(name), self.expr(node.children[2]), span_of(name), span=span)
        return t.Argument(None, self.expr(node), span=span)

    def path(self, node: Tree[Token]) -> t.Path:
        names = tuple(str(x) for x in node.children if isinstance(x, Token) and x.type == "NAME")
        return t.Path(names, span=self._span(node))

    def _leaf(self, token: Token, span: Span) -> t.Expr:
        match token.type:
            case "NUMBER":
                return t.Number(self._number(token), span=span)
            case "PERCENT":
                return t.Number(Fraction(self._number(token, str(token)[:-1])) / 100, percent=True, span=span)
            case "NM":
                n, m = str(token).split(":")
                return t.NM(int(self._number(token, n)), int(self._number(token, m)), span=span)
            case "REGEX":
                return t.Pattern(str(token)[3:-1].replace('\\"', '"'), span=span)
            case "ROLE":
                return t.Role(str(token)[1:], span=span)
        return self._text(token, span)

    def _number(self, token: Token, text: str | None = None) -> Fraction:
        text = (text if text is not None else str(token)).replace("_", "")
        mantissa, _, exponent = text.lower().partition("e")
        if (
            sum(ch.isdigit() for ch in mantissa) > MAX_DIGITS
            or len(exponent) > 4
            or abs(int(exponent or 0)) > MAX_EXPONENT
        ):
            self.diagnostics.say(
                "E020",
                "this number is too large or too precise",
                Label(self.source, span_of(token)),
                help=f"at most {MAX_DIGITS} digits and exponents within ±{MAX_EXPONENT}",
            )
            return Fraction(1)
        return Fraction(text)

    # ---------------------------------------------------------------- strings
    def _literal(self, token: Token) -> str:
        """A string where no interpolation is possible (labels, the header's name)."""
        text = self._text(token, span_of(token))
        return "".join(p if isinstance(p, str) else "${" + p.text + "}" for p in text.parts)

    def _text(self, token: Token, span: Span) -> t.Text:
        raw = str(token)
        offsets: Sequence[int]
        if token.type == "MLSTRING":
            body, offsets = _block(raw[3:-3], span.start + 3)
        else:
            body, offsets = raw[1:-1], range(span.start + 1, span.end)
        parts: list[str | t.Path] = [""]
        last = 0
        for match in _SPECIAL.finditer(body):
            parts[-1] = cast(str, parts[-1]) + body[last : match.start()]
            last = match.end()
            if match["name"]:
                at = Span(offsets[match.start("name")], offsets[match.end("name") - 1] + 1)
                parts += [t.Path(tuple(match["name"].split(".")), span=at), ""]
            else:
                at = Span(offsets[match.start()], offsets[match.end() - 1] + 1)
                parts[-1] = cast(str, parts[-1]) + self._escape(match.group(), at)
        parts[-1] = cast(str, parts[-1]) + body[last:]
        return t.Text(tuple(p for p in parts if p != ""), span=span)

    def _escape(self, text: str, at: Span) -> str:
        """The character that `\\n` or `\\u{...}` stands for; anything else is reported and left out."""
        escape = text[1:]
        if escape in _ESCAPES and text[0] == "\\":
            return _ESCAPES[escape]
        if escape[0] == "u" and (code := int(escape[2:-1] or "110000", 16)) <= 0x10FFFF and not 0xD800 <= code < 0xE000:
            return chr(code)
        if text[0] == "$":
            message, help = "`${` must hold a name", "write `${name}`, or `\\$` for a dollar sign"
        else:
            message, help = f"unknown escape `{text}`", 'these are known: `\\n \\t \\" \\\\ \\$ \\u{...}`'
        self.diagnostics.say("E002", message, Label(self.source, at), help=help)
        return ""

    def _span(self, node: Token | Tree[Token]) -> Span:
        if isinstance(node, Token):
            return span_of(node)
        return Span(self._edge(node, 0), self._edge(node, -1))

    def _edge(self, node: Token | Tree[Token], side: int) -> int:
        """Where a node begins (0) or ends (-1). Remembered for every node on the way: chains are long and lean left."""
        if isinstance(node, Tree) and node.children and isinstance(last := node.children[side], Token):
            node = last
        if isinstance(node, Token):
            return (node.end_pos if side else node.start_pos) or 0
        way: list[tuple[int, int]] = []
        at = None
        while at is None:
            if isinstance(node, Token):
                at = span_of(node).end if side else span_of(node).start
                continue
            key = (id(node), side)
            at = self.edges.get(key)
            if at is None:
                way.append(key)
                children = reversed(node.children) if side else node.children
                full = next((c for c in children if isinstance(c, Token) or c.children), None)
                if full is None:
                    at = 0
                else:
                    node = full
        self.edges.update(dict.fromkeys(way, at))
        return at


_ESCAPES = {"n": "\n", "t": "\t", '"': '"', "\\": "\\", "$": "$"}


#: what is not itself inside a string: an escape, or an interpolated name
_SPECIAL = re.compile(
    r"\\(?:u\{[0-9A-Fa-f]{0,6}\}|.)|\$\{(?:\s*(?P<name>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)\s*\})?",
    re.S,
)


def _block(raw: str, start: int) -> tuple[str, list[int]]:
    """The text of a `\"\"\"` string and where each of its characters stands.

    The first line end and the indentation of the closing quotes are taken out; line ends are LF.
    """
    lines: list[tuple[str, int]] = []
    for line in raw.split("\n"):
        lines.append((line.removesuffix("\r"), start))
        start += len(line) + 1
    indent = lines[-1][0]
    if len(lines) > 1 and not lines[0][0]:
        del lines[0]
    if len(lines) > 1 and not indent.strip():
        del lines[-1]
    else:
        indent = ""
    text, offsets = "", []
    for number, (line, at) in enumerate(lines):
        if number:
            text += "\n"
            offsets.append(lines[number - 1][1] + len(lines[number - 1][0]))
        kept = line.removeprefix(indent)
        text += kept
        offsets += range(at + len(line) - len(kept), at + len(line))
    return text, offsets

"""The documentation of one recipe: its comments, parameters, blocks and claims, as Markdown.

It shows what is written, so a base that lacks values has a page too; where a name stands for a value that is
known, the value stands beside it. Nothing of a recipe is taken for markup.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from recipelang.reference.markdown import block, code, line, page, plain, table
from recipelang.source import Source
from recipelang.spec.attribute import Spec
from recipelang.spec.blocks import BLOCKS
from recipelang.spec.compose import Composed
from recipelang.spec.effective import shown
from recipelang.spec.recipe import Checked
from recipelang.syntax import tree as t
from recipelang.syntax.grammar import lex
from recipelang.values.composite import Schedule

#: kind of a claim -> what becomes of it
CLAIMS = {"require": "checked before the run", "expect": "fails the run", "prefer": "warns"}


def text(checked: Checked, file: str) -> str:
    """`checked` has no errors; `file` is how the recipe is named on a command line."""
    assert checked.composed is not None
    return _Page(checked, checked.composed).text(file)


class _Page:
    def __init__(self, checked: Checked, composed: Composed) -> None:
        self.parsed = checked.parsed
        self.source: Source = composed.source
        self.tree = composed.tree
        self.names = {s.name for s in self.tree.statements if isinstance(s, t.Param | t.Let)}
        self.specs: Mapping[str, Spec] = dict(checked.recipe.blocks()) if checked.recipe else {}

    def text(self, file: str) -> str:
        blocks = [s for s in self.tree.statements if isinstance(s, t.Block)]
        meta = [b for b in blocks if b.kind == "meta"]
        return page(
            line(self.tree.name or "A recipe without a name"),
            *(plain(doc) for doc in (self.tree.doc, *(b.doc for b in meta)) if doc),
            self._bases(),
            *(self._meta(b) for b in meta),
            self._parameters(file),
            self._lets(),
            *(part for b in blocks if b.kind != "meta" for part in self._block(b, "", ())),
            self._claims(),
        )

    def _bases(self) -> str:
        own = self.parsed.recipe.statements if self.parsed.recipe else ()
        named = [self.parsed.source.slice(s.reference.span)[1:-1] for s in own if isinstance(s, t.Extends)]
        return f"Extends {code(named[0])}; inherited values are included on this page." if named else ""

    def _meta(self, node: t.Block) -> str:
        rows = [(a.name, self._value(a.value)) for a in _attributes(node)]
        return table(("about", ""), rows) if rows else ""

    def _parameters(self, file: str) -> str:
        found = [s for s in self.tree.statements if isinstance(s, t.Param)]
        if not found:
            return ""
        rows = [
            (
                code(p.name),
                code(self._slice(p.type)),
                code(self._slice(p.within)) if p.within else "",
                self._default(p),
                line(p.doc),
            )
            for p in found
        ]
        free = [p for p in found if not p.fixed]
        asked = [p for p in free if p.default is None] or free[:1]
        call = block(f"recipelang run {file}" + "".join(f" -p {p.name}=..." for p in asked))
        return "\n\n".join(
            ["## Parameters", table(("parameter", "type", "within", "default", "description"), rows), call]
        )

    def _default(self, param: t.Param) -> str:
        value = code(self._slice(param.default)) if param.default else "**needs a value**"
        return f"{value}, fixed" if param.fixed else value

    def _lets(self) -> str:
        rows = [
            (code(s.name), code(self._slice(s.value)), line(s.doc))
            for s in self.tree.statements
            if isinstance(s, t.Let)
        ]
        return f"## Names\n\n{table(('name', 'value', 'description'), rows)}" if rows else ""

    def _block(self, node: t.Block, parent: str, inside: tuple[str, ...]) -> Iterator[str]:
        """A heading, what its comment says, its attributes, and the blocks inside."""
        spec = BLOCKS.get(parent, {}).get(node.kind)
        path = (*inside, node.kind, *node.labels)
        yield f"{'###' if inside else '##'} {line(' '.join((node.kind, *node.labels)))}"
        yield plain(node.doc)
        rows = [
            (code(a.name), self._value(a.value, self._known(".".join(path), a.name)), self._says(a, spec))
            for a in _attributes(node)
        ]
        yield table(("attribute", "value", "description"), rows) if rows else ""
        for child in node.body:
            if isinstance(child, t.Block):
                yield from self._block(child, node.kind, path)

    def _says(self, attribute: t.Attribute, spec: type[Spec] | None) -> str:
        """The recipe's own words, else those of the language."""
        known = spec.attributes() if spec else {}
        return line(attribute.doc) or (known[attribute.name].doc if attribute.name in known else "")

    def _known(self, path: str, name: str) -> str:
        """What an attribute came to; nothing in a base, and for schedules, which are read as they are written."""
        spec = self.specs.get(path)
        if spec is None or isinstance(getattr(spec, name, None), Schedule):
            return ""
        return shown(spec, name)

    def _value(self, value: t.Expr, known: str = "") -> str:
        if isinstance(value, t.Edited) and known:
            return code(known)
        text = self._slice(value)
        named = any(token.type == "NAME" and str(token) in self.names for token in lex(text))
        return code(text) + (f" = {code(known)}" if named and known and known != text else "")

    def _claims(self) -> str:
        found = [s for s in self.tree.statements if isinstance(s, t.Claim)]
        rows = [(s.kind, code(self._slice(s.condition)), self._message(s), CLAIMS[s.kind]) for s in found]
        return f"## Claims\n\n{table(('', 'claim', 'message', 'if it does not hold'), rows)}" if rows else ""

    def _message(self, claim: t.Claim) -> str:
        return line(self._slice(claim.message)[1:-1]) if claim.message else ""

    def _slice(self, node: t.Expr) -> str:
        """An expression on one line, as written, without comments."""
        if isinstance(node, t.Edited):
            return f"{self._slice(node.inherited)} {node.operator} {self._slice(node.change)}"
        tokens = lex(self.source.slice(node.span))
        return " ".join("".join(str(token) for token in tokens if token.type != "COMMENT").split())


def _attributes(node: t.Block) -> Iterator[t.Attribute]:
    return (s for s in node.body if isinstance(s, t.Attribute))

"""The documentation of one recipe: its comments, parameters, blocks and claims, as Markdown.

It shows what is written, so a base that lacks values has a page too; where a name stands for a value that is
known, the value stands beside it. Nothing of a recipe is taken for markup.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from recipelang.reference.attributes import written
from recipelang.reference.markdown import block, code, line, page, plain, table
from recipelang.source import Source
from recipelang.spec.attribute import Spec
from recipelang.spec.blocks import BLOCKS
from recipelang.spec.check import Checked
from recipelang.syntax import tree as t
from recipelang.syntax.grammar import lex
from recipelang.values.composite import Schedule

#: kind of a claim -> what becomes of it
CLAIMS = {"require": "checked before the run", "expect": "fails the run", "prefer": "a warning only"}


def text(checked: Checked, file: str) -> str:
    """`checked` has a tree; `file` is how the recipe is named on a command line."""
    assert checked.parsed.recipe is not None
    return _Page(checked, checked.parsed.recipe).text(file)


class _Page:
    def __init__(self, checked: Checked, tree: t.Recipe) -> None:
        self.source: Source = checked.parsed.source
        self.tree = tree
        self.names = {s.name for s in tree.statements if isinstance(s, t.Param | t.Let)}
        self.specs: Mapping[str, Spec] = dict(checked.recipe.blocks()) if checked.recipe else {}

    def text(self, file: str) -> str:
        blocks = [s for s in self.tree.statements if isinstance(s, t.Block)]
        meta = [b for b in blocks if b.kind == "meta"]
        return page(
            line(self.tree.name or "A recipe without a name"),
            *(plain(doc) for doc in (self.tree.doc, *(b.doc for b in meta)) if doc),
            *(self._meta(b) for b in meta),
            self._parameters(file),
            self._lets(),
            *(part for b in blocks if b.kind != "meta" for part in self._block(b, "", ())),
            self._claims(),
        )

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
                code(self._slice(p.default)) if p.default else "**needs a value**",
                line(p.doc),
            )
            for p in found
        ]
        call = f"recipelang run {file}" + "".join(f" -p {p.name}=..." for p in found if p.default is None)
        call += f" -p {found[0].name}=..." if all(p.default for p in found) else ""
        return "\n\n".join(
            ["## Parameters", table(("parameter", "type", "within", "default", "what it is"), rows), block(call)]
        )

    def _lets(self) -> str:
        rows = [
            (code(s.name), code(self._slice(s.value)), line(s.doc))
            for s in self.tree.statements
            if isinstance(s, t.Let)
        ]
        return f"## Names\n\n{table(('name', 'stands for', 'what it is'), rows)}" if rows else ""

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
        yield table(("attribute", "value", "what it says"), rows) if rows else ""
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
        value = getattr(spec, name, None)
        if spec is None or isinstance(value, Schedule):
            return ""
        return written(value, spec.attributes()[name].kind)

    def _value(self, value: t.Expr, known: str = "") -> str:
        text = self._slice(value)
        named = any(token.type == "NAME" and str(token) in self.names for token in lex(text))
        return code(text) + (f" = {code(known)}" if named and known and known != text else "")

    def _claims(self) -> str:
        found = [s for s in self.tree.statements if isinstance(s, t.Claim)]
        rows = [(s.kind, code(self._slice(s.condition)), self._message(s), CLAIMS[s.kind]) for s in found]
        return f"## Claims\n\n{table(('', 'claim', 'because', 'when it does not hold'), rows)}" if rows else ""

    def _message(self, claim: t.Claim) -> str:
        return line(self._slice(claim.message)[1:-1]) if claim.message else ""

    def _slice(self, node: t.Expr) -> str:
        """An expression on one line, as written, without comments."""
        tokens = lex(self.source.slice(node.span))
        return " ".join("".join(str(token) for token in tokens if token.type != "COMMENT").split())


def _attributes(node: t.Block) -> Iterator[t.Attribute]:
    return (s for s in node.body if isinstance(s, t.Attribute))

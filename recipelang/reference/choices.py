"""Names that take arguments, from `spec/methods.py`, and patterns, from `values/composite.py`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from recipelang.kinds.choice import Signature
from recipelang.kinds.text import chosen
from recipelang.reference.markdown import block, code, page, table
from recipelang.spec.blocks import PruneSpec
from recipelang.spec.methods import METHODS, OPTIMIZERS
from recipelang.values.composite import PATTERNS


def text() -> str:
    return page(
        "Methods, optimizers, patterns",
        "A method or an optimizer is a name, alone or with arguments by name; what is left out has its default.",
        "## Methods\n\n`method` of a `prune` block: how weights are ranked.",
        *_signatures(METHODS),
        "## Optimizers\n\n`optimizer` of a stage.",
        *_signatures(OPTIMIZERS),
        "## Patterns\n\n`pattern` of a `prune` block: which weights may become zero together.",
        table(("pattern", "what it means", ""), map(_pattern, PATTERNS)),
    )


def _signatures(table_of: Mapping[str, Signature]) -> Iterator[str]:
    for signature in table_of.values():
        rows = (
            (code(a.name), _type(a.kind.symbols, a.kind.name, a.kind.within), code(a.kind.text(a.default)), a.doc)
            for a in signature.arguments
        )
        yield f"### {signature.name}\n\n{signature.doc[0].upper()}{signature.doc[1:]}."
        yield table(("argument", "type", "default", "what it says"), rows)
        yield block(chosen(signature.default()))


def _type(symbols: tuple[str, ...], name: str, within: str) -> str:
    return " or ".join(map(code, symbols)) if symbols else code(name) + (f", {within}" if within else "")


def _pattern(form: str) -> tuple[str, ...]:
    later = form.partition("(")[0] in PruneSpec.attributes()["pattern"].later
    return code(form), PATTERNS[form], "not in this release yet" if later else ""

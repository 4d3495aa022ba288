"""L072: the same value, written again and again."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.lint.subject import Finding, Subject
from recipelang.syntax import tree as t

CODE, NAME, LEVEL, NEEDS = "L072", "repeated-literal", "info", "tree"
#: the same number of the same attribute, and the same reference anywhere
NUMBERS, REFERENCES = 3, 2


def check(it: Subject) -> Iterator[Finding]:
    groups: dict[tuple[str, object], list[t.Expr]] = {}
    for block in it.tree.statements:
        for node in t.nodes(block) if isinstance(block, t.Block) and block.kind != "meta" else ():
            if isinstance(node, t.Attribute):
                key = _key(node)
                seen = groups.setdefault(key, []) if key is not None else []
                if all(node.value.span != other.span for other in seen):  # a repeated stage has it in all its stages
                    seen.append(node.value)
    for (name, _), values in groups.items():
        if len(values) >= (NUMBERS if name else REFERENCES):
            text = it.source.slice(values[0].span)
            shown = f"{name} = {text}" if name else text
            help = f"define it once, `let {name or 'reference'} = {text}`, and use the name"
            yield Finding(
                values[0].span,
                f"`{shown}` is written {len(values)} times",
                help,
                None,
                tuple(v.span for v in values[1:]),
            )


def _key(node: t.Attribute) -> tuple[str, object] | None:
    """What makes two values the same: attribute and number, or the reference alone. 0 and 1 are no one's choice."""
    match node.value:
        case t.Number(value=value) if value not in (0, 1):
            return node.name, node.value
        case t.Text(parts=(str() as text,)) if "/" in text:
            return "", text
    return None

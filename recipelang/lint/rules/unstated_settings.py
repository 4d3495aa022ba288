"""L097: a speed is expected, and what it is measured over is left to the defaults."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.lint.subject import Finding, Subject
from recipelang.lint.walk import claims
from recipelang.source import Edit, Fix, Span
from recipelang.spec.figures import SETTINGS, TIMES
from recipelang.syntax import tree as t

CODE, NAME, LEVEL, NEEDS = "L097", "unstated-settings", "info", "tree"


def check(it: Subject) -> Iterator[Finding]:
    for claim in (c for c in claims(it.tree) if c.kind == "expect"):
        for node in t.nodes(claim.condition):
            if not isinstance(node, t.Call) or node.function.text not in TIMES or not node.arguments:
                continue
            given = {a.name for a in node.arguments}
            left = {n: kind.text(default) for n, (kind, default, _) in SETTINGS.items() if n not in given}
            if left:
                text = ", ".join(f"{name} = {value}" for name, value in left.items())
                end = node.arguments[-1].value.span.end
                fix = Fix("write the settings", (Edit(Span(end, end), f", {text}"),))
                message = f"`{node.function.text}` does not say what it is measured over"
                yield Finding(node.span, message, f"add `{text}`: the defaults", fix)

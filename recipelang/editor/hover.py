"""What the word under the cursor means, with its value where it has one."""

from __future__ import annotations

from recipelang.editor import facts
from recipelang.editor.context import context, spec_of
from recipelang.editor.document import Document
from recipelang.editor.names import Definition, definition
from recipelang.reference.markdown import block, code, plain
from recipelang.source import Span
from recipelang.source.frozen import frozen
from recipelang.spec.blocks import BLOCKS
from recipelang.spec.compose import paths
from recipelang.spec.study_blocks import STUDY_BLOCKS
from recipelang.spec.trace import Trace, trace
from recipelang.syntax import tree as t


@frozen
class Hover:
    """Markdown, and the word that it is about."""

    text: str
    span: Span


def hover(document: Document, offset: int) -> Hover | None:
    """None where there is nothing to say."""
    span = document.word(offset)
    word = document.text[span.start : span.end]
    if not word or context(document, span.start).where == "comment":
        return None
    found = definition(document, offset)
    if found is not None:
        return Hover(_of_definition(document, found), span)
    text = _of_statement(document, span, word) or _in_value(document, span, word)
    return Hover(text, span) if text else None


def _of_definition(document: Document, found: Definition) -> str:
    parts = [block(found.detail, facts.LANGUAGE) if found.detail else "", plain(found.doc)]
    if found.kind in ("param", "let"):
        parts.append(_traced(document, found.name))
    if found.document.source.name != document.source.name:
        parts.append(f"Defined in {code(found.document.source.name)}.")
    return "\n\n".join(filter(None, parts))


def _of_statement(document: Document, span: Span, word: str) -> str | None:
    """A block's kind or an attribute's name."""
    at = context(document, span.start)
    if at.where != "statement":
        return None
    kind_of_block = BLOCKS.get(at.blocks[-1] if at.blocks else "", {}).get(word) or (
        STUDY_BLOCKS[""].get(word) if not at.blocks else None
    )
    spec = spec_of(at.blocks)
    if spec is not None and word in spec.attributes():
        path = _path(document, span)
        value = _traced(document, path) if path else ""
        return "\n\n".join(filter(None, (facts.of_attribute(word, spec.attributes()[word], spec), value)))
    return facts.of_block(word, kind_of_block) if kind_of_block is not None else facts.of_name(word)


def _in_value(document: Document, span: Span, word: str) -> str | None:
    at = context(document, span.start)
    call = next((c for c in reversed(at.calls) if c.function), None)
    if call is not None and document.text[span.end :].lstrip()[:1] == "=":
        return facts.of_argument(call.function, word)
    return facts.of_name(word.rpartition(".")[2])


def _path(document: Document, span: Span) -> str | None:
    """The path of the attribute whose name stands here."""
    for path, statement in paths(document.statements, ""):
        if isinstance(statement, t.Attribute) and statement.name_span.start == span.start:
            return path
    return None


def _traced(document: Document, path: str) -> str:
    """The value as it counts, and where it was written."""
    checked = document.checked
    if checked.composed is None or checked.evaluator is None:
        return ""
    found = trace(checked, {}, path)
    if found is None or found.value is None:
        return ""
    lines = [f"Value: {code(found.value)}", *(f"- {code(text)}" for text in _links(found))]
    return lines[0] + ("\n\n" + "\n".join(lines[1:]) if len(lines) > 1 else "")


def _links(found: Trace) -> list[str]:
    own = [f"{link.place}: {link.text}" for link in found.links if link.place and not link.replaced]
    used = [
        f"{link.place}: {link.text}" for use in found.uses for link in use.links if link.place and not link.replaced
    ]
    return [*own, *used][:8]

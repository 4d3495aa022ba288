"""The call that a cursor stands in, with its arguments."""

from __future__ import annotations

from recipelang.editor import facts
from recipelang.editor.context import context
from recipelang.editor.document import Document
from recipelang.kinds.schedule import arguments_of
from recipelang.schedules.shapes import SHAPES
from recipelang.source.frozen import frozen


@frozen
class Help:
    """A call as text, its arguments as `(text, doc)`, and the number of the one that is being written."""

    label: str
    doc: str
    arguments: tuple[tuple[str, str], ...]
    active: int | None


def help(document: Document, offset: int) -> Help | None:
    at = context(document, offset)
    call = next((c for c in reversed(at.calls) if c.function), None)
    if call is None:
        return None
    found = facts.signature(call.function)
    if found is not None:
        arguments = [(a.name, f"{a.name} = {a.kind.text(a.default)}", a.doc) for a in found.arguments]
        doc = found.sentence
    elif call.function in SHAPES:
        shape = SHAPES[call.function]
        arguments = [("", "a -> b", "first and last value")]
        arguments += [(name, f"{name} = {kind}", doc) for name, (kind, doc) in arguments_of(call.function).items()]
        doc = f"{shape.doc}: {shape.formula}"
    else:
        return None
    names = [name for name, _, _ in arguments]
    active = names.index(call.argument) if call.argument in names else call.commas if names[:1] == [""] else None
    label = f"{call.function}({', '.join(text for _, text, _ in arguments)})"
    shown = tuple((text, doc) for _, text, doc in arguments)
    return Help(label, doc, shown, active if active is not None and active < len(shown) else None)

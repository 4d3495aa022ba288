"""What a word of the language means, on the screen: rows fold, nothing is cut off."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence

from rich.text import Text

from recipelang.cli import screen
from recipelang.kinds.choice import Signature
from recipelang.kinds.schedule import arguments_of
from recipelang.methods.declaration import Method
from recipelang.reference.attributes import default, header, says
from recipelang.schedules.shapes import SHAPES
from recipelang.spec.attribute import Attr, Spec


def width() -> int:
    """Of the terminal; 100 columns in a pipe."""
    return shutil.get_terminal_size((100, 24)).columns if sys.stdout.isatty() else 100


def heading(title: str, doc: str = "") -> None:
    """A title, and what it is."""
    if title:
        screen.console().print(Text(title, "bold"), soft_wrap=True)
    if doc:
        screen.tell("\n".join(textwrap.wrap(" ".join(doc.split()), width())))


def rows(found: Iterable[Sequence[str]]) -> None:
    """Columns of which the last folds; no line ends in blanks."""
    cells = [[plain(cell) for cell in row] for row in found]
    if not cells:
        return
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]) - 1)]
    room = max(width() - sum(widths) - 2 * len(widths) - 2, 24)
    for row in cells:
        head = "  " + "".join(cell.ljust(w + 2) for cell, w in zip(row, widths, strict=False))
        lines = textwrap.wrap(row[-1], room) or [""]
        screen.tell("\n".join(f"{head if not n else ' ' * len(head)}{line}".rstrip() for n, line in enumerate(lines)))


def plain(text: str) -> str:
    """Markdown of the reference as words for a terminal."""
    return text.replace("**", "").replace("\\|", "|")


def block(kind: str, spec: type[Spec], parents: Sequence[str], inner: Sequence[str]) -> None:
    """A block with its attributes."""
    heading(header(kind, spec), spec.__doc__ or "")
    screen.tell(
        f"Stands inside {', '.join(f'`{p}`' for p in parents)}." if any(parents) else "Stands at the top of the file."
    )
    if inner:
        screen.tell(f"Holds the blocks {', '.join(f'`{name}`' for name in inner)}.")
    screen.tell()
    rows(_row(name, attr, spec) for name, attr in spec.attributes().items())


def attribute(name: str, attr: Attr, spec: type[Spec], of: str) -> None:
    """An attribute of one block."""
    heading(f"{name}, in {of}" if of else f"{name}, at the top of the file", plain(says(attr)))
    rows(filter(lambda row: row[1], (("type", _type(attr)), ("default", _default(name, attr, spec)))))
    screen.tell(f"\n    {name} = {attr.example}")


def function(signature: Signature, what: str) -> None:
    """A method or an optimizer with its arguments."""
    heading(f"{signature.name}, {what}", signature.sentence)
    if signature.arguments:
        screen.tell()
        rows((a.name, a.kind.text(a.default), a.doc) for a in signature.arguments)
    if isinstance(signature, Method) and signature.sources:
        screen.tell(f"\nSource: {', '.join(signature.sources)}.")


def argument(name: str, of: str, kind: str, default: str, doc: str) -> None:
    """An argument of a method, an optimizer or of shapes."""
    heading(f"{name}, an argument of {of}", doc)
    rows(row for row in (("type", kind), ("default", default)) if row[1])


def shape(name: str) -> None:
    """A shape of schedules: its formula and its arguments."""
    its = SHAPES[name]
    heading(f"{name}, a shape of schedules", its.doc)
    screen.tell(f"From `a` to `b`, with x from 0 to 1 over the window: {its.formula}\n\n    {its.example}\n")
    rows((n, kind, doc) for n, (kind, doc) in arguments_of(name).items())


def _row(name: str, attr: Attr, spec: type[Spec]) -> tuple[str, str, str]:
    return name, _default(name, attr, spec), says(attr)


def _default(name: str, attr: Attr, spec: type[Spec]) -> str:
    return default(name, attr, spec).replace("`", "").replace("*", "")


def _type(attr: Attr) -> str:
    return attr.kind.name + (f", {attr.kind.within}" if attr.kind.within else "")

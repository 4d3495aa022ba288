"""What rich prints, with the control characters of names and paths spelt out, whatever put them there."""

from __future__ import annotations

import io
from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderableType, RenderHook
from rich.segment import Segment

from recipelang.source.render import clean


class Cleaned(RenderHook):
    """Colours and cursor movements are rich's own segments; text is cleaned when it has become segments."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_Clean(r) for r in renderables]


class _Clean:
    def __init__(self, renderable: ConsoleRenderable) -> None:
        self.renderable = renderable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterable[Segment]:
        found = console.render(self.renderable, options)
        for segment in found if console.is_terminal else _without_ends(found):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield Segment(clean(segment.text), segment.style)


def _without_ends(segments: Iterable[Segment]) -> Iterable[Segment]:
    """Without the blanks at the ends of lines, with which rich fills its tables."""
    blanks: list[Segment] = []
    for segment in segments:
        for number, line in enumerate(segment.text.split("\n")):
            if number:
                blanks.clear()
                yield Segment("\n")
            text = line.rstrip(" ")
            if text:
                yield from (*blanks, Segment(text, segment.style))
                blanks.clear()
            if text != line:
                blanks.append(Segment(line[len(text) :], segment.style))
    yield from blanks


def plain(renderable: RenderableType, width: int) -> str:
    """The same as text without colour."""
    console = Console(file=io.StringIO(), width=width, highlight=False, color_system=None, force_terminal=False)
    console.push_render_hook(Cleaned())
    with console.capture() as shown:
        console.print(renderable)
    return shown.get().removesuffix("\n")

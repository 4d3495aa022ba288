"""Files and `-p` options into what the front half takes."""

from __future__ import annotations

import sys
from pathlib import Path

from recipelang.source import Diagnostic, Label, RecipeError, Source, Span, fail
from recipelang.spec.params import Given
from recipelang.syntax import MAX_BYTES


def read_source(path: str, limit: int = MAX_BYTES) -> Source:
    """A recipe file as text; `-` is standard input. Size is checked before decoding."""
    if path == "-":
        return _decode("<stdin>", sys.stdin.buffer.read(limit + 1), limit)
    try:
        with open(path, "rb") as file:
            data = file.read(limit + 1)
    except FileNotFoundError:
        raise fail("E046", f"there is no file `{path}`", help=_neighbours(Path(path))) from None
    except IsADirectoryError:
        raise fail("E046", f"`{path}` is a folder", help="name a `.recipe` file in it") from None
    except OSError as error:
        raise fail("E046", f"`{path}` cannot be read", notes=[str(error.strerror or error)]) from None
    return _decode(path, data, limit)


def _neighbours(path: Path) -> str | None:
    from recipelang.source.suggest import nearest

    try:
        names = [p.name for p in path.parent.iterdir() if p.suffix == ".recipe"]
    except OSError:
        return f"there is no folder `{path.parent}` either"
    near = nearest(path.name, names)
    return f"did you mean `{path.parent / near[0]}`?" if near else None


def _decode(name: str, data: bytes, limit: int) -> Source:
    if len(data) > limit:
        raise fail("E042", f"`{name}` is larger than {limit // 1024:,} KiB", help="split it, or shorten it")
    if b"\x00" in data[:1024]:
        raise fail("E002", f"`{name}` is not a text file", help="a recipe is plain text in UTF-8")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        good = data[: error.start].decode("utf-8")
        source = Source(name, data.decode("utf-8", "replace"))
        raise RecipeError(
            Diagnostic(
                "E002",
                "this byte is not UTF-8",
                Label(source, Span(len(good), len(good) + 1)),
                help=("save the file as UTF-8",),
            )
        ) from None
    return Source(name, text)


def read_params(options: list[str]) -> dict[str, Given]:
    """`-p name=value`, each once."""
    given: dict[str, Given] = {}
    for option in options:
        name, equals, value = option.partition("=")
        name = name.strip()
        if not equals or not name:
            raise fail("E036", f"`-p {option}` is not `name=value`", help="write `-p target=97%`")
        if name in given:
            raise fail("E026", f"`-p {name}` is given twice", help="keep one of them")
        given[name] = Given(value.strip(), f"-p {name}")
    return given

"""Recipe texts on disk and in the library, and what a recipe may refer to from there."""

from __future__ import annotations

import os
import posixpath
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from recipelang.source import Diagnostic, Label, RecipeError, Source, Span, fail
from recipelang.source.suggest import closest, nearest
from recipelang.source.words import limit_text
from recipelang.storage.reading import Unreadable, Why, read_bytes
from recipelang.syntax import MAX_BYTES

if TYPE_CHECKING:
    from recipelang.artifact.remote import Remote

SETTINGS = "recipelang.toml"
_ELSEWHERE = ("oci", "hf")
_LATER = ("https",)
_NAME = re.compile(r"[\w.-]+(/[\w.-]+)*")


def read_source(path: str, limit: int = MAX_BYTES) -> Source:
    """A recipe file as text; `-` is standard input, `lib://NAME` a recipe of the library. Size is checked first."""
    if path == "-":
        return decoded("<stdin>", sys.stdin.buffer.read(limit + 1), limit)
    if path.startswith("lib://"):
        return bundled(path)
    if is_elsewhere(path):
        from recipelang.artifact.remote import Remote, from_cache

        return from_cache(path, Remote(bundled))
    try:
        return decoded(path, read_bytes(Path(path), limit), limit)
    except Unreadable as error:
        match error.why:
            case Why.TOO_LARGE:
                raise _too_large(path, limit) from None
            case Why.MISSING:
                help = _pull(path) or _neighbours(Path(path))
            case Why.FOLDER:
                help = _pull(path) or "name a `.recipe` file in it"
            case Why.IRREGULAR:
                help = "write `-` to read a recipe from standard input"
            case _:
                help = None
        raise error.coded("E046", name=path, help=help or "") from None


def _pull(path: str) -> str | None:
    """Of a folder that `push` made, perhaps with a version behind it, what brings its recipe out."""
    from recipelang.artifact.places import is_packed

    return f"`recipelang pull {path} -o DIR` writes its files" if is_packed(path) else None


def is_elsewhere(name: str) -> bool:
    """Whether a recipe is one that was pulled: its name is a reference, and `#` with its file behind it."""
    return name.partition("://")[0] in _ELSEWHERE and "://" in name


def _neighbours(path: Path) -> str | None:
    try:
        names = [p.name for p in path.parent.iterdir() if p.suffix == ".recipe"]
    except OSError:
        return f"there is no folder `{path.parent}` either"
    near = nearest(path.name, names)
    return f"did you mean `{path.parent / near[0]}`?" if near else None


def decoded(name: str, data: bytes, limit: int = MAX_BYTES) -> Source:
    if len(data) > limit:
        raise _too_large(name, limit)
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


def _too_large(name: str, limit: int) -> RecipeError:
    return fail("E042", f"`{name}` is larger than {limit_text(limit)}", help="split it, or shorten it")


# ------------------------------------------------------------------ the library
def library() -> Path:
    """The folder of the bundled recipes, inside the wheel or beside an editable install."""
    inside = Path(__file__).parents[1] / "_share" / "recipes"
    return inside if inside.exists() else Path(__file__).parents[2] / "recipes"


def library_names() -> list[str]:
    folder = library()
    return sorted(p.relative_to(folder).with_suffix("").as_posix() for p in folder.rglob("*.recipe"))


def bundled(reference: str) -> Source:
    """`lib://squad/gmp-90`: a recipe of the library."""
    name = reference.removeprefix("lib://").removesuffix(".recipe")
    names = library_names()
    if name not in names:
        near = closest(name, names) or next((n for n in names if posixpath.basename(n) == name), None)
        every = "`recipelang library` lists all"
        help = f"did you mean `lib://{near}`? {every}" if near else every
        raise fail("E046", f"the library has no recipe `{name}`", help=help)
    return decoded(f"lib://{name}", read_bytes(library() / f"{name}.recipe", MAX_BYTES))


# ------------------------------------------------------------------- references
class References:
    """What one recipe may read: files under its root, the library, and what its lock pins. Never the network.

    The root is the nearest folder above the recipe that holds a `recipelang.toml`, else the recipe's own.
    """

    def __init__(self, source: Source, find: Callable[[str], str] | None = None) -> None:
        """`find`: who looks for a recipe elsewhere, and gives its digest; the lock, unless one is given."""
        self.source = source
        self.find = find or self._locked
        self.is_bundled = source.name.startswith("lib://")
        at_home = source.name == "<stdin>" or self.is_bundled or is_elsewhere(source.name)
        here = Path.cwd() if at_home else Path(source.name).absolute().parent
        self.root = next((p for p in (here, *here.parents) if (p / SETTINGS).is_file()), here)

    @cached_property
    def remote(self) -> Remote:
        from recipelang.artifact.remote import Remote, from_cache

        remote = Remote(bundled)
        if is_elsewhere(self.source.name):
            from_cache(self.source.name.rpartition("#")[0], remote)
        return remote

    def load(self, reference: str, by: Source) -> Source:
        """The text that a reference in the file `by` names."""
        if not reference.strip():
            raise fail("E046", "this reference is empty", help='name a file, as in `extends "./base.recipe"`')
        if is_elsewhere(by.name):
            return self.remote.load(reference, by)
        scheme, separator, rest = reference.partition("://")
        if not separator:
            return self._beside(reference, by)
        match scheme:
            case "lib":
                return bundled(reference)
            case "file":
                return self._beside(rest, by)
            case "oci" | "hf":
                return self._elsewhere(reference, by)
        if scheme in _LATER:
            help = "publish it with `recipelang push`, or copy it beside this one"
            raise fail("E047", f"recipes cannot be read from `{scheme}://`", help=help)
        near = closest(scheme, ["lib", "file", *_ELSEWHERE])
        known = "a path, or `lib://NAME`"
        raise fail(
            "E047", f"unknown scheme `{scheme}://`", help=f"did you mean `{near}://`?" if near else f"use {known}"
        )

    def _elsewhere(self, reference: str, by: Source) -> Source:
        from recipelang.artifact.address import parse_reference

        try:
            parse_reference(reference)
            digest = self.find(reference)
        except RecipeError as error:
            raise RecipeError([_masked(d, reference, by) for d in error.diagnostics]) from None
        return self.remote.open(reference, digest)

    def _locked(self, reference: str) -> str:
        from recipelang.artifact.address import parse_reference
        from recipelang.artifact.lock import lock_path, read_lock

        if digest := parse_reference(reference).digest:
            return digest
        name = self.source.name
        lock = None if name == "<stdin>" or self.is_bundled else read_lock(lock_path(name))
        if lock is None or reference not in lock.recipes:
            raise fail(
                "E047",
                f"`{reference}` is not in the lock",
                help=f"`recipelang lock {name}` resolves and pins it",
                notes=["reading a recipe never touches the network"],
            )
        return lock.recipes[reference]

    def _beside(self, reference: str, by: Source) -> Source:
        if re.match(r"[/~\\]|[A-Za-z]:", reference) or "\\" in reference or "\0" in reference:
            help = "write a path that starts at this file, with `/`"
            raise fail("E045", "a reference is a relative path", help=help)
        if by.name.startswith("lib://"):
            inside = posixpath.normpath(posixpath.join(posixpath.dirname(by.name.removeprefix("lib://")), reference))
            return bundled(f"lib://{inside}")
        name = posixpath.normpath(posixpath.join("" if by.name == "<stdin>" else posixpath.dirname(by.name), reference))
        if name == "-":
            raise fail("E045", "a reference is a relative path", help="standard input is for the command line only")
        root = os.path.realpath(self.root)
        if os.path.commonpath([root, os.path.realpath(name)]) != root:
            raise fail(
                "E045",
                f"`{reference}` points outside the recipe's folder",
                help=f"move it there, or put a `{SETTINGS}` into the folder that holds both",
                notes=["a recipe can refer only to files below its own folder"],
            )
        return read_source(name)


def _masked(d: Diagnostic, reference: str, by: Source) -> Diagnostic:
    """E121 shows where, and not what: the line of the file is shown without the credentials in it."""
    at = by.text.find(reference)
    if d.code != "E121" or at < 0:
        return d
    hidden = by.text.replace(reference, "*" * len(reference))
    return replace(d, primary=Label(replace(by, text=hidden), Span(at + by.base, at + by.base + len(reference))))

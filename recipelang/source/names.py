"""Names of files that are no text: records are JSON in UTF-8, and cannot hold them."""

from __future__ import annotations

import os

from recipelang.source.errors import RecipeError, fail


def not_utf8(name: str) -> RecipeError:
    """E167, with the part of the path that is meant, where it is known. Raise the result."""
    part = next((p for p in name.replace("\\", "/").split("/") if not is_text(p)), "")
    help = "rename it, or work in another folder"
    notes = ["records are text, and this name has bytes that are not UTF-8"]
    shown = f" `{part}`" if part else ""
    return fail("E167", f"the name of a file or folder{shown} is not UTF-8", help=help, notes=notes)


def impossible(path: str) -> str:
    """Why no file can have this path, whatever the system; empty where one can."""
    if "\0" in path:
        return "a path cannot contain the character U+0000"
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        return "a path cannot contain half of a surrogate pair"
    return ""


def is_text(name: str) -> bool:
    """Whether a name is text as it stands: bytes that are not UTF-8 reach Python as halves of surrogate pairs."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True

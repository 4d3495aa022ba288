"""Names of the files in an artifact, which become files on disk: relative, plain, and different from each other."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from recipelang.source import RecipeError, fail

LONGEST = 200
_DEPTH = 8
#: names that Windows gives to devices, whatever their ending
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9]|conin\$|conout\$)(\..*)?", re.I)
#: control, format, private and unassigned characters, halves of pairs, line and paragraph ends
_HIDDEN = ("Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp")


def check_titles(titles: Iterable[str]) -> None:
    """E123 for the first that is not safe to write, or that looks like another."""
    seen: dict[str, str] = {}
    for title in titles:
        if (why := _unsafe(title)) is not None:
            raise _refused(title, why)
        folded = unicodedata.normalize("NFKC", title).casefold()
        if folded in seen:
            raise _refused(title, f"some systems do not distinguish it from `{seen[folded]}`")
        seen[folded] = title
    for folded, title in seen.items():
        parts = folded.split("/")
        for n in range(1, len(parts)):
            if "/".join(parts[:n]) in seen:
                raise _refused(title, "another file has the same name as its folder")


def _unsafe(title: str) -> str | None:
    if not title or len(title) > LONGEST:
        return "it is empty" if not title else f"it is longer than {LONGEST} characters"
    if any(unicodedata.category(c) in _HIDDEN for c in title):
        return "it contains a hidden character"
    if title.startswith(("/", "~")) or "\\" in title or re.match("[A-Za-z]:", title):
        return "it is not a relative path with `/`"
    if re.search(r'[:<>"|?*]', title):
        return "it contains a character that is special on some systems"
    if unicodedata.normalize("NFC", title) != title:
        return "it is not in Unicode normal form C"
    parts = title.split("/")
    if len(parts) > _DEPTH:
        return f"it lies deeper than {_DEPTH} folders"
    for part in parts:
        if part in ("", ".", ".."):
            return "it leads outside its folder"
        if part != part.strip() or part.endswith(".") or part.startswith("."):
            return "a part of it begins with a dot or space, or ends with one"
        if _DEVICES.fullmatch(part):
            return f"`{part}` is a device on some systems"
    if len(_alphabets(title)) > 1:
        return "it mixes alphabets whose letters look alike"
    return None


def _alphabets(text: str) -> set[str]:
    """Of Latin, Greek, Cyrillic and their like, those that letters of the text are from."""
    names = (unicodedata.name(c, "").split(" ")[0] for c in text if c.isalpha())
    return {n for n in names if n in ("LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC", "LISU")}


def _refused(title: str, why: str) -> RecipeError:
    return fail(
        "E123", f"`{title[:80]}` is not a valid name for a shared file", notes=[why], help="give the file a plain name"
    )

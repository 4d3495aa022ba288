"""A tokenizer from `vocab.txt`, as transformers makes it: with the case, accents and added tokens that files beside say.

E189 for what these files say that cannot be; reads no more than them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipelang.source import RecipeError, fail
from recipelang.storage.reading import Unreadable, read_object, read_text

if TYPE_CHECKING:
    from tokenizers import AddedToken, Tokenizer

#: of a vocabulary, and of a file of settings
_MOST = 64 * 2**20
_SPECIAL = ("unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
_FLAGS = {"do_lower_case": True, "strip_accents": None, "tokenize_chinese_chars": True}


def from_vocabulary(folder: Path) -> Tokenizer:
    from tokenizers import BertWordPieceTokenizer

    vocabulary = _vocabulary(folder / "vocab.txt")
    settings = _object(folder / "tokenizer_config.json")
    lower, accents, chinese = (_flag(folder, settings, name, usual) for name, usual in _FLAGS.items())
    names = {name: _special(folder, settings, name) for name in _SPECIAL}
    for name in ("unk_token", "sep_token", "cls_token"):
        if names[name] not in vocabulary:
            raise _wrong(folder / "vocab.txt", f"it lacks `{names[name]}`, the {name.replace('_', ' ')}")
    tokenizer: Tokenizer = BertWordPieceTokenizer(
        vocabulary, lowercase=bool(lower), strip_accents=accents, handle_chinese_chars=bool(chinese), **names
    )._tokenizer
    for number, token in sorted(_added(folder, settings).items()):
        _add(tokenizer, number, token, folder)
    return tokenizer


def _vocabulary(path: Path) -> dict[str, int]:
    """A token a line, numbered from 0; of two alike the later counts."""
    try:
        lines = read_text(path, _MOST).split("\n")  # not `splitlines`: vocabularies hold U+0085 and U+2028
    except Unreadable as error:
        raise error.coded("E076") from None
    if lines[-1] == "":
        lines.pop()
    return {line.removesuffix("\r"): number for number, line in enumerate(lines)}


def _object(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        return read_object(path, _MOST)
    except Unreadable as error:
        raise error.coded("E076") from None


def _flag(folder: Path, settings: dict[str, Any], name: str, usual: bool | None) -> bool | None:
    value = settings.get(name, usual)
    if not isinstance(value, bool) and value is not usual:
        raise _wrong(folder / "tokenizer_config.json", f"`{name}` is neither true nor false")
    return value


def _special(folder: Path, settings: dict[str, Any], name: str) -> str:
    """A special token is a string, or an object that holds one."""
    value = settings.get(name)
    value = value.get("content") if isinstance(value, dict) else value
    if value is None:
        return f"[{name.removesuffix('_token').upper()}]"
    if not isinstance(value, str):
        raise _wrong(folder / "tokenizer_config.json", f"`{name}` is not a string")
    return value


def _added(folder: Path, settings: dict[str, Any]) -> dict[int, AddedToken]:
    """Tokens beyond the vocabulary by their numbers, from both files that may hold them."""
    from tokenizers import AddedToken

    found: dict[int, AddedToken] = {}
    for name, given in _object(folder / "added_tokens.json").items():
        if not isinstance(given, int) or isinstance(given, bool) or given < 0:
            raise _wrong(folder / "added_tokens.json", f"`{name[:40]}` has no number")
        found[given] = AddedToken(name, normalized=False)
    listed = settings.get("added_tokens_decoder", {})
    for number, value in listed.items() if isinstance(listed, dict) else [("", None)]:
        said = value if isinstance(value, dict) else {}
        content: Any = said.get("content")
        flags = {k: v for k, v in said.items() if k not in ("content", "__type")}
        known = flags.keys() <= {"lstrip", "rstrip", "normalized", "single_word", "special"}
        sound = known and all(isinstance(v, bool) for v in flags.values())
        if not number.isdecimal() or len(number) > 9 or not isinstance(content, str) or not sound:
            raise _wrong(
                folder / "tokenizer_config.json", "`added_tokens_decoder` does not list tokens by their numbers"
            )
        found[int(number)] = AddedToken(content, **flags)
    return found


def _add(tokenizer: Tokenizer, number: int, token: AddedToken, folder: Path) -> None:
    """Added in the order of their numbers, each gets its own, unless the vocabulary is another one's."""
    (tokenizer.add_special_tokens if token.special else tokenizer.add_tokens)([token])
    given = tokenizer.token_to_id(token.content)
    if given != number:
        notes = [
            f"it is listed as number {number:,}, but after `vocab.txt` it gets number {given}",
            f"the folder is {folder}",
        ]
        help = "take all files of the tokenizer from the same place"
        raise fail("E189", f"the added token `{token.content[:40]}` has a wrong number", help=help, notes=notes)


def _wrong(path: Path, why: str) -> RecipeError:
    help = "take all files of the tokenizer from the same place"
    return fail("E189", f"`{path.name}` describes no tokenizer", help=help, notes=[why, f"the file is {path}"])

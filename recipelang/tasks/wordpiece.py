"""A tokenizer from `vocab.txt`, as transformers makes it: with the case, accents and added tokens that files beside say.

E189 for what these files say that cannot be; reads no more than them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError

from recipelang.source import RecipeError, fail
from recipelang.storage.forms import Count, Form, OpenForm
from recipelang.storage.reading import Unreadable, read_object, read_text
from recipelang.storage.strict_json import first_wrong

if TYPE_CHECKING:
    from tokenizers import AddedToken, Tokenizer

M = TypeVar("M", bound=BaseModel)

#: of a vocabulary, and of a file of settings
_MOST = 64 * 2**20
_SPECIAL = ("unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


class Added(Form):
    content: str
    kind: Any = Field(default=None, alias="__type")
    lstrip: bool = False
    rstrip: bool = False
    normalized: bool = True
    single_word: bool = False
    special: bool = False

    def flags(self) -> dict[str, bool]:
        return self.model_dump(exclude_unset=True, exclude={"content", "kind"})


class Special(OpenForm):
    content: str | None = None


class Settings(OpenForm):
    """What is read of `tokenizer_config.json`. A special token is a string, or an object that holds one."""

    do_lower_case: bool = True
    strip_accents: bool | None = None
    tokenize_chinese_chars: bool = True
    unk_token: str | Special | None = None
    sep_token: str | Special | None = None
    pad_token: str | Special | None = None
    cls_token: str | Special | None = None
    mask_token: str | Special | None = None
    added_tokens_decoder: dict[Annotated[str, Field(pattern=r"^[0-9]{1,9}$")], Added] = {}

    def special(self, name: str) -> str:
        given: str | Special | None = getattr(self, name)
        content = given.content if isinstance(given, Special) else given
        return f"[{name.removesuffix('_token').upper()}]" if content is None else content


class AddedTokens(RootModel[dict[str, Count]]):
    model_config = ConfigDict(strict=True)


def from_vocabulary(folder: Path) -> Tokenizer:
    from tokenizers import BertWordPieceTokenizer

    vocabulary = _vocabulary(folder / "vocab.txt")
    settings = read_settings(folder / "tokenizer_config.json", Settings)
    names = {name: settings.special(name) for name in _SPECIAL}
    for name in ("unk_token", "sep_token", "cls_token"):
        if names[name] not in vocabulary:
            raise _wrong(folder / "vocab.txt", f"it lacks `{names[name]}`, the {name.replace('_', ' ')}")
    tokenizer: Tokenizer = BertWordPieceTokenizer(
        vocabulary,
        lowercase=settings.do_lower_case,
        strip_accents=settings.strip_accents,
        handle_chinese_chars=settings.tokenize_chinese_chars,
        **names,
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


def read_settings(path: Path, form: type[M]) -> M:
    """E076 for what is no JSON, E189 names the field that is wrong."""
    try:
        found = read_object(path, _MOST) if path.exists() else {}
        return form.model_validate(found)
    except Unreadable as error:
        raise error.coded("E076") from None
    except ValidationError as error:
        raise _wrong(path, first_wrong(error)) from None


def _added(folder: Path, settings: Settings) -> dict[int, AddedToken]:
    """Tokens beyond the vocabulary by their numbers, from both files that may hold them."""
    from tokenizers import AddedToken

    own = read_settings(folder / "added_tokens.json", AddedTokens).root
    found = {number: AddedToken(name, normalized=False) for name, number in own.items()}
    return found | {int(n): AddedToken(t.content, **t.flags()) for n, t in settings.added_tokens_decoder.items()}


def _add(tokenizer: Tokenizer, number: int, token: AddedToken, folder: Path) -> None:
    """Added in the order of their numbers, each gets its own, unless the vocabulary is another one's."""
    (tokenizer.add_special_tokens if token.special else tokenizer.add_tokens)([token])
    given = tokenizer.token_to_id(token.content)
    if given != number:
        notes = [
            f"it is listed with id {number:,}, but after `vocab.txt` it has id {given}",
            f"the folder is {folder}",
        ]
        help = "take all tokenizer files from the same source"
        raise fail("E189", f"the added token `{token.content[:40]}` has a wrong id", help=help, notes=notes)


def _wrong(path: Path, why: str) -> RecipeError:
    help = "take all tokenizer files from the same source"
    return fail("E189", f"`{path.name}` does not describe a tokenizer", help=help, notes=[why, f"the file is {path}"])

"""Languages of texts: the codes that tokenizers of many languages (mBART, NLLB, M2M100) put around a source and a target.

A code stands where the tokenizer of transformers puts it, and for a tokenizer that is not in the table where
`tokenizer.json` has it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipelang.source import fail
from recipelang.source.suggest import closest
from recipelang.source.words import listed
from recipelang.storage.forms import Count, Form, OpenForm
from recipelang.tasks import reading
from recipelang.tasks.tokenizer_rules import rules
from recipelang.tasks.wordpiece import read_settings

if TYPE_CHECKING:
    from tokenizers import Tokenizer

#: stand in a frame for the text and for the code of its language
TEXT, _CODE = "$A", "$CODE"
#: how the codes of a tokenizer are written: `en_XX`, `eng_Latn`, `__en__`
_FORMS = tuple(map(re.compile, (r"[a-z]{2}_[A-Z]{2}", r"[a-z]{3}_[A-Z][a-z]{3}", r"__[A-Za-z][A-Za-z_]*[A-Za-z]__")))
_SUFFIX, _PREFIX = (TEXT, "</s>", _CODE), (_CODE, TEXT, "</s>")
#: tokenizer of transformers -> what it puts around a text, and the language of a source that none is named for
_KNOWN = {
    "MBartTokenizer": (_SUFFIX, "en_XX"),
    "MBart50Tokenizer": (_PREFIX, "en_XX"),
    "NllbTokenizer": (_PREFIX, "eng_Latn"),
}
#: type of a model -> its tokenizer, where the folder names none
_OF_TYPES = {"mbart": "MBartTokenizer", "nllb-moe": "NllbTokenizer"}


class _Settings(OpenForm):
    """What is read of `tokenizer_config.json`."""

    tokenizer_class: str | None = None
    src_lang: str | None = None
    tgt_lang: str | None = None
    legacy_behaviour: bool | None = None


class Languages(Form):
    """Of a model's tokenizer. A frame is what it puts around a text, which `TEXT` stands for."""

    source: str  # codes that the folder names, as tokens
    target: str | None
    known: dict[str, Count]  # every code, and its number
    frame: tuple[str, ...]  # with `_CODE`

    def around(self, code: str) -> tuple[str, ...]:
        return tuple(code if piece == _CODE else piece for piece in self.frame)

    def code(self, wanted: str) -> str:
        """The token of a language: `en` and `__en__` are the same where codes are written so. E197."""
        found = next((t for t in (wanted, f"__{wanted}__") if t in self.known), None)
        if found is not None:
            return found
        names = [k.strip("_") for k in self.known]
        near = closest(wanted, names)
        help = f"did you mean `{near}`?" if near else "write a code that the tokenizer has"
        notes = [f"it has {listed(names, 6)}"]
        raise fail("E197", f"the tokenizer has no language `{wanted[:40]}`", notes=notes, help=help)


def languages_of(folder: Path, tokenizer: Tokenizer) -> Languages | None:
    """None of a tokenizer without codes. E197 for a language that the folder names and the tokenizer lacks."""
    settings = read_settings(folder / "tokenizer_config.json", _Settings)
    frame, own = _frame(folder, settings, tokenizer)
    if own is None:
        return None
    form = next(f for f in _FORMS if f.fullmatch(own))
    known = {token: n for token, n in sorted(tokenizer.get_vocab().items()) if form.fullmatch(token)}
    found = Languages(source=own, target=None, known=known, frame=frame)
    source, target = (name and found.code(name) for name in (settings.src_lang or own, settings.tgt_lang))
    return Languages(source=source or own, target=target or None, known=known, frame=frame)


def _frame(folder: Path, settings: _Settings, tokenizer: Tokenizer) -> tuple[tuple[str, ...], str | None]:
    """What stands around a text, and the code of a source that nobody names; none where there is no code."""
    kind = settings.tokenizer_class or _OF_TYPES.get(reading.model_config(folder).get("model_type", ""), "")
    if found := _KNOWN.get(kind.removesuffix("Fast")):
        frame, own = found
        legacy = kind.startswith("Nllb") and settings.legacy_behaviour
        return (_SUFFIX if legacy else frame), own
    pieces = [p for step in rules(tokenizer.post_processor) for p in _pieces(step)]
    codes = [p for p in pieces if any(form.fullmatch(p) for form in _FORMS)]
    if len(codes) != 1 or pieces.count(TEXT) != 1:
        return (), None
    return tuple(_CODE if p == codes[0] else p for p in pieces), codes[0]


def _pieces(step: Mapping[str, Any]) -> Iterator[str]:
    """Of a template of tokenizer.json: its tokens, and `TEXT`."""
    tokens = step.get("special_tokens") or {}
    for piece in step.get("single") or () if step.get("type") == "TemplateProcessing" else ():
        yield from [TEXT] if "Sequence" in piece else tokens[piece["SpecialToken"]["id"]]["tokens"]


def framed(tokenizer: Tokenizer, frame: Sequence[str]) -> Any:
    """The post-processor that puts this frame around a text. E189 for a token that the tokenizer lacks."""
    from tokenizers import processors

    tokens = [(piece, tokenizer.token_to_id(piece)) for piece in dict.fromkeys(frame) if piece != TEXT]
    for piece, number in tokens:
        if number is None:
            help = "take the tokenizer and the weights from the same source"
            raise fail("E189", f"the tokenizer has no token `{piece[:40]}`", help=help)
    return processors.TemplateProcessing(single=list(frame), pair=[*frame, "$B"], special_tokens=tokens)


def opening_of(frame: Sequence[str]) -> tuple[str, ...]:
    """The tokens before a text.

    >>> opening_of(("deu_Latn", "$A", "</s>")), opening_of(("$A", "</s>", "de_DE"))
    (('deu_Latn',), ())
    """
    return tuple(frame[: frame.index(TEXT)])

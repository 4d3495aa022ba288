"""What a tokenizer's file may ask for: rules that make a text many times longer, or search it without end, are refused.

`tokenizers` applies whatever rules stand in the file, with no limit of its own: thirty that double a letter take all
memory. How much longer they can make a text is bounded here before any text is read.
"""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from recipelang.source import RecipeError, fail
from recipelang.storage.strict_json import parse_json

if TYPE_CHECKING:
    from tokenizers import Tokenizer

#: bytes of a tokenizer.json; the largest vocabularies in use (256,000 words) take half of it
MAX_FILE = 64 * 2**20
#: how many times longer rules may make a text, all together
_LONGER = 64
#: characters or tokens that are put before or behind every text
_ADDED = 64
#: characters of a regular expression, and letters of a word that is looked up piece by piece
_PATTERN, _WORD = 4_096, 10_000
#: characters that a compiled table may make of one; that of NFKC has 18
_TABLE = 32
#: a repetition without limit, in an Oniguruma pattern
_WITHOUT_LIMIT = re.compile(r"[*+]|\{\d*,\}")
#: what a pattern is made of, as far as repetitions go: escapes and classes are single letters
_PIECES = re.compile(r"\\.|\[(?:\\.|[^\]\\])+\]|\((?:\?[^:()]*:)?|[*+]|\{\d*,\}|.", re.DOTALL)


def check_rules(tokenizer: Tokenizer, name: str) -> None:
    """E168 for rules that could take all memory or time, whatever the text."""
    parts = (tokenizer.normalizer, tokenizer.pre_tokenizer, tokenizer.post_processor)
    try:
        steps = [step for part in parts for step in rules(part)]
    except ValueError as error:
        raise _refused(name, str(error)) from None
    longer, added = 1, 0
    tables = 0
    for step in steps:
        times = _times_longer(step)
        if step.get("type") == "Precompiled":  # one does what NFKC does; what it made is not made again
            tables += 1
            times = times if times > _TABLE or tables > 1 else 1
        longer *= times
        added += len(str(step.get("prepend") or "")) + _added(step)
        pattern = _pattern(step)
        if len(pattern) > _PATTERN or searches_without_end(pattern):
            raise _refused(name, "one of its patterns could search forever")
        if longer > _LONGER:
            raise _refused(name, f"its rules can make a text over {_LONGER} times longer")
        if added > _ADDED:
            raise _refused(name, f"it adds more than {_ADDED} tokens to every text")
    model = tokenizer.model
    if len(getattr(model, "continuing_subword_prefix", None) or "") > _ADDED:
        raise _refused(name, f"its word-piece prefix has more than {_ADDED} characters")
    if (getattr(model, "max_input_chars_per_word", None) or 0) > _WORD:
        raise _refused(name, f"it splits words of more than {_WORD:,} letters")


def _refused(name: str, why: str) -> RecipeError:
    return fail(
        "E168",
        f"the rules of `{name}` are unsafe to apply",
        notes=[why],
        help="download the file again from its source",
    )


def rules(part: Any) -> Iterator[dict[str, Any]]:
    """The single rules of a normalizer, a pre-tokenizer or a post-processor, in their order."""
    if part is None:
        return
    waiting = [parse_json(part.__getstate__())]
    while waiting:
        step = waiting.pop()
        inner = next((step[key] for key in ("normalizers", "pretokenizers", "processors") if key in step), None)
        if inner is None:
            yield step
        else:
            waiting += reversed(inner)


def _times_longer(step: Mapping[str, Any]) -> int:
    kind = str(step.get("type"))
    if kind == "Replace":
        written = step["pattern"].get("String")
        shortest = len(written) if written else 1  # a regular expression may find a single letter
        return max(1, -(-len(step["content"]) // shortest))
    if kind == "Precompiled":
        return _longest_entry(base64.b64decode(step["precompiled_charsmap"]))
    return 4 if kind == "ByteLevel" else 1  # a letter has up to four bytes, and each becomes a letter


def _longest_entry(table: bytes) -> int:
    """Of a compiled table of characters: four bytes say how long its trie is, behind it stand what letters become."""
    if len(table) < 4:
        return 1
    (trie,) = struct.unpack("<I", table[:4])
    return max(len(entry.decode("utf-8", "replace")) for entry in table[4 + trie :].split(b"\0"))


def _added(step: Mapping[str, Any]) -> int:
    """Tokens that a template puts around a text."""
    ids = {name: len(token["ids"]) for name, token in (step.get("special_tokens") or {}).items()}
    pieces = [*(step.get("single") or ()), *(step.get("pair") or ())]
    return sum(ids.get(piece["SpecialToken"]["id"], 1) for piece in pieces if "SpecialToken" in piece)


def _pattern(step: Mapping[str, Any]) -> str:
    pattern = step.get("pattern")
    return str(pattern.get("Regex") or "") if isinstance(pattern, Mapping) else ""


def searches_without_end(pattern: str) -> bool:
    """Whether a group that may match a text in many ways is repeated without limit: `(a+)+` or `(a|aa)*`.

    >>> searches_without_end(r"(a+)+$"), searches_without_end(r"'s| ?\\p{L}+|\\s+(?!\\S)")
    (True, False)
    """
    groups = [False]  # of every open one, whether there is a choice in it
    closed = False  # whether the piece before is a group with one
    for piece in _PIECES.findall(pattern):
        if piece.startswith("("):
            groups.append(False)
        elif piece == ")":
            closed = len(groups) > 1 and groups.pop()
            groups[-1] |= closed
            continue
        elif _WITHOUT_LIMIT.fullmatch(piece):
            if closed:
                return True
            groups[-1] = True
        elif piece == "|" and len(groups) > 1:
            groups[-1] = True
        closed = False
    return False

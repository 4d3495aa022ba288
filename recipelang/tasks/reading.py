"""What tasks read: text files, JSON, data sets of the Hub, tokenizers. Findings are E074 for data, E076 for a tokenizer."""

from __future__ import annotations

import codecs
import contextlib
import io
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from recipelang.source import RecipeError, fail
from recipelang.source.suggest import closest
from recipelang.storage import reading as storage
from recipelang.storage.reading import Unreadable, Why, open_regular
from recipelang.storage.unpacking import unpack, unpacking
from recipelang.tasks.rows import stored
from recipelang.tasks.shards import COMPRESSED, ending
from recipelang.tasks.tokenizer_rules import MAX_FILE, check_rules
from recipelang.tasks.wordpiece import from_vocabulary

#: bytes that are looked at together
_AT_ONCE = 2**20
#: the largest known hold the names of thousands of classes, in less than one
MAX_CONFIG = 4 * 2**20

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def read_text(path: Path, endings: Sequence[str], formats: str) -> str:
    """A file in UTF-8 that holds something; `formats` says what is wanted of an empty one."""
    with opened(path, endings) as file:
        text = file.read()
    try:
        decoded = text.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _not_utf8(path) from None
    if not decoded.strip():
        raise fail("E074", f"`{path}` is empty", help=formats)
    return decoded


def read_lines(path: Path, endings: Sequence[str], formats: str, newline: Literal["", "\n"] = "\n") -> Iterator[str]:
    """The lines of such a file as they are asked for, with what ends them: line feeds only, or (`""`) any line end."""
    with _opened(path, endings) as file:
        with _read_errors(path):
            _holds_text(file, path, formats)
            file.seek(0)
        with _read_errors(path):  # what is done with a line raises elsewhere
            yield from io.TextIOWrapper(file, "utf-8-sig", newline=newline)


def _holds_text(file: BinaryIO, path: Path, formats: str) -> None:
    """E074 for a file that is not UTF-8, wherever, or holds nothing."""
    decoder, empty = codecs.getincrementaldecoder("utf-8-sig")(), True
    try:
        while data := file.read(_AT_ONCE):
            empty = not decoder.decode(data).strip() and empty
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise _not_utf8(path) from None
    if empty:
        raise fail("E074", f"`{path}` is empty", help=formats)


def _not_utf8(path: Path, *notes: str) -> RecipeError:
    return fail("E074", f"`{path}` is not UTF-8", help="save the file as UTF-8", notes=notes)


@contextlib.contextmanager
def opened(path: Path, endings: Sequence[str]) -> Iterator[BinaryIO]:
    """A file, unpacked, for a library that reads parts of it. E074, E213."""
    with _opened(path, endings) as file, _read_errors(path):
        yield file


def stream_lines(path: Path, endings: Sequence[str], formats: str, newline: Literal["", "\n"] = "\n") -> Iterator[str]:
    """As `read_lines`, of a file that is read once, from its beginning on, and unpacked meanwhile."""
    number, empty = 0, True
    try:
        with _opened(path, endings, unpacking) as file, _read_errors(path):
            for line in io.TextIOWrapper(file, "utf-8-sig", newline=newline):
                number, empty = number + 1, empty and line.isspace()
                yield line
    except Unreadable as error:
        raise _unreadable(error, path, endings) from None
    except UnicodeDecodeError:
        raise _not_utf8(path, f"the lines up to {number:,} are") from None
    if empty:
        raise fail("E074", f"`{path}` is empty", help=formats)


def _opened(
    path: Path,
    endings: Sequence[str],
    unpacked: Callable[[Path, BinaryIO], BinaryIO] = lambda path, file: io.BytesIO(unpack(path, file.read())),
) -> BinaryIO:
    """A file, unpacked. E074, E213."""
    try:
        with _read_errors(path):
            file = open_regular(path)
            return unpacked(path, file) if path.suffix in COMPRESSED else file
    except Unreadable as error:
        raise _unreadable(error, path, endings) from None


def _unreadable(error: Unreadable, path: Path, endings: Sequence[str]) -> RecipeError:
    if error.why is Why.TOO_LARGE:
        return error.coded("E213", name=path.name, help="unpack it yourself if it is what it should be")
    if error.why is not Why.MISSING:
        return error.coded("E074", help="name a file in it" if error.why is Why.FOLDER else "")
    beside = path.parent.iterdir() if path.parent.is_dir() else ()
    there = sorted(p.name for p in beside if ending(p) in endings)
    near = closest(path.name, there)
    listed = " or ".join(filter(None, (", ".join(f"`{e}`" for e in endings[:-1]), f"`{endings[-1]}`")))
    return fail(
        "E074",
        f"there is no data file `{path}`",
        help=f"did you mean `{near}`?" if near else f"name a {listed} file",
        notes=[f"in that folder: {', '.join(there[:6])}"] if there else [],
    )


@contextlib.contextmanager
def _read_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise fail("E074", f"`{path}` cannot be read", notes=[str(error.strerror or error)]) from None


def read_json(path: Path, endings: Sequence[str], formats: str) -> Any:
    """One value, or of a `.jsonl` file rows, one a line."""
    if ending(path) != ".jsonl":
        return _value(read_text(path, endings, formats), path)
    lines = enumerate(read_lines(path, endings, formats))
    return stored(json_line(line, path, before) for before, line in lines if not line.isspace())


class _TwiceError(Exception):
    """An object has a key twice."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _TwiceError(next(key for key in keys if keys.count(key) > 1))
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_once)


def _line_of_twice(text: str) -> int | None:
    """The line on which the object with a key twice begins: read again, slowly, with places. None too deep down."""
    decoder, known = json.JSONDecoder(object_pairs_hook=_once), json.decoder.JSONObject  # type: ignore[attr-defined]
    at = -1

    def placed(text_and_end: tuple[str, int], *more: Any) -> Any:
        nonlocal at
        try:
            return known(text_and_end, *more)
        except _TwiceError:
            at = text_and_end[1] if at < 0 else at  # the innermost is the first to know
            raise

    decoder.parse_object = placed  # type: ignore[attr-defined]
    with contextlib.suppress(_TwiceError, RecursionError, ValueError):
        json.scanner.py_make_scanner(decoder)(text, len(text) - len(text.lstrip()))  # type: ignore[attr-defined]
    return None if at < 0 else 1 + text.count("\n", 0, at)


def json_line(line: str, path: Path, before: int) -> Any:
    """As `_value`, in a fraction of its time where nothing is wrong."""
    text = line.rstrip(" \t\r\n")
    with contextlib.suppress(StopIteration, ValueError, RecursionError, _TwiceError):
        value, end = _DECODER.scan_once(text, 0)  # type: ignore[attr-defined]
        if end == len(text):
            return value
    return _value(line.removesuffix("\n"), path, before)


def _value(text: str, path: Path, before: int = 0) -> Any:
    """One JSON value; `before` is how many lines of the file come before it. A key that is there twice means nothing."""
    try:
        return json.loads(text) if text.startswith("\ufeff") else _DECODER.decode(text)  # the former says what is wrong
    except _TwiceError as twice:
        message = f"a record of `{path.name}` has the key `{str(twice)[:40]}` twice"
        line = _line_of_twice(text)
        notes = [] if line is None else [f"its object begins on line {before + line}"]
        raise fail("E074", message, help="keep one of the two", notes=notes) from None
    except (ValueError, RecursionError) as error:
        why = "nested too deeply" if isinstance(error, RecursionError) else "a number has too many digits"
        if isinstance(error, json.JSONDecodeError):
            why = f"line {before + error.lineno}: {error.msg[:1].lower()}{error.msg[1:]}"
        help = (
            "files with one record per line end in `.jsonl`"
            if ending(path) != ".jsonl"
            else "each line must be one record"
        )
        raise fail("E074", f"`{path.name}` is not JSON", help=help, notes=[why]) from None


def is_text(value: str) -> bool:
    r"""JSON can spell half a character (`"\ud800"`), which no tokenizer takes."""
    if value.isascii():
        return True
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def model_config(folder: Path) -> dict[str, Any]:
    """`config.json` of a model folder, whose fields the plan has looked at. E076."""
    try:
        return storage.read_object(folder / "config.json", MAX_CONFIG)
    except Unreadable as error:
        raise error.coded("E076") from None


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a model folder, without the truncation and padding its file may ask for."""
    if (folder / "tokenizer.json").exists():
        tokenizer = _from_json(folder / "tokenizer.json")
    elif (folder / "vocab.txt").exists():
        tokenizer = from_vocabulary(folder)
    else:
        there = ", ".join(sorted(p.name for p in folder.iterdir())[:12])
        raise fail(
            "E076", f"`{folder}` holds no tokenizer", notes=[f"it holds {there}"], help="tokenizer.json is needed"
        )
    largest = max(tokenizer.get_vocab().values(), default=0)
    if largest >= 2**31:
        notes = [f"the largest id is {largest:,}", f"the folder is {folder}"]
        raise fail("E189", "a token id exceeds 32 bits", help="copy or download the model again", notes=notes)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _from_json(path: Path) -> Tokenizer:
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_buffer(storage.read_bytes(path, MAX_FILE))
    except Unreadable as error:
        raise error.coded("E076", help="download the file again from its source") from None
    except BaseException as error:  # the library raises bare Exception, and panics beside it
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise fail("E076", f"`{path}` cannot be read", notes=[str(error)[:160]]) from None
    check_rules(tokenizer, str(path))
    return tokenizer

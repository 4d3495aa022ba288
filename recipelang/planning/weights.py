"""What a plan knows of the weights themselves: that every one is a finite number, and that tied copies are alike.

Files are looked at piece by piece, without torch, and once: what was found is remembered by their contents.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from recipelang.planning.facts import ModelFacts
from recipelang.planning.remembered import file_digest, remembered
from recipelang.planning.safetensors_header import ITEM_BYTES, Entry, read_folder
from recipelang.source import fail
from recipelang.storage.forms import Count

#: weights looked at at once
_PIECE = 2**22
#: type -> how its bits are looked at, and those of the exponent: all set in NaN and infinity
_EXPONENTS = {"F32": ("<u4", 0x7F800000), "F16": ("<u2", 0x7C00), "BF16": ("<u2", 0x7F80)}
#: what is rounded to infinity in fp32, which models are loaded in
_TOO_LARGE = 3.4028235677973366e38


_PAIRS = TypeAdapter(dict[str, tuple[Count, Count]])


def check_weights(facts: ModelFacts) -> None:
    """E187 for a used tensor that holds NaN or infinity, E186 for a stored copy that differs from what it is tied to."""
    header = read_folder(facts.path)
    spoiled: dict[str, tuple[int, int]] = {}
    for name in sorted({e.file for e in header.values()}):
        spoiled |= _not_finite(facts.path / name, {n: e for n, e in header.items() if e.file == name})
    used = [(t.name, n) for t in facts.tensors for n in facts.sources(t.name) if t.name not in facts.redrawn]
    for parameter, name in used:
        if name in spoiled:
            count, first = spoiled[name]
            entry = header[name]
            place = ", ".join(map(str, np.unravel_index(first, entry.shape))) if entry.shape else ""
            size = int(np.prod(entry.shape, dtype=np.int64))
            notes = [
                f"affected: {count:,} of its {size:,} weights, the first at [{place}]",
                f"the file is {facts.path / entry.file}",
            ]
            help = "name a checkpoint from before the weights diverged, or copy the model again"
            raise fail("E187", f"`{parameter}` holds NaN or infinity", help=help, notes=notes)
    for copy, name in facts.copies:
        if not _alike(facts.path, header[copy], header[name]):
            notes = [
                f"`{copy}` and `{name}` differ",
                "`tie_word_embeddings` makes them one matrix, so one of the two would be dropped",
            ]
            help = 'write `"tie_word_embeddings": false` in config.json, if both belong to the model'
            raise fail("E186", "the weights hold two matrices, but the config ties them", help=help, notes=notes)


def _not_finite(path: Path, entries: Mapping[str, Entry]) -> dict[str, tuple[int, int]]:
    """Tensor -> how many of its weights are no finite numbers of fp32, and the flat index of the first."""

    def look() -> dict[str, tuple[int, int]]:
        each = ((n, _first(path, e)) for n, e in entries.items() if e.dtype in ITEM_BYTES)
        return {n: found for n, found in each if found is not None}

    return _remembered(f"finite {file_digest(path)}", look)


def _first(path: Path, entry: Entry) -> tuple[int, int] | None:
    size = int(np.prod(entry.shape, dtype=np.int64))
    if not size or entry.dtype not in (*_EXPONENTS, "F64"):
        return None
    kind, exponent = _EXPONENTS.get(entry.dtype, ("<f8", 0))
    bits = np.memmap(path, np.dtype(kind), "r", entry.start, (size,))
    count, first = 0, -1
    for at in range(0, size, _PIECE):
        piece = bits[at : at + _PIECE]
        bad = (piece & exponent) == exponent if exponent else ~(np.abs(piece) < _TOO_LARGE)
        here = int(np.count_nonzero(bad))
        if here and not count:
            first = at + int(bad.argmax())
        count += here
    return (count, first) if count else None


def _alike(folder: Path, a: Entry, b: Entry) -> bool:
    """Whether two tensors have the same bits."""
    if (a.dtype, a.shape) != (b.dtype, b.shape):
        return False
    size = int(np.prod(a.shape, dtype=np.int64)) * ITEM_BYTES[a.dtype]

    def look() -> dict[str, tuple[int, int]]:
        one, other = (np.memmap(folder / e.file, np.uint8, "r", e.start, (size,)) for e in (a, b))
        pieces = range(0, size, 4 * _PIECE)
        same = all(np.array_equal(one[i : i + 4 * _PIECE], other[i : i + 4 * _PIECE]) for i in pieces)
        return {} if same else {"differ": (1, 0)}

    places = [f"{file_digest(folder / e.file)} {e.start}" for e in (a, b)]
    return not size or not _remembered(f"alike {places} {size}", look)


def _remembered(what: str, look: Callable[[], dict[str, tuple[int, int]]]) -> dict[str, tuple[int, int]]:
    """`what` names the contents that are looked at."""
    return remembered("weights", [1, what], _PAIRS, look)

"""Which files a path in a recipe names: one, the shards in a folder, or those whose names match `*.jsonl`. E074, E210 to
E212.

Shards are read in the order of their names, in which numbers count as numbers: `part-2` before `part-10`.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from recipelang.source import fail
from recipelang.source.words import listed, plural

#: how a file may be compressed, by the last ending of its name
COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
#: of what data are read from
ENDINGS = (".json", ".jsonl", ".csv", ".tsv", ".txt", ".parquet", ".arrow")
#: files of a data set
MOST = 100_000
_MAGIC = re.compile(r"[*?\[]")
_OF = re.compile(r"(?P<before>.*?)(?P<number>\d{1,9})-of-(?P<total>\d{1,9})(?P<behind>.*)", re.S)
_NUMBERED = re.compile(r"(?P<before>.*?)(?P<number>\d{1,9})(?P<behind>\D*)", re.S)


def ending(path: Path) -> str:
    """What a file holds by its name: `.jsonl` of `a.jsonl.gz`."""
    return Path(path.stem).suffix if path.suffix in COMPRESSED else path.suffix


def is_several(path: Path) -> bool:
    return path.is_dir() or (_MAGIC.search(path.name) is not None and not path.exists())


def files(path: Path) -> tuple[Path, ...]:
    """Those that a path names, in their order; a file that is not there is named by its own path."""
    if not is_several(path):
        return (path,)
    if path.is_dir():
        found = [p for p in _visible(path) if ending(p) in ENDINGS]
        of_model = any(p.name == "config.json" for p in found)
        if of_model or not found:
            what = "is a folder of a model" if of_model else "is a folder without data files"
            raise fail("E074", f"`{path}` {what}", help="name a data file, or a folder of data files")
    else:
        there = _visible(path.parent) if path.parent.is_dir() else []
        found = [p for p in there if fnmatch.fnmatchcase(p.name, path.name)]
        if not found:
            notes = [f"in that folder: {listed([p.name for p in there], 6, longest=40)}"] if there else []
            if not path.parent.is_dir():
                notes = [f"there is no folder `{path.parent}`"]
            help = "`*` and `?` may stand in the name of the file, not in the names of folders"
            raise fail("E212", f"no file matches `{path.name}`", help=help, notes=notes)
    if len(found) > MOST:
        help = f"merge them into at most {MOST:,} files"
        raise fail("E211", f"`{path.name}` names {len(found):,} files", help=help)
    _alike(path, found)
    _complete(path, [p.name for p in found])
    return tuple(found)


def _visible(folder: Path) -> list[Path]:
    """Regular files; names that begin with `.` or `_` are of tools, as `_SUCCESS`."""
    found = [p for p in folder.iterdir() if not p.name.startswith((".", "_")) and p.is_file()]
    return sorted(found, key=lambda p: [(int(n), n) if n.isdigit() else (-1, n) for n in re.split(r"([0-9]+)", p.name)])


def _alike(path: Path, found: Sequence[Path]) -> None:
    kinds = list(dict.fromkeys(ending(p) for p in found))
    if len(kinds) > 1:
        shown = [next(p.name for p in found if ending(p) == kind) for kind in kinds]
        where = f"`{path.name}`" if path.is_dir() else f"what matches `{path.name}`"
        pattern = f"{path.name}/*{kinds[0]}" if path.is_dir() else f"*{kinds[0]}"
        help = f'name files of one format, as in `"{pattern}"`'
        raise fail(
            "E211",
            f"{where} has files of several formats",
            help=help,
            notes=[f"such as {listed(shown, 4, longest=40)}"],
        )


def _complete(path: Path, names: Sequence[str]) -> None:
    """E210 for a lack among shards that are numbered: `a-00002-of-00005`, or without gaps from 0 or 1."""
    sets: dict[tuple[str, str, str], set[int]] = {}
    for match in filter(None, map(_OF.fullmatch, names)):
        sets.setdefault((match["before"], match["total"], match["behind"]), set()).add(int(match["number"]))
    for (before, total, behind), numbers in sets.items():
        first = 0 if 0 in numbers else 1
        if lacking := _lacking(range(first, first + int(total)), numbers):
            name = f"{before}{lacking[0]:0{len(total)}}-of-{total}{behind}"
            raise _missing(path, name, len(lacking), f"shards are numbered {first} to {first + int(total) - 1}")
    plain = [_NUMBERED.fullmatch(name) for name in names]
    if not sets and len({m and (m["before"], m["behind"]) for m in plain}) == 1 and (first_ := plain[0]):
        numbers = {int(m["number"]) for m in plain if m}
        if min(numbers) > 1 or max(numbers) > MOST:
            return
        if lacking := _lacking(range(min(numbers), max(numbers) + 1), numbers):
            name = f"{first_['before']}{lacking[0]:0{len(first_['number'])}}{first_['behind']}"
            raise _missing(path, name, len(lacking), f"shards are numbered {min(numbers)} to {max(numbers)}")


def _lacking(wanted: Iterable[int], there: set[int]) -> list[int]:
    """Some of them, where there are many."""
    found: list[int] = []
    for number in wanted:
        if number not in there:
            found.append(number)
        if len(found) > MOST:
            break
    return found


def _missing(path: Path, name: str, count: int, how: str) -> Exception:
    more = [how, *([f"{plural(count, 'shard')} are missing"] if count > 1 else [])]
    help = "copy it into the folder, or give the others names without a gap"
    return fail("E210", f"the shard `{name}` of `{path.name}` is missing", help=help, notes=more)

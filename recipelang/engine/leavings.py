"""Which files of an output folder a run wrote. Only these are ever deleted, and a folder with others is not replaced.

A finished run lists most of them in its statement; the rest go by names that nobody else gives to a file.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from recipelang.kinds.formats import FORMATS
from recipelang.planning.belongings import belongs
from recipelang.source import RecipeError, fail
from recipelang.source.render import line_of
from recipelang.source.words import listed
from recipelang.storage.reading import Unreadable, Why, read_object
from recipelang.storage.writing import is_part, remove, remove_empty_folders

STATEMENT = "recipe/statement.json"
#: below the folder, of everything that a run may leave whether or not it came to its statement
_MODEL = (
    r"(?:config|generation_config|tokenizer|tokenizer_config|vocab|special_tokens_map|added_tokens|preprocessor_config"
    r"|processor_config|model\.safetensors\.index)\.json|model(?:-\d{5}-of-\d{5})?\.safetensors|vocab\.txt|merges\.txt"
    r"|chat_template\.(?:jinja|json)|(?:tokenizer|spiece|sentencepiece(?:\.bpe)?)\.model"
)
_OURS = re.compile(
    rf"run\.json|README\.md|report\.html|\.lock|{_MODEL}"
    r"|recipe/(?:effective\.recipe|portable\.recipe|plan\.json|spec\.json|origin\.json|recipe\.lock|statement\.json"
    r"|statement\.sigstore\.json|trackers\.json|sources/.+)"
    r"|checkpoints/stage-\d+-step-\d+/(?:(?:model|state)(?:-\d+-of-\d+)?\.safetensors|state\.json|manifest\.json)|checkpoints/layers/\d+\.safetensors"
    r"|tensorboard/events\.out\.tfevents\.[\d.]+|plots/[\w -]+\.(?:svg|png)"
    rf"|(?:export|stages/[^/]+)/(?:{_MODEL})"
    rf"|{'|'.join(re.escape(name) for each in FORMATS.values() for name in each.files)}"
    rf"|compressed_tensors/{_MODEL}|(?:onnx|openvino)/(?:export|config|generation_config)\.json"
)
#: the model of a stage lies in a folder of its own, and so does a compressed one
_OF_MODEL = re.compile(r"stages/[^/]+/|compressed_tensors/")
_LISTED = 12


def files_of_a_run(out: Path) -> tuple[list[str], list[str]]:
    """What lies below a folder, as names relative to it: what a run wrote, and everything else (links among it)."""
    listed = _listed(out)
    ours: list[str] = []
    others: list[str] = []
    for folder, below, names in os.walk(out):
        here = Path(folder)
        for name in (*names, *(b for b in below if (here / b).is_symlink())):
            path = here / name
            relative = path.relative_to(out).as_posix()
            of_a_run = bool(_OURS.fullmatch(relative)) or any(is_part(p) for p in relative.split("/"))
            of_a_run = of_a_run or (relative in listed and written_by_runs(relative))
            (ours if of_a_run and not path.is_symlink() else others).append(relative)
    return sorted(ours), sorted(others)


def check_no_links(out: Path) -> None:
    """E139 for a link anywhere in a run's folder: a run writes none, and through one it would write elsewhere."""
    for folder, below, names in os.walk(out):
        for name in (*below, *names):
            path = Path(folder, name)
            if path.is_symlink():
                relative = path.relative_to(out).as_posix()
                raise Unreadable(path, Why.LINK).coded("E139", name=line_of(relative))


def written_by_runs(name: str) -> bool:
    """Whether a run writes files of this path: what it makes, and all that belongs to the model it began from."""
    return bool(_OURS.fullmatch(name)) or belongs(_OF_MODEL.sub("", name, count=1))


def check_only_a_run(out: Path) -> None:
    """E085 when a folder that is to be replaced holds what no run wrote."""
    _, others = files_of_a_run(out)
    if others:
        raise _holds_more(out, others)


def remove_run(out: Path) -> None:
    """Remove what a run wrote, and the folders that are empty then. E085, and nothing is removed, if there is more."""
    ours, others = files_of_a_run(out)
    if others:
        raise _holds_more(out, others)
    for name in ours:
        remove(out / name, inside=out)
    remove_empty_folders(out)


def _holds_more(out: Path, others: list[str]) -> RecipeError:
    return fail(
        "E085",
        f"`{out}` holds files that no run wrote",
        notes=[f"found {listed([line_of(n) for n in others], _LISTED)}"],
        help="move them away, or choose another folder with `-o`",
    )


def _listed(out: Path) -> set[str]:
    """What the statement of a finished run names; nothing of one that cannot be read."""
    try:
        found = read_object(out / STATEMENT, inside=out)
        subjects = [s["name"] for s in found["subject"]]
        return {n for n in (*subjects, *found["predicate"]["files"]) if isinstance(n, str)}
    except (Unreadable, KeyError, TypeError):
        return set()

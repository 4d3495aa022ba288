"""Whether the formats that a recipe asks for can be written here."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from importlib.util import find_spec
from pathlib import Path

from packaging.version import Version

from recipelang.kinds.formats import FORMATS, WEIGHTS, Asked, others
from recipelang.planning.safetensors_header import weight_files
from recipelang.source import RecipeError, fail
from recipelang.source.words import an
from recipelang.tasks import task_of
from recipelang.version import installed

#: the first releases that have what exports: transformers' exporters, and what they ask of torch
_NEEDS = {"transformers": "5.23", "torch": "2.11"}


def can_be_exported(asked: Asked, task: str) -> bool:
    """E055 for models that a format is not for; E144 where what a format needs is not installed."""
    for name in others(asked):
        if not task_of(task).labels or task not in (FORMATS[name].tasks or (task,)):
            help = f"remove `{name}` from `formats`"
            raise fail("E055", f"this release does not write {an(f'`{task}`')} model as `{name}`", help=help)
        can_run(name)
        for package, least in _NEEDS.items():
            if Version(_release(package)) < Version(least):
                help = f"`pip install --upgrade {package}`"
                raise fail("E144", f"`{name}` needs {package} {least} or later, not {installed(package)}", help=help)
    return True


def can_run(name: str) -> None:
    """E144 where a package that a format needs is not installed."""
    for package in FORMATS[name].packages:
        if find_spec(package) is None:
            raise lacking(name, package)


def lacking(name: str, package: str) -> RecipeError:
    return fail(
        "E144", f"`{name}` needs the package `{package}`", help=f"`pip install 'recipelang[{FORMATS[name].extra}]'`"
    )


def _release(package: str) -> str:
    """Without what names its build, such as `+cpu`, and what names a preview."""
    try:
        return Version(installed(package)).base_version
    except PackageNotFoundError:
        return "0"


def size_of(folder: Path, name: str) -> int:
    """Bytes of the files of a format in the output of a run."""
    names = weight_files(folder) if name == WEIGHTS else FORMATS[name].files
    return sum(path.stat().st_size for n in names if (path := folder / n).is_file())

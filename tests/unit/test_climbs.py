"""While a recipe is planned, no room calls one above it: data goes down and results come back.

The contract of imports does not see this: a function, a generator or an object of a room above can be handed down.
"""

import gc
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

import recipelang
from recipelang.loading.plan import planned
from recipelang.loading.read import read_around
from recipelang.source import Diagnostics
from recipelang.spec.compose import paths
from tests.conftest import RECIPE

PACKAGE = Path(recipelang.__file__).parent
#: the text of a base is asked for while files are put together, since only then is it known which
SEAMS = {("spec/imports.py", "References.load")}


def heights() -> dict[str, int]:
    """Rooms, and how high they are."""
    settings = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text("utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    layers = next(c["layers"] for c in contracts if c["name"] == "A room imports only from rooms below it")
    return {room: -i for i, layer in enumerate(layers) for room in layer.split(" | ")}


def climbs(walk: Callable[[], object], height: dict[str, int]) -> set[tuple[str, str]]:
    """The files that call a function of a room above theirs, with its name; calls through libraries count."""
    found: set[tuple[str, str]] = set()
    files: dict[str, str] = {}

    def file(name: str) -> str:
        if name not in files:
            files[name] = Path(name).relative_to(PACKAGE).as_posix() if name.startswith(f"{PACKAGE}/") else ""
        return files[name]

    def of(name: str) -> int | None:
        return height.get(name.partition("/")[0].removesuffix(".py")) if name else None

    def look(frame, event, _):  # type: ignore[no-untyped-def]
        here = of(file(frame.f_code.co_filename))
        if event != "call" or here is None or frame.f_code.co_name == "<module>":
            return
        caller = frame.f_back
        while caller is not None and of(file(caller.f_code.co_filename)) is None:
            caller = caller.f_back
        if caller is None or caller.f_code.co_name == "<module>":
            return
        by = file(caller.f_code.co_filename)
        if here > of(by):  # type: ignore[operator]
            found.add((by, frame.f_code.co_qualname))

    gc.collect()  # what other tests left behind ends now: the collector calls nobody, whichever line it happens at
    before, collects = sys.getprofile(), gc.isenabled()
    gc.disable()
    sys.setprofile(look)
    try:
        walk()
    finally:
        sys.setprofile(before)
        if collects:
            gc.enable()
    return found


@pytest.mark.parametrize("based", [False, True], ids=["one file", "with a base"])
def test_a_plan_is_made_without_a_call_upwards(based, tiny, tmp_path):
    for name in ("model", "train.json", "dev.json"):
        (tmp_path / name).symlink_to(tiny / name)
    path = tmp_path / "a.recipe"
    path.write_text(RECIPE.format(length="2 epochs", extra=""), "utf-8")
    if based:
        path = tmp_path / "b.recipe"
        path.write_text(
            'recipe 1 "child"\nextends "./a.recipe"\nset target = if micro > 4 then 80% else 70%\n', "utf-8"
        )
    found = climbs(lambda: planned(str(path), read_around(["scope=global"])), heights())
    assert found == (SEAMS if based else set())


def test_what_is_handed_down_is_found_when_it_is_called():
    found = climbs(lambda: Diagnostics().extend(paths([], "")), heights())  # type: ignore[arg-type]
    assert found == {("source/errors.py", "paths")}

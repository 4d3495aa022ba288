"""recipelang: a small declarative language for pruning language models."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from recipelang.version import __version__ as __version__

if TYPE_CHECKING:
    from recipelang.api.bench import Bench as Bench, bench as bench
    from recipelang.api.checked import Checked as Checked, check as check
    from recipelang.api.planned import Plan as Plan, plan as plan
    from recipelang.api.result import Result as Result
    from recipelang.api.running import run as run
    from recipelang.loops.attach import attach as attach
    from recipelang.source import RecipeError as RecipeError


#: name -> the module that has it. Each is loaded when it is asked for; `attach` needs torch, and so do `bench` and a run
_PUBLIC = {
    "Bench": "api.bench",
    "Checked": "api.checked",
    "Plan": "api.planned",
    "RecipeError": "source",
    "Result": "api.result",
    "attach": "loops.attach",
    "bench": "api.bench",
    "check": "api.checked",
    "plan": "api.planned",
    "run": "api.running",
}


def __getattr__(name: str) -> object:
    if name not in _PUBLIC:
        raise AttributeError(f"module `recipelang` has no attribute `{name}`")
    found = globals()[name] = getattr(import_module(f"recipelang.{_PUBLIC[name]}"), name)
    return found


def __dir__() -> list[str]:
    return sorted([*_PUBLIC, "__version__"])

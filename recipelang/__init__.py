"""recipelang: a small declarative language for pruning language models."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from recipelang.version import __version__ as __version__

if TYPE_CHECKING:
    from recipelang.loops.attach import attach as attach


def __getattr__(name: str) -> object:
    """`attach` needs torch, and is loaded when asked for."""
    if name == "attach":
        return import_module("recipelang.loops.attach").attach
    raise AttributeError(f"module `recipelang` has no attribute `{name}`")

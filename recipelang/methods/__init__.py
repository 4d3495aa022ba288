"""Pruning methods: one declaration each, in `builtin/`, found by being there. Nothing here loads torch."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping

from recipelang.methods import builtin
from recipelang.methods.declaration import Method
from recipelang.values import aliases


def _found() -> Mapping[str, Method]:
    modules = [importlib.import_module(f"{builtin.__name__}.{m.name}") for m in pkgutil.iter_modules(builtin.__path__)]
    methods: list[Method] = [module.METHOD for module in modules]
    for module, method in zip(modules, methods, strict=True):
        if method.name != module.__name__.rpartition(".")[2]:
            raise TypeError(f"{module.__name__} declares `{method.name}`: a file has the name of its method")
    return {method.name: method for method in methods}


METHODS = _found()
aliases.learn({method.name: method.aliases for method in METHODS.values()})

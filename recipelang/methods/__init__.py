"""Pruning methods: one declaration each. Ours are in `builtin/`, found by being there; others are of plug-ins.

Nothing here loads torch, or imports code of a plug-in.
"""

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


class _Methods(dict[str, Method]):
    """It lists ours; by its name it also gives a method of what is installed, `acme.topk`.

    Installed distributions are looked through only for a name with a dot: what that imports is not needed else.
    """

    def __missing__(self, name: str) -> Method:
        """KeyError; a `Mismatch` E205 where a plug-in's declaration cannot be read."""
        if "." in name:
            from recipelang.methods import plugins

            if (method := plugins.find(name)) is not None:
                return method
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        if super().__contains__(name) or not isinstance(name, str) or "." not in name:
            return super().__contains__(name)
        from recipelang.methods import plugins

        return name in plugins.names()


METHODS: Mapping[str, Method] = _Methods(_found())
aliases.learn({method.name: method.aliases for method in METHODS.values()})

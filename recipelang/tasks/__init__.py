"""What a model is trained for: one file a task, from data to model inputs, and what the engine has to know of it."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from recipelang.tasks.task import Features as Features, First as First, Task as Task


def task_of(name: str) -> Task[Any, Any, Any, Any]:
    """That of the module of this name, which a recipe may only take from `spec.metrics`."""
    return import_module(f"recipelang.tasks.{name}").TASK  # type: ignore[no-any-return]

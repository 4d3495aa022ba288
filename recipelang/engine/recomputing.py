"""Activation checkpointing: layers keep what they read, and compute it again on the way back."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from recipelang.engine.course import Course
from recipelang.planning.types import StagePlan


@contextmanager
def recomputing(run: Course, stage: StagePlan) -> Iterator[None]:
    """With what a layer computed on the way forward thrown away, and computed again, with the same dropout, on the way
    back. The model of the run may become another one in between."""
    recompute(run.model, stage.activation_checkpointing)
    try:
        yield
    finally:
        if stage.activation_checkpointing:
            recompute(run.model, False)


def recompute(model: Any, does: bool) -> None:
    with warnings.catch_warnings():  # the names that every supported release has
        warnings.simplefilter("ignore", FutureWarning)
        if does:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        elif getattr(model, "is_gradient_checkpointing", False):
            model.gradient_checkpointing_disable()

"""How many multiplications one forward pass of a model takes, known from its config: a process of its own counts them.

What it said is kept by all that decides it.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from recipelang.planning.asking import apart, deciding, digests_of
from recipelang.planning.facts import ModelFacts
from recipelang.planning.remembered import note, recalled
from recipelang.source.waiting import waiting
from recipelang.storage.forms import Count, Form
from recipelang.tasks import task_of
from recipelang.version import __version__, installed


class Counted(Form):
    """None where the model cannot be run without weights: then only the run knows."""

    macs: Count | None = None
    failed: str = ""


_ANSWER = TypeAdapter(Counted)


def macs(facts: ModelFacts, batch: int, length: int) -> int | None:
    """Of the model of these facts over so many texts of so many tokens; none where it cannot be told."""
    request = json.dumps(asked(facts.config, facts.task, batch, length), sort_keys=True)
    parts = [*_code(), installed("transformers"), request]
    if (known := recalled("macs", parts, _ANSWER)) is not None:
        return known.macs
    waiting("counting the operations of one forward pass (once)")
    try:
        found = _ANSWER.validate_json(apart("recipelang.engine.macs", request).stdout, strict=True)
    except (subprocess.TimeoutExpired, ValidationError):
        return None  # another time it may be told
    note("macs", parts, found.model_dump())
    return found.macs


def asked(config: Mapping[str, Any], task: str, batch: int, length: int) -> dict[str, Any]:
    of, sizes = task_of(task), {"batch": batch, "length": length}
    return {"config": deciding(config, task), "auto": of.auto_model, "embeds": of.gives == "embeddings", **sizes}


@cache
def _code() -> tuple[str, ...]:
    return __version__, installed("torch"), *digests_of("engine/macs.py")

"""What transformers makes of a config: every parameter of a type that is in no table here, from the model class itself.

A process of its own asks the library (`engine.walk`), so that nothing here loads it; what it said is kept by all
that decides it.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from packaging.version import Version
from pydantic import Field, TypeAdapter, ValidationError

from recipelang.planning.asking import PATIENCE, apart, deciding, digests_of
from recipelang.planning.families import TensorFact
from recipelang.planning.remembered import remembered
from recipelang.planning.safetensors_header import Entry
from recipelang.source import RecipeError, fail
from recipelang.source.render import line_of
from recipelang.source.waiting import waiting
from recipelang.source.words import an
from recipelang.spec.metrics import METRICS
from recipelang.storage.forms import Count, Form, Some, known
from recipelang.tasks import task_of
from recipelang.version import __version__, installed

#: below the package, the code whose answers are remembered
_ASKED = ("engine/walk.py", "engine/roles.py", "pruning/stacks.py", "planning/structure.py", "planning/dropouts.py")

Name = Annotated[str, Field(min_length=1)]


class Part(Form):
    name: Name
    shape: tuple[Count, ...]
    kind: Annotated[str, known("linear", "transposed", "embedding", "norm", "experts", "turned experts", "other")]
    roles: tuple[Name, ...]
    layer: Count | None
    stack: str
    tied: tuple[Name, ...]
    below: Count = 0  # experts that lie one below the other in two dimensions

    @property
    def turned(self) -> bool:
        """Whether it is stored inputs first."""
        return self.kind == "turned experts" or (self.kind == "transposed" and len(self.shape) == 2)

    @property
    def seen(self) -> tuple[int, ...]:
        """Its shape with matrices outputs × inputs, whatever the storage."""
        shape = self.shape
        if self.below:
            shape = (self.below, shape[0] // self.below, *shape[1:])
        return (*shape[:-2], *reversed(shape[-2:])) if self.turned else shape


class Standard(Form):
    vocab_size: Some | None = None
    hidden_size: Some | None = None
    num_attention_heads: Some | None = None
    num_hidden_layers: Count | None = None
    intermediate_size: Some | None = None
    experts_per_token: Some | None = None
    routing_groups: Some | None = None
    groups_per_token: Some | None = None
    positions: int | None = None
    encoder_decoder: bool = False
    dropout: dict[str, float] = {}  # fields of the config, and their values
    attention_dropout: dict[str, float] = {}


class Structure(Form):
    """Of a model made from a config and, where there were files, of what the library would load from them."""

    tensors: tuple[Part, ...] = Field(min_length=1)
    prefix: str
    standard: Standard
    stored: dict[str, tuple[Name, ...]] = Field(default_factory=dict)  # parameter -> the files' names it is made of
    missing: tuple[str, ...] = ()
    mismatched: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...] = ()  # name, shape in the files, in the model
    unexpected: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()  # what the library leaves out on purpose
    dropped: tuple[str, ...] = ()  # of what is unexpected, the heads of other tasks

    @property
    def facts(self) -> tuple[TensorFact, ...]:
        return tuple(
            TensorFact(p.name, p.seen, frozenset(p.roles), p.layer, turned=p.turned, below=bool(p.below))
            for p in self.tensors
        )


class _Failed(Form):
    failed: Annotated[str, known("unknown", "head", "bidirectional", "refused")]
    why: str


_FOUND = TypeAdapter(Structure)
_ANSWER: TypeAdapter[Structure | _Failed] = TypeAdapter(Structure | _Failed)


def structure(path: Path, config: Mapping[str, Any], task: str, header: Mapping[str, Entry] | None) -> Structure:
    """Of the model for a task that is made from a config, and loaded from files with these tensors. No weights are read.

    E076 for a type that the installed transformers lacks and for a config that it refuses, E073 for a head that the
    type lacks. `path` is the folder, for messages.
    """
    kind = str(config["model_type"])
    wanted = task_of(task).auto_model
    request = {
        "config": deciding(config, task),
        "auto": list(dict.fromkeys([wanted, *(task_of(t).auto_model for t in METRICS)])),
        "shapes": None if header is None else {n: list(e.shape) for n, e in header.items()},
    }
    text = json.dumps(request, sort_keys=True)
    parts = [*_code(), installed("transformers"), text]

    def look() -> Structure:
        answer = _ask(text, kind)
        if isinstance(answer, _Failed):
            raise _refused(path, config, task, answer)
        return answer

    found = remembered("structures", parts, _FOUND, look)
    spoken_of = {name for names in found.stored.values() for name in names}
    return found if spoken_of <= (header or {}).keys() else look()  # a note that was changed by hand


@cache
def _code() -> tuple[str, ...]:
    """Of all that an answer is made by, so that none of another release, or of other code, is believed."""
    return __version__, *digests_of(*_ASKED)


def _ask(request: str, kind: str) -> Structure | _Failed:
    waiting(f"reading the structure of `{line_of(kind[:80])}` models from transformers (once)")
    try:
        done = apart("recipelang.engine.walk", request)
    except subprocess.TimeoutExpired:
        return _Failed(failed="refused", why=f"making the model took more than {PATIENCE} seconds")
    try:
        return _ANSWER.validate_json(done.stdout, strict=True)
    except ValidationError:
        if done.returncode == -getattr(signal, "SIGXCPU", 0) < 0:
            return _Failed(failed="refused", why="making the model took more time than any model needs")
        last = next(iter(reversed(done.stderr.strip().splitlines())), "no message")
        return _Failed(
            failed="refused", why=f"the process that makes it ended with status {done.returncode}: {last[:200]}"
        )


def _refused(path: Path, config: Mapping[str, Any], task: str, answer: _Failed) -> RecipeError:
    kind = str(config["model_type"])
    notes = [f"the folder is {path}"] if path != Path() else []
    if answer.failed == "unknown":
        own = path != Path() and any(p for n in ("modeling", "configuration") for p in path.glob(f"{n}_*.py"))
        written = str(config.get("transformers_version", ""))
        attach = "prune it in your own loop with `recipelang.attach`, which takes names of tensors"
        if own:
            notes.insert(0, "the code in the folder is never run")
            help = attach
        elif re.fullmatch(r"\d+\.\d+\.\d+", written) and newer(written, answer.why):
            notes.insert(
                0, f"config.json was written by transformers {written}, a later release than the installed one"
            )
            help = f"install it (`pip install 'transformers>={written}'`), or {attach}"
        else:
            help = f"install a release of transformers that has this type, or {attach}"
        return fail("E076", f"the installed transformers has no models of type `{kind[:80]}`", help=help, notes=notes)
    if answer.failed in ("head", "bidirectional"):
        has = sorted(t for t in METRICS if task_of(t).auto_model in answer.why.split(", "))
        help = f"it has {', '.join(has)}" if has else "it has no head for any task here"
        if answer.failed == "bidirectional":
            why = ["every token reads those after it, which this task predicts", "its config.json has no `is_decoder`"]
            return fail("E073", f"this `{kind}` model is an encoder: it cannot learn {task}", help=help, notes=why)
        return fail("E073", f"`{kind}` has no head for {task}", help=help)
    help = "take config.json from the same source as the weights"
    return fail(
        "E076", f"transformers cannot make {an(f'`{kind}`')} of this config", help=help, notes=[answer.why, *notes]
    )


def newer(version: str, than: str) -> bool:
    """
    >>> newer("5.30.0", "5.4.1"), newer("4.57.1", "5.4.1")
    (True, False)
    """
    return Version(version) > Version(than)

"""Batches of a stream: portions of records one behind the other, each shuffled by itself, pass after pass.

Which rows a step draws follows from the seed and from what the stream holds. A portion becomes model inputs as a data
set of its own, made by a thread while the one before it is used. The position that a checkpoint keeps is where the
portion of the next row begins, and how many of its rows are taken: a resumed run makes that portion again, and its
digest says whether it is the same. Of several processes each reads all of it, and takes its part of every batch.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from recipelang.engine.position import StreamPosition
from recipelang.engine.seeds import stream
from recipelang.engine.sources import same_data
from recipelang.planning.data import features_of
from recipelang.planning.data_plan import DataPlan
from recipelang.planning.types import StagePlan
from recipelang.source import fail
from recipelang.source.words import duration, plural
from recipelang.tasks import Features, task_of
from recipelang.tasks.mixture import side_by_side
from recipelang.tasks.streams import Pass, Place, open_stream

#: seconds without a record after which a stream has stalled
STALLED = 600.0
#: positions of steps that are kept: batches are made a few steps ahead
_KEPT = 16
#: before anything is read
NOTHING = StreamPosition(digest=hashlib.sha256(b"").hexdigest())


class _Closed(Exception):
    """Nobody waits for a portion any more."""


@dataclass(frozen=True)
class _Portion:
    """Rows in the order in which they are drawn. `begins` is where it begins, with no row taken."""

    begins: StreamPosition
    features: Features
    order: np.ndarray


class Stream:
    """The training data of one stage, from a step on."""

    def __init__(
        self,
        data: DataPlan,
        stage: StagePlan,
        model: Path,
        seed: int,
        until: int,
        step: int = 0,
        at: StreamPosition | None = None,
    ) -> None:
        self.data, self.stage, self.model, self.seed = data, stage, model, seed
        self.split = data.splits["train"]
        assert self.split.stream is not None
        self.task = task_of(data.task)
        self.tokenizer = self.task.load_tokenizer(model)
        self.shards = open_stream(
            self.split.reference, self.split.split, data.columns, data.config, texts=self.task.blocks
        )
        self.wanted = (until - step) * stage.batch  # rows
        self.heard = time.monotonic()
        self.closed = False
        self.ahead: Future[_Portion] | None = None
        self.next = at or NOTHING  # where the portion begins that is made next
        self.through = self._pass(self.next)
        self.portion = self._following()
        self.taken = 0
        if at is not None:
            self._take_up(at)
        self.states = {step: (self._position(), self.portion.features)}

    # ------------------------------------------------------------------ for the loop
    def drawn(self, first: int, last: int) -> Iterator[tuple[int, np.ndarray]]:
        return ((step, np.arange(self.stage.batch)) for step in range(first, last))

    def batch(self, step: int) -> dict[str, np.ndarray]:
        """Steps one after another."""
        draw = stream(self.seed, self.stage.name, "masked", step)
        parts: list[tuple[np.ndarray, dict[str, np.ndarray]]] = []
        at = 0
        while missing := self.stage.batch - at:
            if self.taken == len(self.portion.order):
                self.portion, self.taken = self._following(), 0
            rows = self.portion.order[self.taken : self.taken + missing]
            parts.append((np.arange(at, at + len(rows)), self.portion.features.batch(rows, draw=draw)))
            at += len(rows)
            self.taken += len(rows)
            self.wanted -= len(rows)
        self.states[step + 1] = self._position(), self.portion.features
        self.states.pop(step + 1 - _KEPT, None)
        return side_by_side(parts, self.portion.features)

    def position(self, step: int) -> StreamPosition:
        """Where a step begins that is not long past."""
        return self.states[step][0]

    def features(self, step: int) -> Features:
        """The portion in which a step begins, of which gradients are sampled between steps."""
        return self.states[step][1]

    def close(self) -> None:
        self.closed = True

    # ---------------------------------------------------------------------- portions
    def _position(self) -> StreamPosition:
        return self.portion.begins.model_copy(update={"taken": self.taken})

    def _take_up(self, at: StreamPosition) -> None:
        """E216 unless the portion is what it was."""
        if self.portion.begins.here != at.here or at.taken > len(self.portion.order):
            where = f"record {at.record:,} of `{self._name(at.passes, at.shard)}`"
            notes = [f"it differs near {where}, in pass {at.passes + 1:,}"]
            help = "restore the data and run `recipelang resume`, or start again with `run --overwrite`"
            message = f"the stream `{self.shards.name}` has changed since the checkpoint"
            raise fail("E216", message, notes=notes, help=help)
        self.taken = at.taken
        self._prefetch()

    def _name(self, passes: int, shard: int) -> str:
        order = self._order(passes)
        return self.shards.names[order[min(shard, len(order) - 1)]]

    def _following(self) -> _Portion:
        """E217 where nothing comes."""
        made = self.ahead or self._begun()
        while not wait([made], timeout=min(1.0, STALLED)).done:
            if time.monotonic() - self.heard > STALLED:
                place = self.through.place
                where = f"record {place.record:,} of `{self._name(self.next.passes, place.shard)}`"
                notes = [f"no record came for {duration(STALLED)}; the portion that is read begins at {where}"]
                help = "look at the disk or the network that it comes from; then run `recipelang resume`"
                raise fail("E217", f"the stream `{self.shards.name}` has stalled", notes=notes, help=help)
        self.ahead = None
        found = made.result()
        self.portion, self.taken = found, 0
        self._prefetch()
        return found

    def _prefetch(self) -> None:
        """The portion behind, if a step will need it."""
        if self.ahead is None and self.wanted > len(self.portion.order) - self.taken:
            self.ahead = self._begun()

    def _begun(self) -> Future[_Portion]:
        """Made by a thread that holds up nobody's end."""
        made: Future[_Portion] = Future()
        self.heard = time.monotonic()

        def work() -> None:
            try:
                made.set_result(self._make())
            except BaseException as error:  # whoever asks for it gets it
                made.set_exception(error)

        threading.Thread(target=work, name="portions", daemon=True).start()
        return made

    def _make(self) -> _Portion:
        assert self.split.stream is not None
        table = self.through.take(self.split.stream.portion, self._hear)
        if not table.rows:
            self._next_pass()
            table = self.through.take(self.split.stream.portion, self._hear)
            if not table.rows:
                raise fail("E074", f"`{self.shards.name}` holds no records", help="name files that hold some")
        streams = self.task.streams
        assert streams is not None
        columns = self.data.columns
        examples = self.task.made_of(
            {self.split.split: streams(table, columns)}, self.split.reference, columns, self.data.meaning
        )
        features = features_of(self.data, "train", self.model, self.tokenizer, examples)
        self._hear()
        begins = self.next.model_copy(
            update={"taken": 0, "here": _digest(self.next.digest, features), "size": len(table.rows)}
        )
        self.next = self._behind(begins)
        rows = np.arange(len(features))
        if self.data.shuffle:
            rows = np.random.default_rng(stream(self.seed, self.stage.name, "order", begins.portion)).permutation(rows)
        return _Portion(begins, features, rows)

    def _behind(self, at: StreamPosition) -> StreamPosition:
        assert at.here is not None
        place = self.through.place
        return StreamPosition(
            passes=at.passes,
            shard=place.shard,
            record=place.record,
            portion=at.portion + 1,
            records=at.records + at.size,
            digest=at.here,
        )

    def _next_pass(self) -> None:
        same_data(self.split)
        self.next = self.next.model_copy(update={"passes": self.next.passes + 1, "shard": 0, "record": 0})
        self.through = self._pass(self.next)

    def _pass(self, at: StreamPosition) -> Pass:
        return Pass(self.shards, self._order(at.passes), Place(at.shard, at.record))

    def _order(self, passes: int) -> Sequence[int]:
        """Of the shards; every pass has its own."""
        count = len(self.shards.names)
        if not self.data.shuffle:
            return range(count)
        random = np.random.default_rng(stream(self.seed, self.stage.name, "shards", passes))
        return random.permutation(count).tolist()  # type: ignore[no-any-return]

    def _hear(self) -> None:
        if self.closed:
            raise _Closed
        self.heard = time.monotonic()


def told(before: StreamPosition | None, now: StreamPosition, name: str) -> str | None:
    """What there is to say of a step that began another pass."""
    if now.passes == (before or NOTHING).passes:
        return None
    return f"the stream `{name}` ended after {plural(now.records, 'record')} in all: pass {now.passes + 1:,} begins"


def _digest(before: str, features: Any) -> str:
    """Of all that was read: what came before, and the model inputs of a portion with their labels."""
    total = hashlib.sha256(before.encode())
    for field in fields(features):
        value = getattr(features, field.name)
        if isinstance(value, np.ndarray):
            total.update(f"{field.name} {value.dtype} {value.shape}\n".encode())
            total.update(np.ascontiguousarray(value).data)
    return total.hexdigest()

"""The curves that a run wrote for TensorBoard, read back: name -> points over all its steps."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from pathlib import Path

from recipelang.storage.reading import Unreadable, read_bytes

#: of one file of events; a million steps take a fifth of it
MAX_EVENTS = 256 * 2**20
Points = list[tuple[float, float]]


def read_curves(folder: Path) -> dict[str, Points]:
    """Empty where there are none. What a resumed run wrote again takes the place of what was there."""
    from google.protobuf.message import DecodeError
    from tensorboard.compat.proto import event_pb2

    found: dict[str, dict[int, float]] = {}
    files = sorted(
        folder.glob("events.out.tfevents.*"),
        key=lambda p: [int(n) for n in p.name.split(".") if n.isascii() and n.isdigit()],
    )
    for file in files:
        for record in _records(file):
            try:
                event = event_pb2.Event.FromString(record)
            except DecodeError:
                break
            if event.HasField("session_log"):  # resumed: later points are told again
                found = {n: {s: v for s, v in points.items() if s < event.step} for n, points in found.items()}
            for value in event.summary.value:
                found.setdefault(value.tag, {})[event.step] = value.simple_value
    return {name: sorted((float(s), v) for s, v in points.items()) for name, points in found.items()}


def _records(file: Path) -> Iterator[bytes]:
    """Bodies of a file of records: length, check of the length, body, check of the body. A cut one ends it."""
    try:
        data = read_bytes(file, MAX_EVENTS, inside=file.parents[1])
    except Unreadable:
        return  # a link, a pipe, a file of gigabytes: none that a run wrote
    at = 0
    while at + 12 <= len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        if at + 16 + length > len(data):
            return
        yield data[at + 12 : at + 12 + length]
        at += 16 + length


def smoothed(points: Points) -> Points:
    """A running mean that forgets, corrected for its start; of finite values alone."""
    keep, total, weight = 0.8, 0.0, 0.0
    out = []
    for x, y in points:
        if not math.isfinite(y):
            continue
        total, weight = keep * total + (1 - keep) * y, keep * weight + (1 - keep)
        out.append((x, total / weight))
    return out

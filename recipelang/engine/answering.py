"""A process of its own that answers one question about transformers' models: JSON in and JSON out, no network, bounded."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from recipelang.storage.strict_json import parse_json

#: bytes of addresses, of which the libraries take one or two
_ROOM = 12 * 2**30
#: of a processor; on a machine at other work a second takes longer
_SECONDS = 120


def serve(answer: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> int:
    """Answer what standard input asks. The exit status."""
    os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    out = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):  # libraries say things
        import transformers  # what it takes is not the config's doing

        transformers.logging.set_verbosity_error()
        _bounded()
        found = answer(parse_json(sys.stdin.buffer.read()))
    out.write(json.dumps(found))
    return 0


def floats(value: Any) -> Any:
    """Of JSON that has no infinities: the library writes `{"__float__": "Infinity"}`."""
    if isinstance(value, dict):
        if list(value) == ["__float__"] and isinstance(value["__float__"], str):
            return float(value["__float__"])
        return {k: floats(v) for k, v in value.items()}
    return [floats(v) for v in value] if isinstance(value, list) else value


def _bounded() -> None:
    """A table of a billion rows that is computed, not only named, ends here and not the machine."""
    with contextlib.suppress(ImportError, OSError, ValueError):  # where there is no such limit the caller's time is one
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_ROOM, _ROOM))
        resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS + 10))  # the first limit has a signal of its own

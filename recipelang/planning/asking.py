"""How a plan asks what only the libraries know: in a process of its own, so that nothing here loads them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from recipelang.planning.remembered import file_digest
from recipelang.tasks import task_of

#: seconds; a large model takes a few of a processor, of which the process itself has a limit
PATIENCE = 600
#: of a config, what decides no structure and may make a library look elsewhere
_UNUSED = ("auto_map", "attn_implementation", "_attn_implementation", "dtype", "torch_dtype", "transformers_version")


def deciding(config: Mapping[str, Any], task: str) -> dict[str, Any]:
    """What of a config decides the model for a task."""
    given = {k: v for k, v in config.items() if k not in _UNUSED}
    if width := task_of(task).head_width:
        given = {k: v for k, v in given.items() if k not in ("id2label", "label2id")} | {"num_labels": width}
    return given


def digests_of(*files: str) -> Iterator[str]:
    """Of the code that answers, below the package, so that no answer of other code is believed."""
    for name in ("engine/answering.py", "planning/asking.py", *files):
        with suppress(OSError):  # installed without sources
            yield file_digest(Path(__file__).parents[1] / name)


def apart(module: str, request: str) -> subprocess.CompletedProcess[str]:
    """What a process that loads the libraries answers; `TimeoutExpired` where it takes too long."""
    away = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    return subprocess.run(
        [sys.executable, "-P", "-m", module],
        input=request,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=PATIENCE,
        env={**os.environ, **away},
        check=False,
    )

"""The command itself in a process of its own, with every step noted in a file.

Processes are forked from one that has imported everything: a start takes a second instead of ten.
"""

from __future__ import annotations

import os
import resource
import sys

# imported before the fork; all of it is the command's own
import accelerate  # noqa: F401
import torch
import transformers.models.bert.modeling_bert  # noqa: F401

import recipelang.engine.run  # noqa: F401
from recipelang.cli.main import main as command
from recipelang.report.progress import Progress


def main(notes: str, said: str, folder: str, memory: int | None, arguments: tuple[str, ...]) -> None:
    """`recipelang` with these arguments in `folder`; `memory` is the most address space it may take."""
    os.chdir(folder)
    for stream, number in ((sys.stdout, 1), (sys.stderr, 2)):
        os.dup2(os.open(said, os.O_WRONLY | os.O_APPEND | os.O_CREAT), number)
        stream.reconfigure(line_buffering=True)  # type: ignore[attr-defined]
    if memory is not None:
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    torch.set_num_threads(1)
    _note_steps(os.open(notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT))
    sys.argv = ["recipelang", *arguments]
    command()


def _note_steps(notes: int) -> None:
    stepped = Progress.stepped

    def noted(self, stage, step, *numbers):  # type: ignore[no-untyped-def]
        os.write(notes, f"{stage.index} {step}\n".encode())  # in one call: a kill leaves whole lines
        stepped(self, stage, step, *numbers)

    Progress.stepped = noted  # type: ignore[method-assign]

"""Two nodes, each with a `torchrun` of its own, on this machine. `make distributed` runs it: every start loads torch anew."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import torch

from tests.cli.command import environment
from tests.distributed.test_command import STILL, checkpoint_in, launched
from tests.train.steps import weights

pytestmark = pytest.mark.skipif(
    "RECIPELANG_NODES" not in os.environ, reason="takes minutes: `make distributed` runs it"
)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def meeting(backend: str, port: int) -> list[str]:
    if backend == "c10d":
        return ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{port}", "--rdzv-id", "tests"]
    return ["--master-addr", "127.0.0.1", "--master-port", str(port)]


@contextmanager
def nodes(backend: str, *arguments: object, cwds: tuple[Path, Path]) -> Iterator[list[subprocess.Popen[str]]]:
    """Both, with one process each."""
    port = free_port()
    with ExitStack() as both:
        started = []
        for rank, cwd in enumerate(cwds):
            words = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--node-rank", str(rank)]
            words += ["--nproc-per-node", "1", *meeting(backend, port), "-m", "recipelang", *map(str, arguments)]
            streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
            started.append(both.enter_context(subprocess.Popen(words, cwd=cwd, env=environment(), **streams)))
            both.callback(started[-1].kill)
        yield started


def ended(started: list[subprocess.Popen[str]]) -> tuple[list[int], str, str]:
    said = [process.communicate(timeout=240) for process in started]
    return [p.returncode for p in started], *("".join(streams) for streams in zip(*said, strict=True))


def same(one: Path, other: Path) -> bool:
    mine, theirs = weights(one), weights(other)
    return mine.keys() == theirs.keys() and all(torch.equal(mine[n], theirs[n]) for n in mine)


def on_one_node(recipe: Path, out: Path, *options: str) -> Path:
    """What one `torchrun` with two processes leaves."""
    process = launched(out.parent, "run", recipe, "-o", out, *options)
    _, complained = process.communicate(timeout=240)
    assert process.returncode == 0, complained
    return out


@pytest.mark.parametrize(("backend", "options"), [("c10d", ()), ("static", ("--shard",))])
def test_two_nodes_are_as_two_processes_of_one(project, tmp_path, backend, options):
    recipe = project(replace=STILL)
    here = on_one_node(recipe, tmp_path / "one", *options)
    with nodes(backend, "run", recipe, "-o", tmp_path / "two", *options, cwds=(tmp_path, tmp_path)) as started:
        codes, said, complained = ended(started)
    assert codes == [0, 0], complained
    assert said.count("finished in ") == 1  # one speaks
    assert same(tmp_path / "two", here)


def test_a_node_that_is_stopped_stops_both_and_they_go_on_to_the_same_bits(project, tmp_path):
    recipe, out = project(length="8 epochs"), tmp_path / "two"
    here = on_one_node(recipe, tmp_path / "one")
    with nodes("c10d", "run", recipe, "-o", out, cwds=(tmp_path, tmp_path)) as started:
        checkpoint_in(out, started[0])
        started[1].terminate()
        codes, _, complained = ended(started)
    assert 0 not in codes and complained.count("stopped by SIGTERM; nothing is lost") == 1, complained
    assert json.loads((out / "run.json").read_text("utf-8"))["status"] == "interrupted"
    with nodes("static", "resume", out, cwds=(tmp_path, tmp_path)) as started:
        codes, _, complained = ended(started)
    assert codes == [0, 0], complained
    assert same(out, here)


def test_a_node_that_does_not_see_the_folder_is_told(project, tmp_path):
    recipe = project()
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    with nodes("c10d", "run", recipe, "-o", "out", cwds=(tmp_path / "first", tmp_path / "second")) as started:
        codes, _, complained = ended(started)
    assert codes == [1, 1]
    assert complained.count("error[E242]") == 1 and "process 1 on " in complained, complained

"""A real registry on loopback, and one that lies."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from recipelang.artifact.contents import Artifact

from ..cli.conftest import contents, edit, here, project, text  # noqa: F401 (fixtures of the command line)
from .liar import Liar

_BINARY = shutil.which("docker-registry") or shutil.which("registry")
_CONFIG = """version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {root}}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:{port}", secret: tests}}
"""


class RealRegistry:
    """Debian's `docker-registry`, in a process of its own; it can be killed and started again."""

    def __init__(self, root: Path) -> None:
        self.root = root
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        config = self.root / "config.yml"
        config.write_text(_CONFIG.format(root=self.root / "data", port=self.port))
        assert _BINARY is not None
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen([_BINARY, "serve", str(config)], **quiet)  # type: ignore[call-overload]
        for _ in range(100):
            try:
                urllib.request.urlopen(f"http://{self.host}/v2/", timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise AssertionError("the registry did not start")

    def stop(self) -> None:
        if self.process is not None:
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


@pytest.fixture(scope="session")
def _running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRegistry]:
    if _BINARY is None:
        pytest.skip(
            "NO REGISTRY HERE: `make test-deps` installs docker-registry; sharing is NOT tested against a real one"
        )
    registry = RealRegistry(tmp_path_factory.mktemp("registry"))
    registry.start()
    yield registry
    registry.stop()


@pytest.fixture
def registry(_running: RealRegistry) -> RealRegistry:
    return _running


@pytest.fixture(autouse=True)
def _clean_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No cache, no credentials, no patience."""
    monkeypatch.setenv("RECIPELANG_CACHE", str(tmp_path.parent / f"{tmp_path.name}-cache"))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path.parent / f"{tmp_path.name}-docker"))
    monkeypatch.delenv("RECIPELANG_ALLOW_PRIVATE", raising=False)
    monkeypatch.setattr("recipelang.artifact.http.PAUSE", 0.01)
    monkeypatch.setattr("recipelang.artifact.http.LONGEST_PAUSE", 0.02)


@pytest.fixture
def published(contents: Path) -> Path:  # noqa: F811
    """The working folder, whose recipe has a version to be published as."""
    path = contents / "tiny.recipe"
    path.write_text(path.read_text("utf-8") + '\nmeta { version = "1.0.0", authors = ["A. Author"] }\n', "utf-8")
    return contents


@pytest.fixture
def artifact(published: Path) -> Artifact:
    """What `push` would send of `tiny.recipe`."""
    from recipelang.cli.packed import packed

    return packed("tiny.recipe").artifact


@pytest.fixture
def liar(artifact: Artifact) -> Iterator[Liar]:
    made = Liar(artifact)
    yield made
    made.close()

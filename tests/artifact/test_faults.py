"""Cut off anywhere, nothing is published or kept in part, and the same command makes it whole."""

from __future__ import annotations

import errno
import os
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from recipelang.artifact import http
from recipelang.artifact.registry import Registry

from ..cli.command import command
from .conftest import RealRegistry


@pytest.fixture
def own(tmp_path_factory: pytest.TempPathFactory, registry):
    """A registry that a test may kill."""
    made = RealRegistry(tmp_path_factory.mktemp("own"))
    made.start()
    yield made
    made.stop()


def _kill_after(own: RealRegistry, monkeypatch, method: str, calls: int) -> None:
    """The registry dies before this many-th call of a method that matches, once."""
    real, left = http.Http.send, calls

    def send(self, verb, url, *arguments, **named):
        nonlocal left
        if f"{verb} {url}".find(method) >= 0:
            left -= 1
            if left == 0:
                own.stop()
        return real(self, verb, url, *arguments, **named)

    monkeypatch.setattr(http.Http, "send", send)


def _status(own: RealRegistry, path: str) -> int:
    try:
        with urllib.request.urlopen(f"http://{own.host}/v2/{path}", timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.parametrize(("call", "number"), [("POST ", 1), ("PUT ", 1), ("PUT ", 3), ("/manifests/", 2)])
def test_registry_killed_while_pushing(published: Path, own: RealRegistry, monkeypatch, call: str, number: int):
    target = f"oci://{own.host}/killed/tiny"
    with monkeypatch.context() as patched:
        _kill_after(own, patched, call, number)
        assert command("push", "tiny.recipe", target, "--allow-private").codes == ["E128"]
    own.start()
    assert _status(own, "killed/tiny/manifests/1.0.0") == 404
    again = command("push", "tiny.recipe", target, "--allow-private")
    assert (again.code, again.out[:6]) == (0, "pushed")
    monkeypatch.setenv("RECIPELANG_CACHE", str(published / "another-machine"))
    assert command("pull", f"{target}:1.0.0", "--allow-private").code == 0


@pytest.mark.parametrize("number", [1, 2, 4])
def test_registry_killed_while_pulling(published: Path, own: RealRegistry, monkeypatch, number: int):
    target = f"oci://{own.host}/killed/tiny"
    command("push", "tiny.recipe", target, "--allow-private")
    monkeypatch.setenv("RECIPELANG_CACHE", str(published / "another-machine"))
    with monkeypatch.context() as patched:
        _kill_after(own, patched, "GET ", number)
        assert command("pull", f"{target}:1.0.0", "-o", "got", "--allow-private").codes == ["E128"]
    assert not Path("got").exists()
    assert command("validate", f"{target}:1.0.0").code == 1
    own.start()
    assert command("pull", f"{target}:1.0.0", "-o", "got", "--allow-private").code == 0
    assert command("validate", f"{target}:1.0.0").code == 0


def test_a_short_outage_is_waited_for(published: Path, own: RealRegistry, monkeypatch):
    real, failed = http.Http._once, []

    def once(self, *arguments):
        if not failed:
            failed.append(True)
            own.stop()
            try:
                return real(self, *arguments)
            finally:
                own.start()
        return real(self, *arguments)

    monkeypatch.setattr(http.Http, "_once", once)
    assert command("push", "tiny.recipe", f"oci://{own.host}/waits/tiny", "--allow-private").code == 0


def full_from(patched: pytest.MonkeyPatch, write: int) -> None:
    """The disk is full from this write on, the first being 1."""
    real, left = os.fsync, write

    def fsync(handle: int) -> None:
        nonlocal left
        left -= 1
        if left <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    patched.setattr(os, "fsync", fsync)


@pytest.mark.parametrize("write", range(1, 7))
def test_disk_full_while_pulling(published: Path, monkeypatch, write: int):
    command("push", "tiny.recipe", "shared")
    monkeypatch.setenv("RECIPELANG_CACHE", str(published / "another-machine"))
    with monkeypatch.context() as patched:
        full_from(patched, write)
        assert command("pull", "shared", "-o", "got").codes == ["E084"]
    assert not Path("got").exists()
    assert list((published / "another-machine").rglob(".*")) == []
    assert command("pull", "shared", "-o", "got").code == 0
    assert Path("got/tiny.recipe").read_bytes() == Path("tiny.recipe").read_bytes()


@pytest.mark.parametrize("write", range(1, 8))
def test_disk_full_while_pushing_to_a_folder(published: Path, monkeypatch, write: int):
    command("lock", "tiny.recipe")
    with monkeypatch.context() as patched:
        full_from(patched, write)
        assert command("push", "tiny.recipe", "shared").codes == ["E084"]
    assert command("pull", "shared").code == 1
    assert command("push", "tiny.recipe", "shared").code == 0, "what was begun is gone on with"
    assert command("pull", "shared").code == 0


def test_a_lock_that_cannot_be_written_stops_no_run(project: Path, monkeypatch):
    from recipelang.storage import writing

    real = writing.write_text

    def write(path: Path, text: str, **more: object) -> None:
        if path.suffix == ".lock" and path.resolve().parent == project:
            with writing.writing(path):
                raise OSError(errno.EROFS, "read-only")
        real(path, text, **more)

    monkeypatch.setattr(writing, "write_text", write)
    ended = command("run", "tiny.recipe", "--steps", "1", "-o", "out")
    assert "W140" in ended.codes
    assert (project / "out" / "recipe" / "recipe.lock").is_file()


def test_the_registry_of_these_tests_is_real(registry):
    assert Registry.__module__ == "recipelang.artifact.registry"
    assert _status(registry, "") == 200

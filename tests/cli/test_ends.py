"""How the program ends when what is around it gives way: no memory, no reader, no folder, no text in a name."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from recipelang.cli import crash, machine
from recipelang.source import suggest

from .command import command, environment, process


def limited(kib: int, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    start = f'ulimit -v {kib}; exec "$0" -c "from recipelang.cli.start import main; main()" "$@"'
    run = ["sh", "-c", start, sys.executable, *arguments]
    return subprocess.run(run, cwd=cwd, env=environment(), capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("kib", [24_000, 36_000])
def test_process_without_memory_says_so(kib, here):
    ended = limited(kib, "validate", "tiny.recipe", cwd=here)
    assert ended.returncode == 1
    assert "error[E081]: out of memory\n" in ended.stderr


def test_reader_that_leaves_ends_nothing(here):
    with process("explain", "E051", cwd=here) as started:
        started.stdout.close()
        err = started.stderr.read()
        assert (started.wait(timeout=60), err) == (0, "")
    with process("fmt", "--diff", "tiny.recipe", cwd=here, stderr=subprocess.STDOUT) as started:
        started.stdout.close()
        assert started.wait(timeout=60) in (0, 4)


def test_folder_that_is_gone_is_told(here):
    gone = here / "gone"
    gone.mkdir()
    run = ["sh", "-c", 'rmdir "$PWD"; exec "$0" -m recipelang validate x.recipe', sys.executable]
    ended = subprocess.run(run, cwd=gone, env=environment(), capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr.partition(":")[0]) == (1, "error[E046]")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MemoryError(), "E081"),
        (OSError(12, "Cannot allocate memory"), "E081"),
        (ImportError("x.so: failed to map segment from shared object"), "E081"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried ..."), "E081"),
        (UnicodeEncodeError("utf-8", "/tmp/\udcff/a", 5, 6, "surrogates not allowed"), "E167"),
        (FileNotFoundError(2, "No such file or directory"), "E046"),
        (FileNotFoundError(2, "No such file or directory", "a"), None),
        (ValueError("x"), None),
    ],
)
def test_limits_of_the_machine_are_no_bugs(error, code):
    found = machine.limit_of_the_machine(error)
    assert (found and found.diagnostics[0].code) == code


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise MemoryError


@pytest.mark.parametrize("error", [ValueError("\udcff"), Unspeakable()], ids=["no text", "an error without a text"])
def test_crash_is_reported_whatever_it_was(error, monkeypatch, capfd):
    monkeypatch.setattr(sys, "argv", ["recipelang", "\udcff"])
    assert crash.report(error) == 101
    assert capfd.readouterr().err.startswith("recipelang: internal error")


def test_failure_of_telling_a_failure_is_a_bug_and_no_traceback(here, monkeypatch):
    monkeypatch.setattr("recipelang.cli.main.show_error", lambda error: 1 / 0)
    assert command("plan", "none.recipe").code == 101


def test_run_into_a_name_that_is_no_text_does_not_begin(project):
    ended = command("run", "tiny.recipe", "-o", os.fsdecode(b"o\xff"))
    assert (ended.code, ended.codes[-1]) == (1, "E167")
    assert not (project / os.fsdecode(b"o\xff")).exists()


def test_python_without_assertions_is_enough_and_without_docstrings_is_not(here):
    def ended(level: str) -> tuple[int, str]:
        with process("validate", "tiny.recipe", cwd=here, env=environment(PYTHONOPTIMIZE=level)) as started:
            _, err = started.communicate(timeout=60)
        return started.returncode, err.partition(":")[0]

    assert ended("1") == (0, "")
    assert ended("2") == (1, "error[E166]")


def test_work_of_suggestions_is_limited_in_commands(here, monkeypatch):
    seen = []
    monkeypatch.setattr("recipelang.cli.main._answer", lambda: seen.append(suggest._Work.left))
    command("validate", "tiny.recipe")
    assert seen == [suggest.LETTERS]
    assert suggest._Work.left > suggest.LETTERS, "what comes after a command has its own limit"

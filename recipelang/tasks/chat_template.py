"""The chat template of a model folder, and the process that applies it. E230, E231, E232.

A template is a program of whoever made the model. transformers applies it in a process of its own, which is killed
if it does not answer (`recipelang.chat_renderer`); nothing of it runs here.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from recipelang.source import RecipeError, fail
from recipelang.source.render import line_of
from recipelang.source.words import plural
from recipelang.storage import reading as storage
from recipelang.storage.reading import Unreadable, Why
from recipelang.storage.strict_json import parse_json
from recipelang.tasks.reading import MAX_CONFIG

MAX_TEMPLATE = 2**20
#: seconds for one chat, which takes about a millisecond; and for a new process, which loads libraries
SECONDS, TO_START = 30.0, 300.0
#: as transformers calls them: what a template may use of the tokenizer
NAMED = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
#: what the process has of this one's environment: where Python and its libraries are
_PASSED = (
    "PATH", "SYSTEMROOT", "PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE", "VIRTUAL_ENV", "HOME", "USERPROFILE", "APPDATA",
    "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LANG", "LC_ALL", "TMPDIR", "TEMP",
)  # fmt: skip
_FILE, _CONFIG, _OLD = "chat_template.jinja", "tokenizer_config.json", "chat_template.json"


@dataclass(frozen=True)
class ChatTemplate:
    """The text of a template, and the special tokens that it may name."""

    text: str
    tokens: Mapping[str, str]
    folder: Path

    @property
    def marked(self) -> bool:
        """Whether it marks the answers itself; as transformers looks for it."""
        return bool(re.search(r"\{%-?\s*generation\s*-?%\}", self.text))

    @property
    def digest(self) -> str:
        """Of all that decides what a chat becomes."""
        told = json.dumps([self.text, dict(sorted(self.tokens.items()))])
        return "sha256:" + hashlib.sha256(told.encode()).hexdigest()


def read_template(folder: Path) -> ChatTemplate:
    """As transformers finds it: a file of its own, else in the tokenizer's config, else in the older file.

    E230 where there is none, or it names a token that the tokenizer's files do not mention; E076 for damaged files.
    """
    config = _object(folder / _CONFIG)
    text = _text(folder, config)
    if text is None:
        there = ", ".join(f"`{name}`" for name in (_FILE, _CONFIG, _OLD))
        help = 'name an instruct model, or read plain text: `columns { text = "..." }` in `data`'
        notes = [f"looked for in {there}", f"the folder is {folder}"]
        raise fail("E230", "the model has no chat template", help=help, notes=notes)
    found = {**config, **({} if "added_tokens_decoder" in config else _object(folder / "special_tokens_map.json"))}
    for name in NAMED:
        if name not in found and re.search(rf"\b{name}\b", text):
            help = f'write it into `{_CONFIG}` as the model\'s authors intend: `"{name}": "..."`, or `null` for none'
            notes = [f"without it, text would differ from what the model was trained on; the folder is {folder}"]
            raise fail("E230", f"the chat template uses `{name}`, which the tokenizer lacks", help=help, notes=notes)
    more = found.get("extra_special_tokens")
    named = found | more if isinstance(more, dict) else found
    tokens = {name: _token(value) for name, value in named.items() if name.endswith("_token")}
    return ChatTemplate(text, {name: token for name, token in tokens.items() if token is not None}, folder)


def _object(path: Path) -> dict[str, Any]:
    """Empty where there is no file."""
    try:
        return storage.read_object(path, MAX_CONFIG)
    except Unreadable as error:
        if error.why is Why.MISSING:
            return {}
        raise error.coded("E076") from None


def _text(folder: Path, config: Mapping[str, Any]) -> str | None:
    try:
        return storage.read_text(folder / _FILE, MAX_TEMPLATE)
    except Unreadable as error:
        if error.why is not Why.MISSING:
            raise error.coded("E076") from None
    for held in (config.get("chat_template"), _object(folder / _OLD).get("chat_template")):
        if isinstance(held, list):  # several, each with a name
            named = {each.get("name"): each.get("template") for each in held if isinstance(each, dict)}
            held = named.get("default")
        if isinstance(held, str) and held.strip():
            return held
    return None


def _token(value: object) -> str | None:
    if isinstance(value, Mapping):
        value = value.get("content")
    return value if isinstance(value, str) else None


class _Process:
    """`recipelang.chat_renderer`, started once and asked line by line. It ends with this process, or when it is late."""

    def __init__(self) -> None:
        given = {name: os.environ[name] for name in _PASSED if name in os.environ}
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "recipelang.chat_renderer"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**given, "PYTHONHASHSEED": "0", "HF_HUB_OFFLINE": "1"},
            start_new_session=True,  # an interrupt from the keyboard is this process's to handle
        )
        self._until = 0.0  # on the monotonic clock; 0: nothing is awaited
        self._ended = threading.Event()
        self.late = False
        threading.Thread(target=self._watch, daemon=True).start()
        atexit.register(self.end)

    def tell(self, value: object) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it has ended, which `hear` finds
            self._process.stdin.write(json.dumps(value).encode() + b"\n")
            self._process.stdin.flush()

    def hear(self, seconds: float) -> dict[str, Any] | None:
        """The next line; none where the process has ended, or had to be."""
        assert self._process.stdout is not None
        self._until = time.monotonic() + seconds
        line = self._process.stdout.readline()
        self._until = 0.0
        return parse_json(line) if line.endswith(b"\n") else None

    def runs(self) -> bool:
        return self._process.poll() is None

    def end(self) -> None:
        self._ended.set()
        atexit.unregister(self.end)
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):  # what was left to write
                pipe.close()
        self._process.wait()

    def _watch(self) -> None:
        while not self._ended.wait(0.2):
            if self._until and time.monotonic() > self._until:
                self.late = True
                self._process.kill()
                return


_KEPT: list[_Process] = []  # the one that runs: starting takes longer than a thousand chats
_ONE = threading.RLock()


class Renderer:
    """A template in the process that applies it, for a `with` block. E231 where there is no such process."""

    def __init__(self, template: ChatTemplate) -> None:
        self.template = template
        self._agreed = True  # nothing was asked that is not answered

    def __enter__(self) -> Renderer:
        _ONE.acquire()
        try:
            self._agreed = False
            if _KEPT and not _KEPT[0].runs():
                _KEPT.pop().end()
            if not _KEPT:
                _KEPT.append(_Process())
                told = _KEPT[0].hear(TO_START)
                if told is None or "error" in told:
                    notes = ["jinja2 3.1.6 or newer is needed", *([line_of(told["error"])] if told else [])]
                    message = "transformers cannot apply chat templates here"
                    raise fail("E231", message, notes=notes, help="install `jinja2` again")
            t = self.template
            _KEPT[0].tell({"template": t.text, "tokens": dict(t.tokens), "marked": t.marked})
            self._agreed = True
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        while _KEPT and not self._agreed:  # what was not heard would be taken for an answer to the next one
            _KEPT.pop().end()
        _ONE.release()

    def answers(self, chats: Sequence[Sequence[Mapping[str, Any]]], named: Sequence[str]) -> list[dict[str, Any]]:
        """For each chat its `text` and the `spans` of its answers. `named`: what to call each in a message.

        E231 for a template that refuses a chat, E232 for one that takes too long, or makes too much of it.
        """
        self._agreed = False
        self._tell(list(chats))
        told: list[dict[str, Any] | None] = []
        while len(told) < len(named) and None not in told:
            told.append(self._hear())
        self._agreed = None not in told
        return [self._sound(name, one) for name, one in zip(named, told, strict=False)]

    def _sound(self, name: str, told: dict[str, Any] | None) -> dict[str, Any]:
        if told is None:
            late = f"it did not finish within {plural(int(SECONDS), 'second')}"
            raise self._unsafe(name, late if _KEPT[0].late else "its process ended")
        if told.get("error") == "size":
            raise self._unsafe(name, told["says"])
        if "error" not in told:
            return told
        notes = [f"the template reports: {line_of(told['says'])}", f"the folder is {self.template.folder}"]
        if told["error"] == "syntax":
            raise fail("E231", "the chat template is not valid Jinja", notes=notes, help="download the model again")
        help = "change or remove the record: a template may refuse a role, or an order of roles"
        raise fail("E231", f"the chat template refuses {name}", notes=notes, help=help)

    def _unsafe(self, name: str, why: str) -> RecipeError:
        help = "download the model again from its source, or use another template"
        notes = [why, f"the folder is {self.template.folder}"]
        return fail("E232", f"the chat template takes too much for {name}", notes=notes, help=help)

    def _tell(self, chats: list[Sequence[Mapping[str, Any]]]) -> None:
        _KEPT[0].tell(chats)

    def _hear(self) -> dict[str, Any] | None:
        return _KEPT[0].hear(SECONDS)

"""The process that applies chat templates: `python -m recipelang.chat_renderer`, started by `tasks.chat_template`.

A template is a program that came with a model. transformers renders it in its sandbox; this process around it may
open no file, may take only so much memory, and is killed from outside if it does not answer. Its lines are JSON: an
object is a template, a list is of chats, and each chat is answered by a line. Clock and chance are fixed, so that the same chat always gives the same text.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

#: what a template that asks for the date is told: the date that Llama's template writes where there is no clock
TODAY = datetime(2024, 7, 26)
#: bytes of memory that rendering may take beside what Python and its libraries hold
_MEMORY = 2**30
#: a rendered chat may be so many times longer than its messages, and so many characters more
_LONGER, _MORE = 64, 100_000

#: seconds for one chat after which this process ends by itself, should nobody be left to end it
_ALONE = 120

Messages = Sequence[Mapping[str, Any]]


class TooLongError(Exception):
    pass


class Template:
    """A chat template, the special tokens that it may name, and whether it marks the answers itself."""

    def __init__(self, text: str, tokens: Mapping[str, str], marked: bool) -> None:
        self._apply = _library()
        self._text, self._tokens, self._marked = text, dict(tokens), marked

    def render(self, messages: Messages, *, prompt: bool = False) -> str:
        return self._rendered(messages, prompt, marks=False)[0]

    def answers(self, messages: Messages) -> dict[str, Any]:
        """The text of a chat, and the places of its answers as `spans` of characters.

        Of a template that does not mark them an answer is what a message of the assistant adds to the text before
        it, its beginning as for generation. `differs`: the message for which these texts do not begin the whole, and
        what is `here` and `there` where they part.
        """
        if self._marked:
            whole, spans = self._rendered(messages, False, marks=True)
            return {"text": whole, "spans": spans}
        whole = self.render(messages)
        spans = []
        for i, message in enumerate(messages):
            if message["role"] != "assistant":
                continue
            before = self.render(messages[:i], prompt=True)
            after = self.render(messages[: i + 1]) if i + 1 < len(messages) else whole
            for prefix in (before, after):
                if not whole.startswith(prefix):
                    pairs = enumerate(zip(prefix, whole, strict=False))
                    at = next((k for k, (a, b) in pairs if a != b), min(len(prefix), len(whole)))
                    return {"differs": i, "here": _shown(prefix[at:]), "there": _shown(whole[at:])}
            spans.append((len(before), len(after)))
        return {"text": whole, "spans": spans}

    def _rendered(self, messages: Messages, prompt: bool, marks: bool) -> tuple[str, list[tuple[int, int]]]:
        random.seed(0)
        found, spans = self._apply(
            [list(messages)],
            chat_template=self._text,
            return_assistant_tokens_mask=marks,
            add_generation_prompt=prompt,
            **self._tokens,
        )
        text = found[0]
        if len(text) > _LONGER * sum(len(str(m["content"])) for m in messages) + _MORE:
            raise TooLongError(f"it makes {len(text):,} characters of a chat")
        return text, spans[0] if marks else []


def _library() -> Callable[..., Any]:
    """What `apply_chat_template` of a tokenizer renders with."""
    from transformers.utils.chat_template_utils import render_jinja_template

    return render_jinja_template


def _shown(text: str, length: int = 24) -> str:
    """The beginning of a text, for a message: halves of characters cannot be printed."""
    return text[:length].encode("utf-8", "replace").decode("utf-8")


class _Fixed(datetime):
    @classmethod
    def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
        return TODAY.replace(tzinfo=tz)


def stop_the_clock() -> None:
    """`strftime_now` of a template tells a fixed date."""
    from transformers.utils import chat_template_utils

    chat_template_utils.datetime = _Fixed  # type: ignore[misc]


def warm() -> None:
    """Load all that rendering and failing load, and see that the date is the fixed one."""
    apply = _library()
    text = "{% generation %}{{ strftime_now('%Y-%m-%d') }}{% endgeneration %}{{ [1] | tojson }}"
    example = [{"role": "user", "content": "a"}]
    found, _ = apply([example], chat_template=text, return_assistant_tokens_mask=True)
    if found != [f"{TODAY:%Y-%m-%d}[1]"]:
        raise RuntimeError("this release of transformers takes the date from elsewhere")
    for wrong in ("{{ a.b }}", "{% for %}", "{{ 1 / 0 }}", "{{ 'a b' | wordwrap(1) | pprint }}"):
        with contextlib.suppress(Exception):
            apply([example], chat_template=wrong)


def confine() -> None:
    """From here on no file can be opened, and memory is limited, where the system can do that."""
    try:
        import resource
    except ImportError:  # Windows: time is limited from outside, memory is not
        return
    with contextlib.suppress(OSError, ValueError):
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()  # noqa: SIM115
        resource.setrlimit(resource.RLIMIT_AS, (used + _MEMORY, used + _MEMORY))
    for limit in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE):
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(limit, (0, 0))


def answer(template: Template, messages: Messages) -> dict[str, Any]:
    """What is said of one chat; `error` is why it cannot be rendered."""
    try:
        return template.answers(messages)
    except TooLongError as error:
        return {"error": "size", "says": str(error)}
    except MemoryError:
        return {"error": "size", "says": "it takes more than 1 GiB of memory"}
    except Exception as error:
        kind = type(error).__name__
        return {
            "error": "syntax" if kind == "TemplateSyntaxError" else "refused",
            "says": _shown(str(error), 400) or kind,
        }


def main() -> None:
    lines, out = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing else may write between the answers

    def say(value: object) -> None:
        out.write(json.dumps(value).encode() + b"\n")
        out.flush()

    try:
        stop_the_clock()
        warm()
    except Exception as error:
        say({"error": f"{type(error).__name__}: {error}"[:400]})
        return
    confine()
    alarm = getattr(signal, "alarm", lambda seconds: None)  # not on Windows
    say({})
    template = None
    for line in lines:
        told = json.loads(line)
        if isinstance(told, dict):
            template = Template(told["template"], told["tokens"], told["marked"])
            continue
        assert template is not None
        for messages in told:
            alarm(_ALONE)
            say(answer(template, messages))
        alarm(0)


if __name__ == "__main__":
    main()

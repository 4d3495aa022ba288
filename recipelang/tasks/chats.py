"""Chats: records with a list of messages, each with a role and a text. E074, E075.

What a message holds beside these two is the template's affair and handed on to it, but for tool calls.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recipelang.source import RecipeError, fail
from recipelang.source.render import line_of
from recipelang.tasks import meaning, reading
from recipelang.tasks.table import Table

#: names of the column that are recognised
COLUMNS = ("messages", "conversations", "conversation")
ROLES = ("system", "user", "assistant")
ANSWERING = "assistant"
#: what other formats call the roles
_ALSO = {
    "human": "user", "prompter": "user", "customer": "user", "question": "user", "gpt": "assistant", "bot": "assistant",
    "model": "assistant", "ai": "assistant", "chatbot": "assistant", "answer": "assistant", "developer": "system",
}  # fmt: skip
_TOOL_ROLES = ("tool", "function", "ipython", "tool_response", "tool_call", "observation")
_TOOL_KEYS = ("tool_calls", "function_call", "tool_call_id")


@dataclass(frozen=True)
class Chat:
    """`messages` as a template is given them; `name` is what the chat is called in a finding."""

    messages: tuple[Mapping[str, Any], ...]
    name: str


def column_of(tables: Sequence[Table]) -> str | None:
    """The first usual name that holds lists in all splits."""
    there = meaning.common(tables)
    return next((c for c in COLUMNS if c in there and all(isinstance(t.rows[0][c], list) for t in tables)), None)


def chats_of(table: Table, column: str) -> tuple[Chat, ...]:
    """E074 where there is no such column, E075 for a record that is not a chat with an answer."""
    if any(column not in row for row in table.rows):
        table.lacks(column, "messages", COLUMNS)
    return tuple(_chat(table, i, row[column]) for i, row in enumerate(table.rows))


def _chat(table: Table, number: int, value: object) -> Chat:
    record = table.record(number)
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        found = "null" if value is None else f"of type {type(value).__name__}"
        help = "write a list of messages, each with `role` and `content`"
        if isinstance(value, str):
            help += "; `.csv` and `.tsv` cannot hold them: use `.jsonl` or parquet"
        raise fail("E075", f"the chat in {record} is not a list", notes=[f"it is {found}"], help=help)
    if not value:
        raise fail("E075", f"the chat in {record} has no messages", help="add messages, or remove the record")
    messages = tuple(_message(f"message {i} of {record}", message) for i, message in enumerate(value))
    if all(message["role"] != ANSWERING for message in messages):
        help = "add an answer, or remove the record: loss and perplexity are those of answers"
        raise fail("E075", f"the chat in {record} has no message of the `{ANSWERING}`", help=help)
    return Chat(messages, record)


def _message(place: str, value: object) -> dict[str, Any]:
    """As transformers hands it to a template: what is null is not there."""
    if not isinstance(value, Mapping):
        raise fail("E075", f"{place} is not an object", help="write `role` and `content`")
    message = {str(key): part for key, part in value.items() if part is not None}
    for key in _TOOL_KEYS:
        if message.get(key):
            raise _tools(place, f"it has `{key}`")
        message.pop(key, None)  # an empty list calls nothing
    role = message.get("role")
    if role is None:
        help = "write who speaks: `system`, `user` or `assistant`"
        if {"from", "value"} <= set(message):
            help = "rename `from` to `role` and `value` to `content` in every message"
        raise fail("E075", f"{place} has no `role`", help=help)
    if role in _TOOL_ROLES:
        raise _tools(place, f"its role is `{role}`")
    if role not in ROLES:
        near = _ALSO.get(str(role).lower(), str(role).lower())
        help = f"did you mean `{near}`?" if near in ROLES else "write `system`, `user` or `assistant`"
        raise fail("E075", f"{place} has the role `{line_of(str(role))[:40]}`", help=help)
    _check_content(place, message.get("content"))
    try:
        json.dumps(message, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        help = "remove all but `role` and `content`"
        raise fail("E075", f"{place} holds more than text and numbers", help=help) from None
    return message


def _check_content(place: str, content: object) -> None:
    if isinstance(content, str) and reading.is_text(content):
        if not content.strip():
            raise fail("E075", f"the content of {place} is empty", help="write its text, or remove the message")
        return
    if isinstance(content, list | tuple):
        help = "write one string: this release reads text only, and no parts such as images"
        raise fail("E075", f"the content of {place} is not text", notes=["it is a list of parts"], help=help)
    found = "missing" if content is None else "broken text" if isinstance(content, str) else type(content).__name__
    raise fail("E075", f"the content of {place} is not text", notes=[f"it is {found}"], help="make it a string")


def _tools(place: str, note: str) -> RecipeError:
    help = "remove these records: this release reads chats without tools"
    return fail("E075", f"{place} is part of a tool call", notes=[note], help=help)

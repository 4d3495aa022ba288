"""Names, paths and texts from elsewhere are shown as they are: none moves a cursor, turns a line round or is markup."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from recipelang.source.markup import escape, markdown, markdown_code
from tests.cli.command import command
from tests.conftest import RECIPE

EVIL = "\x1b[31mX\u202e\x07\x9b\n<script>alert(1)</script>|`**b**](javascript:alert(1))"
WRITTEN = (
    EVIL.replace("\x1b", r"\u{1b}")
    .replace("\u202e", r"\u{202e}")
    .replace("\x07", r"\u{7}")
    .replace("\x9b", r"\u{9b}")
    .replace("\n", r"\n")
)


def raw(text: str) -> set[str]:
    """Characters that a terminal obeys, or that change the order of others."""
    return {c for c in text if (ord(c) < 32 and c not in "\n\t") or 0x7F <= ord(c) < 0xA0 or c in "\u202e\u2066"}


@pytest.fixture
def evil(project: Path) -> Path:
    """A recipe whose every name is hostile."""
    path = project / "tiny.recipe"
    text = RECIPE.format(length="2 steps", extra="").replace('recipe 1 "tiny"', f'recipe 1 "{WRITTEN}"')
    text = text.replace("stage sparse", f'stage "{WRITTEN}"').replace("prune weights", f'prune "{WRITTEN}"')
    text = text.replace("evaluate dev", f'evaluate "{WRITTEN}"')
    text = re.sub(r"^(expect|prefer).*\n", "", text, flags=re.MULTILINE)
    texts = ", ".join(f'{n} = "{WRITTEN}"' for n in ("summary", "license", "version"))
    lists = ", ".join(f'{n} = ["{WRITTEN}"]' for n in ("authors", "tags", "cites", "reported"))
    path.write_text(f"{text}\nmeta {{ {texts}, {lists} }}\n", "utf-8")
    return path


def test_nothing_from_elsewhere_reaches_screen_card_or_page_as_it_is(evil: Path):
    out = Path("o\x1b[31mut\u202e")
    assert command("run", evil.name, "-o", out).code == 0
    for words in (
        ["validate", evil.name], ["plan", evil.name], ["plan", evil.name, "--json"], ["lint", evil.name],
        ["trace", evil.name], ["doc", evil.name], ["digest", evil.name], ["report", out, "--plots"], ["inspect", out],
        ["verify", out], ["resume", out], ["run", evil.name, "-o", out], ["lock", evil.name],
    ):  # fmt: skip
        ended = command(*words)
        assert not raw(ended.out + ended.err), words
        assert ended.code in (0, 1, 2), words
    card = (out / "README.md").read_text("utf-8")
    body = re.sub(r"`[^`\n]*`", "", card.split("---\n", 2)[2].partition("## Recipe")[0])  # what is code is no markup
    assert not raw(card)
    assert "<script" not in body and "](" not in body
    for path in (out / "report.html", *(out / "plots").glob("*.svg")):
        page = path.read_text("utf-8")
        assert not raw(page) and "<script" not in page


def test_records_from_elsewhere_are_shown_as_they_are(project: Path):
    (project / "tiny.recipe").write_text(RECIPE.format(length="2 steps", extra=""), "utf-8")
    assert command("run", "tiny.recipe", "-o", "out", "--steps", "1").code == 0
    record = json.loads(Path("out/run.json").read_text("utf-8"))
    record["time"] = record["digests"]["run"] = record["environment"]["platform"] = EVIL
    record["metrics"][EVIL] = record["seconds"][EVIL] = 1.0
    record["sparsity"]["tensors"][EVIL] = 0.5
    record["error"] = [EVIL]
    Path("out/run.json").write_text(json.dumps(record), "utf-8")
    ended = command("report", "out")
    assert ended.code == 0
    page = Path("out/report.html").read_text("utf-8")
    assert not raw(page) and "<script" not in page


@pytest.mark.parametrize("shown", [escape, markdown, markdown_code])
def test_markup_is_taken_for_what_it_is_written_as(shown):
    text = shown(EVIL)
    assert not raw(text)
    assert "<script" not in text or shown is markdown_code
    if shown is markdown:
        assert not re.search(r"(?<!\\)[`*|\[\]()]", text)
    if shown is markdown_code:
        assert text.count("`") == 2 and not re.search(r"(?<!\\)\|", text)

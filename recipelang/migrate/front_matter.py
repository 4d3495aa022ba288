"""A recipe inside a Markdown file: the YAML between the first two lines of `---`."""

from __future__ import annotations

import re

from recipelang.source import Source, Span

_FENCE = re.compile(r"^(?:---|\+\+\+)[ \t]*$", re.MULTILINE)


def front_matter(source: Source) -> Span | None:
    """Where the YAML is; none when the text has no two such lines."""
    first = _FENCE.search(source.text)
    second = _FENCE.search(source.text, first.end()) if first else None
    if first is None or second is None:
        return None
    return Span(source.base + first.end(), source.base + second.start())


def training_command(source: Source, after: Span) -> dict[str, str]:
    """`--name value` of the first training command that the text shows after its recipe.

    The tools took the model, the data and the batch from the command line, so it is the only place that tells.
    """
    text = source.text[after.end - source.base :]
    start = re.search(r"^\s*(?:python\d?|accelerate|sparseml\.\S+)\s.*$", text, re.MULTILINE)
    if start is None:
        return {}
    lines = []
    for line in text[start.start() :].lstrip("\n").splitlines():
        lines.append(line.rstrip().rstrip("\\"))
        if not line.rstrip().endswith("\\"):
            break
    words = " ".join(lines).split()
    options: dict[str, str] = {}
    for word, value in zip(words, [*words[1:], "--"], strict=True):
        if word.startswith("--") and not value.startswith("--"):
            options.setdefault(word[2:], value)
    return options

"""The parse tables of `grammar/recipe.lark`, and all that is private to lark.

Building the LALR tables takes longer than everything else `validate` does, so
they are generated once (`python -m recipelang.syntax.grammar`, part of `make
grammar`) and shipped as JSON; a test compares them with the grammar. This is
the only file that touches lark's internals: `lark>=1.3,<1.4` is pinned for it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from lark import Lark, Token, Tree
from lark.lexer import BasicLexer
from lark.parsers.lalr_analysis import Shift
from lark.parsers.lalr_parser_state import ParserState

TABLES = "tables.json"


def grammar_path() -> Path:
    """`grammar/recipe.lark`, inside the wheel or beside an editable install."""
    inside = Path(__file__).parents[1] / "_share" / "grammar" / "recipe.lark"
    return inside if inside.exists() else Path(__file__).parents[2] / "grammar" / "recipe.lark"


def build() -> Lark:
    """Lark on the grammar text, strict: any conflict or colliding terminal raises."""
    return Lark(
        grammar_path().read_text("utf-8"),
        parser="lalr",
        lexer="basic",
        strict=True,
        keep_all_tokens=True,
        maybe_placeholders=False,
    )


def serialise(lark: Lark) -> str:
    from lark.grammar import Rule
    from lark.lexer import TerminalDef

    data, memo = lark.memo_serialize([TerminalDef, Rule])
    data["options"]["strict"] = False  # proved at build time; interegular is not needed to load
    return json.dumps({"data": data, "memo": memo}, sort_keys=True, separators=(",", ":")) + "\n"


def _from_json(text: str) -> dict[str, Any]:
    """JSON made strings of lark's integer keys (memo, tokens, states and their actions); make them integers again."""
    tables = json.loads(text)
    table = tables["data"]["parser"]["parser"]
    tables["memo"] = _numbered(tables["memo"])
    table["tokens"] = _numbered(table["tokens"])
    table["states"] = {int(state): _numbered(actions) for state, actions in table["states"].items()}
    return tables


def _numbered(table: dict[str, Any]) -> dict[int, Any]:
    return {int(key): value for key, value in table.items()}


@cache
def _loaded() -> tuple[Lark, BasicLexer]:
    tables = _from_json(Path(__file__).with_name(TABLES).read_text("utf-8"))
    lark = Lark._load_from_dict(tables["data"], tables["memo"])
    return lark, lark._build_lexer(dont_ignore=True)


def lex(text: str) -> list[Token]:
    """Every token of `text`, trivia included; the lexer is total, so this never fails.

    Lark's own loop counts lines as it goes, which takes longer than all else in it; `Source` knows them.
    """
    pattern, keywords = _scanner()
    tokens = []
    for match in pattern.finditer(text):
        word, kind = match.group(), str(match.lastgroup)
        if kind == "NAME":
            kind = keywords.get(word, kind)
        tokens.append(_token(kind, word, match.start(), None, None, None, None, match.end()))
    return tokens


_token = Token._future_new


@cache
def _scanner() -> tuple[re.Pattern[str], dict[str, str]]:
    """One expression with a group a terminal, and the keywords among the names."""
    _, lexer = _loaded()
    (pattern,) = lexer.scanner._mres
    ((name, unless),) = lexer.callback.items()
    assert name == "NAME"
    return pattern, {t.pattern.value: t.name for t in unless.scanner.terminals}  # type: ignore[attr-defined]


#: a state, the one above it and a terminal -> the state above it after `Machine._passed`
_WAYS: dict[tuple[int, int, str], int] = {}

#: states, and the values they stand for
Mark = tuple[list[Any], list[Any]]


class Machine:
    """The LALR automaton, fed one token at a time.

    It owns the two stacks of lark's `ParserState`. `accepts` asks on a copy of
    the state stack alone: value stacks hold trees that lark changes in place.
    """

    def __init__(self) -> None:
        lark, _ = _loaded()
        interactive = lark.parse_interactive("")
        self._state: ParserState[Any] = interactive.parser_state

    def feed(self, token: Token) -> None:
        states = self._state.state_stack
        if len(states) > 1:
            states[-1] = self._passed(states[-2], states[-1], token.type)
        self._state.feed_token(token)

    def _passed(self, below: int, top: int, terminal: str) -> int:
        """The state after the reductions of one value to itself that come before `terminal`.

        An atom climbs through every level of precedence (`?sum: prod`), which changes the state alone: the
        way is looked up after the first time.
        """
        key = (below, top, terminal)
        known = _WAYS.get(key)
        if known is not None:
            return known
        states = self._state.parse_conf.states
        while step := states[top].get(terminal):
            action, rule = step
            if action is Shift or len(rule.expansion) != 1 or not rule.options.expand1 or rule.alias:
                break
            top = states[below][rule.origin.name][1]
        _WAYS[key] = top
        return top

    def finish(self, last: Token | None) -> Tree[Token]:
        end = Token.new_borrow_pos("$END", "", last) if last else Token("$END", "", 0, 1, 1)
        return self._state.feed_token(end, is_end=True)

    def mark(self) -> Mark:
        """Where the automaton stands; taken between two statements, which later reductions do not touch."""
        return list(self._state.state_stack), list(self._state.value_stack)

    def back_to(self, mark: Mark) -> None:
        self._state.state_stack[:], self._state.value_stack[:] = mark

    def reads(self, mark: Mark, terminals: Iterable[str]) -> bool:
        """Whether all of these could be shifted from `mark` on."""
        stack = list(mark[0])
        return all(self._shifts(stack, terminal) for terminal in terminals)

    def accepts(self, terminal: str) -> bool:
        """Whether `terminal` could be shifted now (reductions simulated)."""
        return self._shifts(list(self._state.state_stack), terminal)

    def _shifts(self, stack: list[Any], terminal: str) -> bool:
        states = self._state.parse_conf.states
        while True:
            step = states[stack[-1]].get(terminal)
            if step is None:
                return False
            action, rule = step
            if action.name == "Shift":
                stack.append(rule)
                return True
            size = len(rule.expansion)
            if size:
                del stack[-size:]
            goto = states[stack[-1]].get(rule.origin.name)
            if goto is None:
                return False
            stack.append(goto[1])
            if terminal == "$END" and goto[1] == self._state.parse_conf.end_state:
                return True

    def expected(self) -> frozenset[str]:
        row = self._state.parse_conf.states[self._state.state_stack[-1]]
        return frozenset(t for t in row if t.isupper() or t == "$END" if self.accepts(t))

    def unwind_to(self, terminal: str) -> list[Any]:
        """Pop both stacks until `terminal` can be shifted; gives the popped values, first first."""
        popped: list[Any] = []
        while not self.accepts(terminal):
            if len(self._state.state_stack) <= 1:
                raise LookupError(terminal)
            self._state.state_stack.pop()
            popped.append(self._state.value_stack.pop())
        return popped[::-1]


def main() -> None:
    """Write the tables beside this file."""
    Path(__file__).with_name(TABLES).write_text(serialise(build()), "utf-8")


if __name__ == "__main__":
    main()

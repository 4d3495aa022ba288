"""The parse loop: several useful syntax errors from one file, and always a whole tree.

Tokens are fed to the LALR automaton by hand. When one does not fit, the rest
of its statement becomes a single ERROR token (yacc's way: pop the stacks until
ERROR can be shifted, skip to the end of the statement) and parsing goes on.
"""

from __future__ import annotations

from itertools import takewhile

from lark import Token, Tree
from lark.exceptions import UnexpectedToken

from recipelang.source import Diagnostics, Edit, Fix, Label, Source, Span
from recipelang.source.diagnostic import LIMIT, Applicability
from recipelang.source.suggest import closest, distance, nearest
from recipelang.syntax import hints, tokens as lexing
from recipelang.syntax.expected import describe, describe_expected
from recipelang.syntax.grammar import Machine
from recipelang.syntax.tokens import KEYWORDS, Tokens, span_of


def parse_tokens(source: Source, tokens: Tokens, diagnostics: Diagnostics) -> Tree[Token]:
    return _Driver(source, tokens.stream, diagnostics).run()


class _Driver:
    def __init__(self, source: Source, stream: list[Token], diagnostics: Diagnostics) -> None:
        self.source = source
        self.stream = stream
        self.diagnostics = diagnostics
        self.machine = Machine()
        self.index = 0
        self.openers: list[Token] = []  # `{` not closed yet
        self.line = (0, self.machine.mark(), list(self.openers))  # where the statement at hand begins
        self.mended = 0
        lexical = (d.primary for d in diagnostics if d.primary and d.code in ("E002", "E003"))
        self.spoiled = {source.position(label.span.start)[0] for label in lexical}

    def run(self) -> Tree[Token]:
        self._header()
        while self.index < len(self.stream):
            token = self.stream[self.index]
            if token.type == "RBRACE" and not self.openers:
                self._report("E006", "this `}` closes nothing", token, help="delete it")
                self.index += 1
                if (
                    self.index < len(self.stream)
                    and self.stream[self.index].type == "NL"
                    and not self.machine.accepts("NL")
                ):
                    self.index += 1
                continue
            try:
                self.machine.feed(token)
            except UnexpectedToken:
                self._recover(token)
            else:
                self._track(token)
                self.index += 1
                if token.type in ("NL", "LBRACE"):
                    self.line = (self.index, self.machine.mark(), list(self.openers))
        return self._finish()

    # -- the three places where error recovery proper would be at a loss
    def _header(self) -> None:
        """`recipe 1 "name"`, or what stands in for it: no statement can be read before a header."""
        start = next((i for i, t in enumerate(self.stream) if t.type != "NL"), len(self.stream))
        line = list(takewhile(lambda t: t.type != "NL", self.stream[start:]))
        if line[1:2] and line[1].type == "NUMBER" and closest(str(line[0]), ["recipe"]):
            fix = Fix("write `recipe`", (Edit(span_of(line[0]), "recipe"),))
            self._no_header(span_of(line[0]), "did you mean `recipe`?", fix)
            line[0] = self.stream[start] = Token.new_borrow_pos("RECIPE", "recipe", line[0])
        kinds = [t.type for t in line]
        if kinds[:1] != ["RECIPE"]:
            at = span_of(line[0]) if line else Span(0, 0)
            fix = Fix("add the header", (Edit(Span(at.start, at.start), 'recipe 1 "unnamed"\n\n'),), "unsafe")
            self._no_header(at, "write it as the first line: the version of the language, then a name", fix)
            for text, kind in (("recipe", "RECIPE"), ("1", "NUMBER"), ("\n", "NL")):
                self._feed_absent(text, kind, at.start)
            self.index = start
            return
        for token in self.stream[: start + 1]:
            self.machine.feed(token)
        version = kinds[1:2] == ["NUMBER"]
        if version:
            self.machine.feed(line[1])
        else:
            self._feed_absent("1", "NUMBER", span_of(line[0]).end)
        name = 1 + version
        read = name + (kinds[name : name + 1] == ["STRING"])
        if read > name:
            self.machine.feed(line[name])
        self.index = start + read
        if not version or (read < len(line) and not self._begins_statement()):
            self._wrong_header(line, read if version else 1)
            self.index = start + len(line)

    def _wrong_header(self, line: list[Token], wrong: int) -> None:
        """The first line is `recipe`, a version, perhaps a name; `wrong` is where it is something else."""
        token, kinds = line[min(wrong, len(line) - 1)], [t.type for t in line]
        at, fix = span_of(token), None
        if kinds in (["RECIPE"], ["RECIPE", "STRING"]):
            end = span_of(line[0]).end
            fix = Fix("add the version", (Edit(Span(end, end), " 1"),))
        elif kinds == ["RECIPE", "NUMBER", "NAME"]:
            fix = Fix("write the name in quotes", (Edit(at, f'"{token}"'),))
        if source_line(self.source, token) not in self.spoiled:
            help = "the first line holds the version of the language, then a name in quotes, and nothing else"
            self._no_header(at, help, fix)

    def _no_header(self, at: Span, help: str, fix: Fix | None) -> None:
        message = 'a recipe must begin with `recipe 1 "name"`'
        fixes = (fix,) if fix else ()
        self.diagnostics.say("E010", message, Label(self.source, at), help=help, fixes=fixes)

    def _feed_absent(self, text: str, kind: str, at: int) -> None:
        """Feed a token that is not in the text; it has no width."""
        line, column = self.source.position(at)
        self.machine.feed(Token(kind, text, at, line, column, line, column, at))

    def _finish(self) -> Tree[Token]:
        last = self.stream[-1] if self.stream else None
        for opener in reversed(self.openers):
            end = Token.new_borrow_pos("RBRACE", "}", last or opener)
            end.start_pos = end.end_pos
            self._report("E005", "this block is not closed", opener, help="add the missing `}`")
            if not self.machine.accepts("RBRACE"):
                self._shift_error(Token.new_borrow_pos("ERROR", "", end))
            self.machine.feed(end)
        try:
            return self.machine.finish(last)
        except UnexpectedToken:
            end = Token("$END", "", len(self.source.text), 1, 1, 1, 1, len(self.source.text))
            self._unexpected(end)
            self._shift_error(Token.new_borrow_pos("ERROR", "", end))
            return self.machine.finish(last)

    # -- the general case
    def _recover(self, token: Token) -> None:
        if slip := self._slip():
            at, words = slip
            self._misspelt(self.stream[at], words)
            if len(words) == 1:
                self._read_as(at, words[0])
                return
        elif self._separate(token):
            return
        else:
            self._unexpected(token)
        before = self.stream[self.index - 1] if self.index else None
        if before is not None and before.type == "RBRACE" and self.machine.accepts("NL"):
            self._feed_absent("\n", "NL", span_of(token).start)  # the block is whole: what follows it is broken alone
        start = self.index
        self._skip_statement()
        skipped = self.stream[start : self.index]
        text = self.source.text[span_of(token).start : span_of(skipped[-1]).end] if skipped else ""
        error = Token.new_borrow_pos("ERROR", text, token)
        error.end_pos = span_of(skipped[-1]).end if skipped else span_of(token).start
        self._shift_error(error)

    def _slip(self) -> tuple[int, list[str]] | None:
        """A misspelt keyword: which token it is, and the words, the likeliest first, with which its line can be read."""
        start = self.line[0]
        if self.mended >= LIMIT or source_line(self.source, self.stream[start]) in self.spoiled:
            return None
        composed = any(t.type == "EXTENDS" for t in self.stream[:_TOP])
        near = sorted(
            (
                distance(str(self.stream[i]), word),
                word == "per" and self.stream[i - 1].type != "NUMBER",
                word != "per" and self.stream[i - 1].type == "NUMBER",
                i,
                word == "let" and composed,
                rank,
                word,
            )
            for i in range(max(start, self.index - _BACK), self.index + 1)
            if self.stream[i].type == "NAME"
            for rank, word in enumerate(nearest(str(self.stream[i]), KEYWORDS, len(KEYWORDS)))
            if self._would_read(i, [word.upper()], i + 1)
        )
        words = [word for *likely, _, _, word in near if likely == list(near[0][:4])]
        return (near[0][3], words) if near else None

    def _read_as(self, at: int, word: str) -> None:
        """Read the line at hand again, with another word for one of its tokens.

        Nothing that follows from the slip is then said: a parameter with a misspelt `param` is known.
        """
        start, mark, openers = self.line
        self.stream[at] = Token.new_borrow_pos(word.upper(), word, self.stream[at])
        self.machine.back_to(mark)
        self.index, self.openers = start, list(openers)
        self.mended += 1

    def _end_of_line(self) -> int:
        return next((i for i in range(self.index, len(self.stream)) if self.stream[i].type == "NL"), len(self.stream))

    def _would_read(self, until: int, instead: list[str], after: int) -> bool:
        """Whether the line at hand could be read to its end with other tokens for those from `until` to `after`."""
        start, mark, openers = self.line
        end = self._end_of_line()
        if end - start > _LONGEST_LINE:
            return False
        kinds = [*(t.type for t in self.stream[start:until]), *instead, *(t.type for t in self.stream[after : end + 1])]
        if end == len(self.stream):
            kinds += ["RBRACE"] * max(0, len(openers) - kinds.count("RBRACE")) + ["$END"]
        return self.machine.reads(mark, kinds)

    def _misspelt(self, token: Token, words: list[str]) -> None:
        at, word = span_of(token), words[0]
        what = "a statement" if word in _STATEMENTS else f"`{word}`"
        fixes = (Fix(f"write `{word}`", (Edit(at, word),), "unsafe" if words[1:] else "safe"),)
        message, help = f"expected {what}, found {describe(token)}", f"did you mean `{word}`?"
        self.diagnostics.say("E001", message, Label(self.source, at), help=help, fixes=fixes)

    def _separate(self, token: Token) -> bool:
        """`a = 1 b = 2`: the statement was whole, so only a line end is missing."""
        if token.type in ("NL", "RBRACE") or not self.machine.accepts("NL"):
            return False
        if not self._begins_statement():
            return False
        self._end_of_statement(token, attribute=self.stream[self.index + 1].type == "EQUAL")
        self._feed_absent("\n", "NL", span_of(token).start)
        return True

    def _begins_statement(self) -> bool:
        """Whether the next two tokens begin a statement, whatever stands before them."""
        ahead = [t.type for t in self.stream[self.index : self.index + 2]]
        return len(ahead) == 2 and (
            (ahead[0] == "NAME" and ahead[1] in ("EQUAL", "LBRACE", "NAME", "ADDS", "TAKES"))
            or ahead[0] in lexing._STATEMENT_WORDS
        )

    def _skip_statement(self) -> None:
        """Leave `index` at the line end or the `}` that ends the broken statement."""
        depth = 0
        while self.index < len(self.stream):
            kind = self.stream[self.index].type
            if kind == "NL" and depth == 0:
                return
            if kind == "RBRACE":
                if depth == 0:
                    return
                depth -= 1
            elif kind == "LBRACE":
                depth += 1
            self.index += 1

    def _shift_error(self, error: Token) -> None:
        popped = self.machine.unwind_to("ERROR")
        leaves = [leaf for value in popped for leaf in _leaves(value)]
        if leaves:
            start = leaves[0].start_pos or 0
            # a `{` that was popped with its header no longer waits for its `}`
            for leaf in leaves:
                if leaf.type == "LBRACE" and self.openers and any(o is leaf for o in self.openers):
                    self.openers = [o for o in self.openers if o is not leaf]
            text = self.source.text[start : error.end_pos]
            error = Token(
                "ERROR", text, start, error.line, error.column, error.end_line, error.end_column, error.end_pos
            )
        self.machine.feed(error)

    def _track(self, token: Token) -> None:
        if token.type == "LBRACE":
            self.openers.append(token)
        elif token.type == "RBRACE" and self.openers:
            self.openers.pop()

    # -- what is said
    def _unexpected(self, token: Token) -> None:
        if source_line(self.source, token) in self.spoiled:
            return  # a character or a string on this line was already reported
        before = self.stream[self.index - 1] if self.index else None
        after = self.stream[self.index + 1] if self.index + 1 < len(self.stream) else None
        named = after is not None and after.type in ("EQUAL", "COLON", "LBRACE", "ADDS", "TAKES")
        if token.lower() in KEYWORDS and token.type not in ("STRING",) and named and self.machine.accepts("NAME"):
            self._report("E004", f"`{token}` is a keyword and cannot be a name", token, help="choose another name")
            return
        if token.type == "EQUAL" and before is not None and str(before) in KEYWORDS:
            self._report("E004", f"`{before}` is a keyword and cannot be a name", before, help="choose another name")
            return
        earlier = self.stream[self.index - 2] if self.index > 1 else None
        if token.type == "EQUAL" and before and before.type == "NAME" and earlier and earlier.type in ("NUMBER", "NM"):
            self._end_of_statement(before, attribute=True, sure=False)  # the name was taken for the unit of the number
            return
        expected = self.machine.expected()
        help: list[str] = []
        fixes: tuple[Fix, ...] = ()
        if before is not None and before.type == "NAME" and "EQUAL" in expected and not self._misspelt_statement():
            self._equals_sign(token)
            return
        if token.type == "NAME" and (word := closest(str(token), self._keywords(expected))):
            help.append(f"did you mean `{word}`?")
            fixes = (Fix(f"write `{word}`", (Edit(span_of(token), word),), "unsafe"),)  # the line has more mistakes
        elif misspelt := self._misspelt_statement():
            first, word = misspelt
            help.append(f"did you mean `{word}`?")
            fixes = (Fix(f"write `{word}`", (Edit(span_of(first), word),), "unsafe"),)
            token, expected = first, frozenset({"LET", "PARAM"})
        line = self._line_so_far()
        if not help and line and line[0] in hints.FOREIGN:
            token, expected = line[0], frozenset({"LET", "PARAM"})
        if hint := (None if help else hints.of_line(line, token)) or _hint(token, before):
            help.append(hint)
        elif before is not None and before.type == "RBRACE" and "NL" in expected:
            help.append("start the next statement after a block on a new line")
        where = Label(self.source, _visible(self.source, span_of(token)))
        message = f"expected {describe_expected(expected)}, found {describe(token)}"
        self.diagnostics.say("E001", message, where, help=tuple(help), fixes=fixes)

    def _end_of_statement(self, token: Token, *, attribute: bool, sure: bool = True) -> None:
        """`token` begins a second statement on one line."""
        at = span_of(token)
        help, title, text = "start a new statement on a new line", "break the line", "\n"
        if self.openers and attribute:
            help, title, text = "separate attributes by a comma or a new line", "add a comma", ","
            end = len(self.source.text[: at.start].rstrip())
            at = Span(end, end)
        self.diagnostics.say(
            "E001",
            f"expected the end of the line, found {describe(token)}",
            Label(self.source, span_of(token)),
            help=help,
            fixes=(Fix(title, (Edit(Span(at.start, at.start), text),), "safe" if sure else "unsafe"),),
        )

    def _equals_sign(self, token: Token) -> None:
        """A name that is followed by neither `=` nor a block."""
        at = span_of(token)
        fixes: tuple[Fix, ...] = ()
        kept = self.index + (token.type == "COLON")
        certain: Applicability = "safe" if self._would_read(self.index, ["EQUAL"], kept) else "unsafe"
        help = "assign a value with `=`, as in `name = value`"
        after = self.stream[self.index + 1 :][:1]
        if token.type == "COLON" and after and after[0].type == "NL":
            help = "a block is written `name { ... }`"
        elif token.type == "COLON" and after and after[0].type == "LBRACE":
            help = "a block is written `name { ... }`"
            fixes = (Fix("delete it", (Edit(at, ""),)),)
        elif token.type == "COLON":
            spaced = self.source.text[at.start - 1 : at.start].isspace()
            fixes = (Fix("write `=`", (Edit(at, "=" if spaced else " ="),), certain),)
        elif token.type in ("NUMBER", "PERCENT", "STRING", "ROLE"):
            # outside of blocks the name may as well be a misspelt keyword
            certain = certain if self.openers else "unsafe"
            fixes = (Fix("add `=`", (Edit(Span(at.start, at.start), "= "),), certain),)
        self.diagnostics.say(
            "E001",
            f"expected `=`, found {describe(token)}",
            Label(self.source, _visible(self.source, at)),
            help=help,
            fixes=fixes,
        )

    def _misspelt_statement(self) -> tuple[Token, str] | None:
        """The first word of the statement at hand, when it is nearly a keyword and no block or attribute."""
        if self.openers:
            return None
        start = self.index
        while start and self.stream[start - 1].type not in ("NL", "LBRACE", "RBRACE"):
            start -= 1
        if start >= len(self.stream) or self.stream[start].type != "NAME" or self.index - start > 4:
            return None
        first = self.stream[start]
        if start + 1 < len(self.stream) and self.stream[start + 1].type in ("EQUAL", "ADDS", "TAKES", "LBRACE"):
            return None  # an attribute or a block, whatever it is near to
        word = closest(str(first), _STATEMENTS)
        return (first, word) if word else None

    def _line_so_far(self) -> list[Token]:
        """What was read of the line at hand."""
        start = self.index
        while start and self.index - start < _LONGEST_LINE and self.stream[start - 1].type not in _LINE_ENDS:
            start -= 1
        return self.stream[start : self.index]

    @staticmethod
    def _keywords(expected: frozenset[str]) -> list[str]:
        return [t.lower() for t in expected if t.lower() in KEYWORDS]

    def _report(self, code: str, message: str, token: Token, *, help: str) -> None:
        self.diagnostics.say(code, message, Label(self.source, span_of(token)), help=help)


#: a misspelt keyword is looked for this far before the place where reading stopped, in lines of up to so many tokens
_BACK, _LONGEST_LINE = 8, 200
#: `extends` stands among the first tokens
_TOP = 12
_LINE_ENDS = ("NL", "LBRACE", "RBRACE")
_STATEMENTS = ("extends", "use", "param", "let", "set", "unset", "require", "expect", "prefer", "patch")


def source_line(source: Source, token: Token) -> int:
    return source.position(min(span_of(token).start, len(source.text)))[0]


def _hint(token: Token, before: Token | None) -> str | None:
    match token.type:
        case "COLON":
            return "attributes are written `name = value`"
        case "CMP" if str(token) == "==":
            return "one `=` gives a value; `==` compares, in claims"
        case "CMP" | "PM" | "ARROW" | "DOTS" | "EXCEPT":
            return "these operators do not chain: put one of the two in parentheses"
        case "PLUS":
            return "a number has no leading `+`"
        case "DOT" if before is not None and before.type == "DOTS":
            return "a range is written with two dots: `start..end`"
        case "DOT" if before is None or before.type not in ("NAME", "ROLE"):
            return "a number has digits on both sides of its point, as in `0.5`"
        case "NL" if before is not None and before.type in ("EQUAL", "ADDS", "TAKES"):
            return "write the value on the same line"
    return None


def _visible(source: Source, span: Span) -> Span:
    """A line end or the end of the text has no width: point at the place just before it."""
    if span.start >= len(source.text):
        end = len(source.text.rstrip("\n"))
        return Span(max(0, end - 1), end) if end else Span(0, 0)
    return span


def _leaves(value: object) -> list[Token]:
    """The tokens under a value of the stack, in order; iterative, trees may be deep."""
    out: list[Token] = []
    stack: list[object] = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, Token):
            out.append(item)
        elif isinstance(item, Tree):
            stack.extend(reversed(item.children))
        elif isinstance(item, list):
            stack.extend(reversed(item))
    return out

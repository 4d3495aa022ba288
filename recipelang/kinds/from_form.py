"""JSON as recipe text: the way back from `value_form` and from the claims of `spec/canonical`.

What is written is read by the grammar and checked by the schema like any recipe; so here only the shape of the
JSON is judged, and that nothing of it can be more than one value of a recipe.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from fractions import Fraction

from recipelang.kinds.text import LEVELS, fraction, string as quoted
from recipelang.syntax.tokens import KEYWORDS

_NUMBER = re.compile(r"-?\d{1,400}(\.\d{1,400})?(e-\d{1,3})?|-?\d{1,100}/\d{1,100}")
_WHOLE = re.compile(r"-?\d{1,18}")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_REGEX = re.compile(r're"(?:[^"\\\x00-\x1f]|\\[^\x00-\x1f])*"')
_UNITS = {
    "epoch": "1 epoch", "step": "1 step", "sample": "1 sample", "token": "1 token", "byte": "1 B", "second": "1 s",
    "x": "1 x", "1/epoch": "(1 per epoch)",
}  # fmt: skip
_NAMED = ("at", "every", "rewind", "power")


class Unfit(Exception):
    """A part of a document that is not of the form it must have. `path` leads to it from where the reading began."""

    def __init__(self, wanted: str, found: object, path: str = "") -> None:
        super().__init__(wanted)
        self.wanted, self.found, self.path = wanted, found, path


def selector(form: object) -> str:
    match form:
        case {"role": _} | {"glob": _} | {"regex": _} | {"layers": _} | {"!": _} | {"&": _} | {"|": _} | {"except": _}:
            return expression(form)
    raise Unfit("a selector", form)


# -------------------------------------------------------------------- expressions
def expression(form: object, level: int = 0) -> str:
    """Any value, or a claim; brackets where a part binds less than `level`."""
    match form:
        case None | bool():
            return {None: "none", True: "true", False: "false"}[form]
        case str():
            return _bare(form)
        case list():
            return "[" + ", ".join([expression(item) for item in form]) + "]"
        case {"n": _, "u": _}:
            return measure(form)
        case {"measured": name, **rest}:
            return _measured(name, rest)
        case {"text": text, **rest} if not rest:
            return quoted(string(text))
        case {"block": _}:
            return pattern(form)
        case dict() if len(form) == 1:
            ((sign, inside),) = form.items()
            return _operation(sign, inside, level)
    raise Unfit("a value or a claim", form)


def _operation(sign: str, inside: object, level: int) -> str:
    match sign:
        case "role":
            return f"@{word(inside)}"
        case "glob":
            return quoted(string(inside))
        case "regex":
            return _regex(string(inside))
        case "layers":
            first, last = _pair(inside)
            return f"layers({first})" if first == last else f"layers({first}..{last})"
        case "if":
            condition, then, other = [expression(part, 1) for part in items(inside, 3)]
            text, own = f"if {condition} then {then} else {other}", 0
        case "not":
            text, own = f"not {expression(inside, 3)}", 3
        case "!":
            text, own = f"!{expression(inside, 13)}", 13
        case "+" | "*":
            own = LEVELS[sign]
            text = _chain(sign, items(inside), own)
        case "-":
            text, own = f"-{expression(inside, 13)}", 13
        case "and" | "or" | "&" | "|":
            own = LEVELS[sign]
            parts = [expression(part, own + 1) for part in items(inside)]
            if not parts:
                raise Unfit("at least one operand", inside, sign)
            text = f" {sign} ".join(parts)
        case _ if sign in LEVELS and sign not in ("/", "per"):
            own = LEVELS[sign]
            first, second = [expression(side, own + 1) for side in items(inside, 2)]
            text = f"{first}..{second}" if sign == ".." else f"{first} {sign} {second}"
        case _:
            raise Unfit("a language operator", sign)
    return f"({text})" if own < level else text


def _chain(sign: str, terms: list[object], own: int) -> str:
    """A sum or a product; `{"-": x}` is taken away in the one, `{"/": x}` divided by in the other."""
    if not terms:
        raise Unfit("at least one operand", terms, sign)
    inverse = {"+": "-", "*": "/"}[sign]
    text = expression(terms[0], own)
    for term in terms[1:]:
        match term:
            case dict() if term.keys() == {inverse}:
                text += f" {inverse} {expression(term[inverse], own + 1)}"
            case _:
                text += f" {sign} {expression(term, own + 1)}"
    return text


def _bare(text: str) -> str:
    """A number, or one of the few names that a claim may hold."""
    if _NUMBER.fullmatch(text):
        return number(text)
    return text if re.fullmatch(r"\d{1,9}:\d{1,9}", text) else word(text)


def _measured(name: object, rest: Mapping[object, object]) -> str:
    if not isinstance(name, str) or not all(_WORD.fullmatch(n) for n in name.split(".")) or len(rest) > 1:
        raise Unfit("the name of a measurement", name)
    if "with" in rest:
        return f"{word(name)}({', '.join(_settings(rest['with']))})"
    if rest.keys() - {"of"}:
        raise Unfit("`of` or `with`", min(map(str, rest)))
    return f"{name}({selector(rest['of'])})" if "of" in rest else name


def _settings(form: object) -> list[str]:
    """The arguments of a figure of size or speed."""
    if not isinstance(form, dict):
        raise Unfit("the settings of a measurement", form, "with")
    texts = []
    for key, value in form.items():
        match value:
            case {"stage": name, **more} if not more:
                text = f"stage.{word(name)}"
            case {"n": _, "u": _}:
                text = measure(value)
            case str():
                text = _bare(value)
            case _:
                raise Unfit("a name, a number in quotes, or a stage", value, f"with.{word(key)}")
        texts.append(text if key == "format" else f"{word(key)} = {text}")
    return texts


# ------------------------------------------------------------------------- leaves
def word(form: object) -> str:
    if not isinstance(form, str) or not _WORD.fullmatch(form) or form in KEYWORDS:
        raise Unfit("a name", form)
    return form


def string(form: object) -> str:
    if not isinstance(form, str):
        raise Unfit("a string", form)
    return form


def boolean(form: object) -> str:
    if not isinstance(form, bool):
        raise Unfit("true or false", form)
    return "true" if form else "false"


def whole(form: object) -> str:
    if not isinstance(form, str) or not _WHOLE.fullmatch(form):
        raise Unfit("a whole number in quotes", form)
    return form


def items(form: object, length: int | None = None) -> list[object]:
    if not isinstance(form, list) or length not in (None, len(form)):
        raise Unfit("a list" if length is None else f"a list of {length}", form)
    return form


def listed(form: object, each: Callable[[object], str]) -> str:
    return f"[{', '.join(map(each, items(form)))}]"


def _pair(form: object) -> list[str]:
    first, second = items(form, 2)
    return [whole(first), whole(second)]


def number(form: object) -> str:
    if not isinstance(form, str) or not _NUMBER.fullmatch(form) or re.search(r"/0+$", form):
        raise Unfit('a number in quotes, such as "0.9", "8e-5" or "1/3"', form)
    text = fraction(Fraction(form))
    return f"({text})" if text.startswith("-") else text


def measure(form: object) -> str:
    """A number with its unit; epochs and steps may come as a sum."""
    match form:
        case {"+": [_, _]}:
            return expression(form)
        case {"n": count, "u": str(unit), **rest} if not rest and unit in _UNITS:
            amount = number(count)
            plain = unit != "1/epoch" and "(" not in amount
            return f"{amount} {_UNITS[unit][2:]}" if plain else f"({amount} * {_UNITS[unit]})"
    raise Unfit('a number with its unit, such as {"n": "30", "u": "epoch"}', form)


def _regex(pattern: str) -> str:
    text = 're"' + pattern.replace('"', '\\"') + '"'
    if not _REGEX.fullmatch(text):
        raise Unfit("a regular expression that recipes support", pattern)
    return text


def reference(form: object) -> str:
    match form:
        case {"content": str(digest), **rest} if not rest and re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
            return quoted(digest)
        case {"stage": name, **rest} if not rest:
            return f"stage.{word(name)}"
        case str():
            return quoted(form)
    raise Unfit('a reference, or {"content": "sha256:..."}', form)


def pattern(form: object) -> str:
    match form:
        case {"block": sides, **rest} if not rest:
            return "block({}, {})".format(*_pair(sides))
        case "unstructured":
            return form
        case str() if re.fullmatch(r"\d{1,9}:\d{1,9}", form):
            return form
    raise Unfit('a pattern: "unstructured", "2:4" or {"block": ["4", "1"]}', form)


def term(form: object) -> str:
    """A name, or `{NAME: {"layers": [...], "weight": ...}}`."""
    if isinstance(form, str):
        return word(form)
    match form:
        case dict() if len(form) == 1:
            ((name, inside),) = form.items()
        case _:
            raise Unfit("a distillation term", form)
    if not isinstance(inside, dict) or not inside or inside.keys() - {"layers", "weight"}:
        raise Unfit("`layers` and `weight`", inside, str(name))
    arguments = [_layers(pairs) for pairs in items(inside.get("layers", []))]
    if "weight" in inside:
        arguments.append(f"weight = {schedule(inside['weight'])}")
    return f"{word(name)}({', '.join(arguments)})"


def _layers(form: object) -> str:
    match form:
        case {"->": pair, **rest} if not rest:
            return " -> ".join(_pair(pair))
        case {"layers": pair, **rest} if not rest:
            first, last = _pair(pair)
            return first if first == last else f"{first}..{last}"
    raise Unfit('layers, such as {"->": ["1", "3"]} or {"layers": ["0", "5"]}', form)


def schedule(form: object) -> str:
    return number(form) if isinstance(form, str) else "[" + ", ".join(map(_segment, items(form))) + "]"


def _segment(form: object) -> str:
    if not isinstance(form, dict) or "shape" not in form or "to" not in form:
        raise Unfit("a shape, with `shape` and `to`", form)
    strange = form.keys() - {"shape", "from", "to", "over", "ends", *_NAMED}
    if strange:
        raise Unfit(
            "an argument of a shape: `from`, `to`, `over`, `at`, `every`, `rewind`, `power`, `ends`", min(strange)
        )
    change = number(form["to"])
    parts = [f"{number(form['from'])} -> {change}" if "from" in form else change]
    if "over" in form:
        first, last = [measure(end) for end in items(form["over"], 2)]
        parts.append(f"over = {first} .. {last}")
    for name in _NAMED:
        if name in form:
            parts.append(f"{name} = {number(form[name]) if name == 'power' else measure(form[name])}")
    if "ends" in form:
        parts.append(f"ends = {word(form['ends'])}")
    return f"{word(form['shape'])}({', '.join(parts)})"

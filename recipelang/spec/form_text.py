"""Leaves of a JSON document as recipe text: the way back from `value_form` and from the claims of `canonical`.

What is written is read by the grammar and checked by the schema like any recipe; so here only the shape of the
JSON is judged, and that nothing of it can be more than one value of a recipe.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction

from recipelang.spec.effective import LEVELS
from recipelang.spec.methods import METHODS, OPTIMIZERS
from recipelang.spec.show import fraction, string
from recipelang.syntax.tokens import KEYWORDS
from recipelang.values.kinds import Kind

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


def attribute_text(kind: Kind, form: object) -> str:
    """The value of an attribute, by its kind; the local things it names stand as their digests."""
    name = kind.name
    if form is None and name.endswith(" or none"):
        return "none"
    if name.startswith("list<"):
        return "[" + ", ".join(_of_kind(name[5:-1], item) for item in _list(form)) + "]"
    if name.startswith("schedule<"):
        return _schedule(form)
    if name in ("method", "optimizer"):
        return _chosen(form, name)
    if name == "[number, number]":
        return "[" + ", ".join(map(_number, _list(form))) + "]"
    return _of_kind(name, form)


def _of_kind(name: str, form: object) -> str:
    match name:
        case "string" | "label":
            return string(_text(form))
        case "model" | "dataset":
            return _reference(form)
        case "bool":
            if not isinstance(form, bool):
                raise Unfit("true or false", form)
            return "true" if form else "false"
        case "selector":
            return selector_text(form)
        case "pattern":
            return _pattern(form)
        case "term":
            return _term(form)
        case "span" | "tokens" | "samples" | "bytes":
            return _measure(form)
    return _number(form) if name.removesuffix(" or none") in ("int", "number", "ratio") else word(form)


def selector_text(form: object) -> str:
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
            return _measure(form)
        case {"measured": name, **rest}:
            return _measured(name, rest)
        case {"text": text, **rest} if not rest:
            return string(_text(text))
        case {"block": _}:
            return _pattern(form)
        case dict() if len(form) == 1:
            ((sign, inside),) = form.items()
            return _operation(sign, inside, level)
    raise Unfit("a value or a claim", form)


def _operation(sign: str, inside: object, level: int) -> str:
    match sign:
        case "role":
            return f"@{word(inside)}"
        case "glob":
            return string(_text(inside))
        case "regex":
            return _regex(_text(inside))
        case "layers":
            first, last = _pair(inside, _WHOLE)
            return f"layers({first})" if first == last else f"layers({first}..{last})"
        case "if":
            condition, then, other = [expression(part, 1) for part in _list(inside, 3)]
            text, own = f"if {condition} then {then} else {other}", 0
        case "not":
            text, own = f"not {expression(inside, 3)}", 3
        case "!":
            text, own = f"!{expression(inside, 13)}", 13
        case "+" | "*":
            own = LEVELS[sign]
            text = _chain(sign, _list(inside), own)
        case "-":
            text, own = f"-{expression(inside, 13)}", 13
        case "and" | "or" | "&" | "|":
            own = LEVELS[sign]
            parts = [expression(part, own + 1) for part in _list(inside)]
            if not parts:
                raise Unfit("at least one operand", inside, sign)
            text = f" {sign} ".join(parts)
        case _ if sign in LEVELS and sign not in ("/", "per"):
            own = LEVELS[sign]
            first, second = [expression(side, own + 1) for side in _list(inside, 2)]
            text = f"{first}..{second}" if sign == ".." else f"{first} {sign} {second}"
        case _:
            raise Unfit("an operator of the language", sign)
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
        return _number(text)
    return text if re.fullmatch(r"\d{1,9}:\d{1,9}", text) else word(text)


def _measured(name: object, rest: Mapping[object, object]) -> str:
    if not isinstance(name, str) or not all(_WORD.fullmatch(n) for n in name.split(".")) or rest.keys() - {"of"}:
        raise Unfit("the name of something measured", name)
    return f"{name}({selector_text(rest['of'])})" if "of" in rest else name


# ------------------------------------------------------------------------- leaves
def word(form: object) -> str:
    if not isinstance(form, str) or not _WORD.fullmatch(form) or form in KEYWORDS:
        raise Unfit("a name", form)
    return form


def _text(form: object) -> str:
    if not isinstance(form, str):
        raise Unfit("a string", form)
    return form


def _list(form: object, length: int | None = None) -> list[object]:
    if not isinstance(form, list) or length not in (None, len(form)):
        raise Unfit("a list" if length is None else f"a list of {length}", form)
    return form


def _pair(form: object, shape: re.Pattern[str]) -> list[str]:
    first, second = _list(form, 2)
    for side in (first, second):
        if not isinstance(side, str) or not shape.fullmatch(side):
            raise Unfit("a whole number in quotes", side)
    return [str(first), str(second)]


def _number(form: object) -> str:
    if not isinstance(form, str) or not _NUMBER.fullmatch(form) or re.search(r"/0+$", form):
        raise Unfit('a number in quotes, such as "0.9", "8e-5" or "1/3"', form)
    text = fraction(Fraction(form))
    return f"({text})" if text.startswith("-") else text


def _measure(form: object) -> str:
    """A number with its unit; epochs and steps may come as a sum."""
    match form:
        case {"+": [_, _]}:
            return expression(form)
        case {"n": number, "u": str(unit), **rest} if not rest and unit in _UNITS:
            amount = _number(number)
            plain = unit != "1/epoch" and "(" not in amount
            return f"{amount} {_UNITS[unit][2:]}" if plain else f"({amount} * {_UNITS[unit]})"
    raise Unfit('a number with its unit, such as {"n": "30", "u": "epoch"}', form)


def _regex(pattern: str) -> str:
    text = 're"' + pattern.replace('"', '\\"') + '"'
    if not _REGEX.fullmatch(text):
        raise Unfit("a regular expression that a recipe can hold", pattern)
    return text


def _reference(form: object) -> str:
    match form:
        case {"content": str(digest), **rest} if not rest and re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
            return string(digest)
        case {"stage": name, **rest} if not rest:
            return f"stage.{word(name)}"
        case str():
            return string(form)
    raise Unfit('a reference, or {"content": "sha256:..."}', form)


def _pattern(form: object) -> str:
    match form:
        case {"block": sides, **rest} if not rest:
            return "block({}, {})".format(*_pair(sides, _WHOLE))
        case "unstructured":
            return form
        case str() if re.fullmatch(r"\d{1,9}:\d{1,9}", form):
            return form
    raise Unfit('a pattern: "unstructured", "2:4" or {"block": ["4", "1"]}', form)


def _chosen(form: object, what: str) -> str:
    if not isinstance(form, dict) or len(form) != 1:
        raise Unfit(f"a {what} with its arguments", form)
    ((name, arguments),) = form.items()
    if not isinstance(arguments, dict):
        raise Unfit("the arguments by their names", arguments, name)
    signature = (METHODS if what == "method" else OPTIMIZERS).get(name)
    kinds = {a.name: a.kind for a in signature.arguments} if signature else {}
    parts = []
    for key, value in arguments.items():
        try:
            parts.append(f"{word(key)} = {attribute_text(kinds[key], value) if key in kinds else expression(value)}")
        except Unfit as error:
            raise Unfit(error.wanted, error.found, f"{name}.{key}") from None
    return f"{word(name)}({', '.join(parts)})" if parts else word(name)


def _term(form: object) -> str:
    """A name, or `{NAME: {"layers": [...], "weight": ...}}`."""
    if isinstance(form, str):
        return word(form)
    match form:
        case dict() if len(form) == 1:
            ((name, inside),) = form.items()
        case _:
            raise Unfit("a term of distillation", form)
    if not isinstance(inside, dict) or not inside or inside.keys() - {"layers", "weight"}:
        raise Unfit("`layers` and `weight`", inside, str(name))
    arguments = [_layers(pairs) for pairs in _list(inside.get("layers", []))]
    if "weight" in inside:
        arguments.append(f"weight = {_schedule(inside['weight'])}")
    return f"{word(name)}({', '.join(arguments)})"


def _layers(form: object) -> str:
    match form:
        case {"->": pair, **rest} if not rest:
            return " -> ".join(_pair(pair, _WHOLE))
        case {"layers": pair, **rest} if not rest:
            first, last = _pair(pair, _WHOLE)
            return first if first == last else f"{first}..{last}"
    raise Unfit('layers, such as {"->": ["1", "3"]} or {"layers": ["0", "5"]}', form)


def _schedule(form: object) -> str:
    return _number(form) if isinstance(form, str) else "[" + ", ".join(map(_segment, _list(form))) + "]"


def _segment(form: object) -> str:
    if not isinstance(form, dict) or "shape" not in form or "to" not in form:
        raise Unfit("a shape, with `shape` and `to`", form)
    strange = form.keys() - {"shape", "from", "to", "over", "ends", *_NAMED}
    if strange:
        raise Unfit("a part of a shape: `from`, `to`, `over`, `at`, `every`, `rewind`, `power`, `ends`", min(strange))
    change = _number(form["to"])
    parts = [f"{_number(form['from'])} -> {change}" if "from" in form else change]
    if "over" in form:
        first, last = [_measure(end) for end in _list(form["over"], 2)]
        parts.append(f"over = {first} .. {last}")
    for name in _NAMED:
        if name in form:
            parts.append(f"{name} = {_number(form[name]) if name == 'power' else _measure(form[name])}")
    if "ends" in form:
        parts.append(f"ends = {word(form['ends'])}")
    return f"{word(form['shape'])}({', '.join(parts)})"

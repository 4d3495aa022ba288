"""What a scalar was meant to say. YAML 1.1 reads `8e-5` as text, `2:4` as 124 and `no` as false; here they are told."""

from __future__ import annotations

import re
from collections import defaultdict
from fractions import Fraction

from recipelang.migrate.nodes import Scalar
from recipelang.source import Diagnostics, Label, Source, Span

_NUMBER = re.compile(r"[-+]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d{1,2})?", re.ASCII)
#: what YAML 1.1 makes a number of: a point, and a signed exponent
_YAML_NUMBER = re.compile(r"[-+]?(?:\d[\d_]*|(?:\d[\d_]*\.[\d_]*|\.[\d_]+)(?:[eE][-+]\d+)?)", re.ASCII)
_PAIR = re.compile(r"\d+(?::\d+)+", re.ASCII)
_TRUE, _FALSE = frozenset({"true", "yes", "on"}), frozenset({"false", "no", "off"})

_TOLD = {
    "exponent": ("`{}` is a string in YAML 1.1, not a number", "YAML 1.1 needs a point in a number with an exponent: `8.0e-5`"),
    "pair": ("`{}` is a number in base 60 in YAML 1.1", "YAML 1.1 reads `2:4` as 124; the intended value is used"),
    "octal": ("`{}` is an octal number in YAML 1.1", "YAML 1.1 reads `010` as 8; the intended decimal value is used"),
    "word": ("`{}` is a truth value in YAML 1.1", "YAML 1.1 does not read `yes`, `no`, `on` and `off` as words"),
}  # fmt: skip
_PLACES = 3


class Traps:
    """Places where YAML 1.1 reads something else than was meant; one finding a kind."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.places: dict[str, dict[Span, str]] = defaultdict(dict)

    def tell(self, found: Diagnostics) -> None:
        for kind, places in self.places.items():
            message, why = _TOLD[kind]
            first, *more = sorted(places)
            also = tuple(Label(self.source, span, "and here") for span in more[:_PLACES])
            times = f" ({len(places)} times)" if len(places) > 1 else ""
            label = Label(self.source, first)
            found.say("W130", message.format(places[first]) + times, label, also, notes=(why,))

    def number(self, node: Scalar) -> Fraction | None:
        """The number that is written, quoted or not; none for other text."""
        text = node.text.strip()
        if not _NUMBER.fullmatch(text) or len(text) > 40:
            return None
        if not node.quoted and not _YAML_NUMBER.fullmatch(text):
            self.places["exponent"][node.span] = text
        elif not node.quoted and re.fullmatch(r"[-+]?0\d+", text):
            self.places["octal"][node.span] = text
        return Fraction(text.replace("_", "").rstrip(".") if "e" not in text.lower() else text.replace("_", ""))

    def flag(self, node: Scalar) -> bool | None:
        word = node.text.strip().lower()
        if word not in _TRUE | _FALSE:
            return {"1": True, "0": False}.get(word)
        return word in _TRUE

    def text(self, node: Scalar) -> str:
        """As written, whatever YAML 1.1 makes of it."""
        text = node.text.strip()
        if not node.quoted and _PAIR.fullmatch(text):
            self.places["pair"][node.span] = text
        elif not node.quoted and text.lower() in ("yes", "no", "on", "off"):
            self.places["word"][node.span] = text
        return text


def is_none(node: Scalar) -> bool:
    return not node.quoted and node.text.strip().lower() in ("", "~", "null", "none")

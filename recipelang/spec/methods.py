"""Names that take arguments: pruning methods and optimizers.

A method's arguments are declared beside its score (`pruning/scores/`); this is
the table the reader of recipes uses, and it loads no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from recipelang.source.suggest import closest
from recipelang.values import aliases, kinds as k
from recipelang.values.composite import Applied, Chosen, Symbol
from recipelang.values.kinds import Kind, Mismatch, Silent, misnamed, wrong


@dataclass(frozen=True)
class Argument:
    name: str
    kind: Kind
    default: object
    doc: str


@dataclass(frozen=True)
class Signature:
    name: str
    doc: str
    arguments: tuple[Argument, ...] = ()
    #: whether it zeroes weights over time, so that a block needs a `sparsity`
    scheduled: bool = True
    #: what it looks at beside the weights: the `steps` of training, `gradients` of samples, `inputs` of layers
    wants: Literal["", "steps", "gradients", "inputs"] = ""
    #: whether masked weights may come back, so that a sparsity may fall and other sets be ranked
    regrows: bool = False

    def default(self) -> Chosen:
        return Chosen(self.name, tuple((a.name, a.default) for a in self.arguments))

    def json(self) -> dict[str, object]:
        """JSON Schema of a choice: `{NAME: {ARGUMENT: value}}` with every argument."""
        arguments = {a.name: dict(a.kind.json) for a in self.arguments}
        call = {
            "type": "object",
            "properties": arguments,
            "required": list(arguments),
            "additionalProperties": False,
        }
        return {
            "type": "object",
            "description": self.doc,
            "properties": {self.name: call},
            "required": [self.name],
            "additionalProperties": False,
        }


def _pair() -> Kind:
    inner = k.number(0, 1)

    def convert(value: object) -> object:
        if not isinstance(value, tuple) or len(value) != 2:
            raise wrong(value, "two numbers", "write `betas = [0.9, 0.999]`")
        return tuple(inner.coerce(v) for v in value)

    json = {"type": "array", "prefixItems": [inner.json] * 2, "items": False, "minItems": 2}
    return Kind("[number, number]", convert, doc="two numbers in brackets", within=inner.within, json=json)


def _scope(default: str) -> Argument:
    doc = "what is ranked together: each tensor, all targets, each row; `erk` gives small tensors more"
    return Argument("scope", k.one_of("uniform", "global", "row", "erk"), default, doc)


def _layerwise(*scopes: str) -> Argument:
    rows = "each row, " if "row" in scopes else ""
    doc = f"what is ranked together: {rows}each tensor; `erk` gives small tensors more. Layers go one after another"
    return Argument("scope", k.one_of(*scopes), scopes[0], doc)


METHODS: dict[str, Signature] = {
    "magnitude": Signature("magnitude", "the weights of smallest absolute value go first", (_scope("uniform"),)),
    "random": Signature("random", "weights go in a random order drawn from the seed: a floor", (_scope("uniform"),)),
    "movement": Signature(
        "movement",
        "weights that training moves towards zero go first (arXiv 2005.07683)",
        (_scope("uniform"),),
        wants="steps",
    ),
    "soft_movement": Signature(
        "soft_movement",
        "weights go first whose score, learned with them, is lowest: soft movement (arXiv 2005.07683). As published the "
        "penalty decides how many go, at every step, and they may return; here the schedule does, exactly and at its "
        "events, and what is masked stays so",
        (
            Argument(
                "learning_rate", k.number(0, above=True), Fraction(1, 100), "of the scores, all the time, in Adam"
            ),
            Argument(
                "penalty",
                k.number(0),
                Fraction(5, 10**6),
                "weight of Σ σ(S) over all scores; the published 400 is of means, 4.7e-6 of BERT-base's sum",
            ),
            _scope("uniform"),
        ),
        wants="steps",
    ),
    "snip": Signature(
        "snip",
        "weights whose absence changes the loss least go first, judged once (arXiv 1810.02340)",
        (
            Argument("batches", k.number(1, whole=True), 1, "mini-batches whose mean gradient is used"),
            _scope("global"),
        ),
        wants="gradients",
    ),
    "obert": Signature(
        "obert",
        "weights whose absence, made up for by their neighbours, changes the loss least go first (arXiv 2203.07259)",
        (
            Argument("block", k.number(1, whole=True), 50, "weights whose interplay is looked at together"),
            Argument("gradients", k.number(1, whole=True), 1024, "gradients that the Fisher information is made of"),
            Argument("batch", k.number(1, whole=True), 16, "examples of one gradient"),
            Argument("damp", k.number(0, above=True), Fraction(1, 10**7), "added to the diagonal"),
            Argument("recomputations", k.number(1, whole=True), 1, "rounds of an event, each with gradients anew"),
            Argument(
                "memory",
                k.size(none=True),
                None,
                "what the matrices may take, in more passes to the same result; `none`: most of what is free then",
            ),
            _scope("global"),
        ),
        wants="gradients",
    ),
    "rigl": Signature(
        "rigl",
        "weights are swapped at every event: small ones for masked ones of large gradient (arXiv 1911.11134). It begins "
        "with the masks in force, or with random ones; `constant(80%, over = start..90%, every = 100 steps)` keeps a sparsity",
        (
            Argument(
                "fraction",
                k.ratio(),
                Fraction(3, 10),
                "of the live weights swapped at first; 0 at last, a cosine between",
            ),
            Argument("batches", k.number(1, whole=True), 1, "mini-batches whose mean gradient is used"),
            _scope("erk"),
        ),
        wants="gradients",
        regrows=True,
    ),
    "wanda": Signature(
        "wanda",
        "weights that are small times the inputs they meet go first, in one shot (arXiv 2306.11695)",
        (_layerwise("row", "uniform", "erk"),),
        wants="inputs",
    ),
    "sparsegpt": Signature(
        "sparsegpt",
        "weights whose absence, made up for by those right of them, changes a layer's outputs least go first, in one "
        "shot (arXiv 2301.00774)",
        (
            Argument("block", k.number(1, whole=True), 128, "columns that are chosen among together"),
            Argument("damp", k.number(0, above=True), Fraction(1, 100), "added to the diagonal, in shares of its mean"),
            _layerwise("uniform", "erk"),
        ),
        wants="inputs",
    ),
    "hold": Signature("hold", "the zeros that the model came with stay, and no others come", (), scheduled=False),
    "release": Signature("release", "masks of earlier stages are taken off", (), scheduled=False),
}

OPTIMIZERS: dict[str, Signature] = {
    "adamw": Signature(
        "adamw",
        "Adam with decoupled weight decay",
        (
            Argument("betas", _pair(), (Fraction(9, 10), Fraction(999, 1000)), "decay of the two moments"),
            Argument("eps", k.number(0, above=True), Fraction(1, 10**8), "added to the denominator"),
            Argument("weight_decay", k.number(0), Fraction(0), "decoupled weight decay"),
            Argument(
                "no_decay",
                k.one_of("norms_and_biases", "nothing"),
                "norms_and_biases",
                "which parameters have no weight decay; a `group` with its own `weight_decay` overrides it",
            ),
        ),
    ),
    "sgd": Signature(
        "sgd",
        "stochastic gradient descent",
        (Argument("momentum", k.number(0, 1), Fraction(0), "share of the last update kept"),),
    ),
}


def chosen(what: str, table: Mapping[str, Signature]) -> Kind:
    """A name from `table`, alone or called with arguments."""

    def convert(value: object) -> object:
        if isinstance(value, Symbol):
            return table[value.name].default()
        if not isinstance(value, Applied):
            mismatch = wrong(value, f"a {what}", f"one of {', '.join(f'`{n}`' for n in table)}")
            if isinstance(value, str) and value in table:
                mismatch.help, mismatch.replacement = f"write `{value}`, without quotes", value
            raise mismatch
        signature = _find(value.function, what, table)
        return _bind(value, signature)

    class _Choice(Kind):
        def unknown(self, value: Symbol) -> Mismatch:
            try:
                _find(value.name, what, table)
            except Mismatch as mismatch:
                if mismatch.code == "E022":
                    mismatch.name, mismatch.known = value.name, tuple(table)
                return mismatch
            return super().unknown(value)

    json = {"oneOf": [signature.json() for signature in table.values()]}
    return _Choice(what, convert, tuple(table), doc=f"the name of a {what}, alone or with arguments", json=json)


def _find(name: str, what: str, table: Mapping[str, Signature]) -> Signature:
    if name in table:
        return table[name]
    near = closest(name, table) or aliases.meant(name, aliases.SYMBOLS, tuple(table))
    known = ", ".join(f"`{n}`" for n in table)
    hint = f"did you mean `{near}`?" if near else f"known here: {known}"
    raise Mismatch("E022", f"unknown {what} `{name}`", hint, near)


def _bind(call: Applied, signature: Signature) -> Chosen:
    values = {a.name: a.default for a in signature.arguments}
    kinds = {a.name: a.kind for a in signature.arguments}
    given: set[str] = set()
    unread = False  # a value that could not be evaluated does not hide a wrong name after it
    for name, value, span in call.arguments:
        if name is None:
            example = f", as in `{signature.name}({next(iter(kinds))} = ...)`" if kinds else ""
            raise Mismatch("E024", f"arguments of `{signature.name}` are written with their names{example}")
        if name in given:
            raise Mismatch("E026", f"argument `{name}` is given twice", "keep one of them")
        if name not in kinds:
            known = ", ".join(f"`{n}`" for n in kinds) or "no arguments"
            message = f"`{signature.name}` has no argument `{name}`"
            raise misnamed(message, closest(name, kinds), call, f"it takes {known}")
        given.add(name)
        try:
            values[name] = kinds[name].coerce(value)
        except Silent:
            unread = True
        except Mismatch as mismatch:
            mismatch.span = span
            raise
    if unread:
        raise Silent
    return Chosen(signature.name, tuple(values.items()))

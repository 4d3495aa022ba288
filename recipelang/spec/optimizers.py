"""Optimizers of a stage, and their arguments."""

from __future__ import annotations

from fractions import Fraction

from recipelang.kinds.choice import Argument, Pair, Signature
from recipelang.kinds.plain import Number, OneOf

OPTIMIZERS: dict[str, Signature] = {
    "adamw": Signature(
        "adamw",
        "Adam with decoupled weight decay",
        (
            Argument("betas", Pair(), (Fraction(9, 10), Fraction(999, 1000)), "decay rates of the two moments"),
            Argument("eps", Number(0, above=True), Fraction(1, 10**8), "added to the denominator"),
            Argument("weight_decay", Number(0), Fraction(0), "decoupled weight decay"),
            Argument(
                "no_decay",
                OneOf("norms_and_biases", "nothing"),
                "norms_and_biases",
                "which parameters have no weight decay; a `group` with its own `weight_decay` overrides it",
            ),
        ),
    ),
    "sgd": Signature(
        "sgd",
        "stochastic gradient descent",
        (Argument("momentum", Number(0, 1), Fraction(0), "share of the last update kept"),),
    ),
}

"""`adapter` of a stage: small matrices that are trained in place of the weights, and the methods it has."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated

from recipelang.kinds.choice import Argument, Choice, Signature
from recipelang.kinds.plain import Number
from recipelang.kinds.tensors import Selector
from recipelang.spec.attribute import Attr, Spec
from recipelang.values import selector as sel
from recipelang.values.composite import Chosen

ADAPTERS: dict[str, Signature] = {
    "lora": Signature(
        "lora",
        "a product of two small matrices beside each weight, `alpha / rank` · B A (arXiv 2106.09685), of which the mask of the "
        "weight is kept",
        (
            Argument("rank", Number(1, whole=True), 16, "rows of A and columns of B"),
            Argument("alpha", Number(0, above=True), Fraction(32), "the product is multiplied by `alpha / rank`"),
        ),
    ),
}


class AdapterSpec(Spec):
    """Train small matrices in place of the weights: the model computes with W + M ⊙ (B A), where M is the mask of W. At
    the end they are part of the weights, which have no new non-zero. All parameters that no adapter names are frozen."""

    LABELS = (1, 1)
    name: str
    method: Annotated[Chosen, Attr(Choice("adapter", ADAPTERS), "the kind of adapter", example="lora(rank = 16)")]
    targets: Annotated[sel.Selector, Attr(Selector(), "the matrices that get adapters", example="@linear & @encoder")]
    also: Annotated[
        sel.Selector | None,
        Attr(Selector(), "parameters that are trained as usual, beside the adapters; default: none", example="@head"),
    ] = None

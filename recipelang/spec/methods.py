"""Names that take arguments: pruning methods and optimizers.

A method's arguments are declared beside its score (`pruning/scores/`); this is
the table the reader of recipes uses, and it loads no torch.
"""

from __future__ import annotations

from fractions import Fraction

from recipelang.kinds.choice import Argument, Pair, Signature
from recipelang.kinds.measures import Size
from recipelang.kinds.plain import Number, OneOf, OrNone, Ratio


def _scope(default: str) -> Argument:
    doc = "what is ranked together: each tensor, all targets, each row; `erk` gives small tensors more"
    return Argument("scope", OneOf("uniform", "global", "row", "erk"), default, doc)


def _layerwise(*scopes: str) -> Argument:
    rows = "each row, " if "row" in scopes else ""
    doc = f"what is ranked together: {rows}each tensor; `erk` gives small tensors more. Layers go one after another"
    return Argument("scope", OneOf(*scopes), scopes[0], doc)


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
            Argument("learning_rate", Number(0, above=True), Fraction(1, 100), "of the scores, all the time, in Adam"),
            Argument(
                "penalty",
                Number(0),
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
            Argument("batches", Number(1, whole=True), 1, "mini-batches whose mean gradient is used"),
            _scope("global"),
        ),
        wants="gradients",
    ),
    "obert": Signature(
        "obert",
        "weights whose absence, made up for by their neighbours, changes the loss least go first (arXiv 2203.07259)",
        (
            Argument("block", Number(1, whole=True), 50, "weights whose interplay is looked at together"),
            Argument("gradients", Number(1, whole=True), 1024, "gradients that the Fisher information is made of"),
            Argument("batch", Number(1, whole=True), 16, "examples of one gradient"),
            Argument("damp", Number(0, above=True), Fraction(1, 10**7), "added to the diagonal"),
            Argument("recomputations", Number(1, whole=True), 1, "rounds of an event, each with gradients anew"),
            Argument(
                "memory",
                OrNone(Size()),
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
                Ratio(),
                Fraction(3, 10),
                "of the live weights swapped at first; 0 at last, a cosine between",
            ),
            Argument("batches", Number(1, whole=True), 1, "mini-batches whose mean gradient is used"),
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
            Argument("block", Number(1, whole=True), 128, "columns that are chosen among together"),
            Argument("damp", Number(0, above=True), Fraction(1, 100), "added to the diagonal, in shares of its mean"),
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
            Argument("betas", Pair(), (Fraction(9, 10), Fraction(999, 1000)), "decay of the two moments"),
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

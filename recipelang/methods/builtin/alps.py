"""ALPS: the correlations that SparseGPT gathers, and of a matrix at a time what the alternating directions remember."""

from fractions import Fraction

from recipelang.kinds.choice import Argument
from recipelang.kinds.plain import Number
from recipelang.methods.declaration import Memory, Method, layerwise, whole

METHOD = Method(
    "alps",
    "prunes the weights without which the layer's outputs can be matched best by those that stay, in one shot",
    (
        Argument(
            "damp", Number(0, above=True), Fraction(1, 100), "value added to the diagonal, as a share of its mean"
        ),
        Argument(
            "penalty", Number(0, above=True), Fraction(1, 10), "first weight of the distance between dense and sparse"
        ),
        whole("iterations", 300, "maximum number of iterations; they end sooner, once the zeros stand still"),
        whole("refinements", 10, "number of steps of conjugate gradients on the weights that stay"),
        layerwise("uniform", "row", "erk"),
    ),
    aliases="ALPSModifier admm",
    implementation="recipelang.pruning.scores.alps:Alps",
    sources=("arXiv 2406.07831", "arXiv 2401.02938"),
    looks_at="inputs",
    compensates=True,
    # correlations in double; an inverse of them; the dense weights, both sides of an equation, its solution, their signs
    memory=Memory(pair=4, made=8, beside=8, fitted=6 * 8 + 4),
)

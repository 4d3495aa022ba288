"""RigL: weights are swapped at every event, by magnitude and by gradient."""

from fractions import Fraction

from recipelang.kinds.choice import Argument
from recipelang.kinds.plain import Ratio
from recipelang.methods.declaration import Memory, Method, Refusal, scope, whole
from recipelang.values.composite import Chosen, SparsityPattern


def _refuses(chosen: Chosen, pattern: SparsityPattern) -> Refusal | None:
    if chosen.get("scope") == "global":
        help = "each tensor grows as many weights as it drops: write `erk`, `uniform` or `row`"
        return Refusal("method", "`rigl` does not rank over all targets", help)
    if chosen.get("fraction") == 0:
        return Refusal("method", "`rigl` swaps nothing with `fraction = 0%`", "write `fraction = 30%`")
    return None


METHOD = Method(
    "rigl",
    "swaps weights at every event: masks small weights and regrows masked weights with large gradients. It begins with the "
    "current masks, or with random ones; `constant(80%, over = start..90%, every = 100 steps)` keeps a sparsity",
    (
        Argument(
            "fraction",
            Ratio(),
            Fraction(3, 10),
            "share of the remaining weights to swap at the first event; it falls to 0 along a cosine",
        ),
        whole("batches", 1, "number of mini-batches for the mean gradient"),
        scope("erk"),
    ),
    aliases="RigLPruningModifier dynamic_sparse_training",
    implementation="recipelang.pruning.scores.rigl:Rigl",
    sources=("arXiv 1911.11134",),
    looks_at="gradients",
    patterns=("unstructured", "block"),
    regrows=True,
    memory=Memory(weight=4),
    refuses=_refuses,
)

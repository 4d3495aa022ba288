"""RigL: weights are swapped at every event, by size and by gradient."""

from fractions import Fraction

from recipelang.kinds.choice import Argument
from recipelang.kinds.plain import Ratio
from recipelang.methods.declaration import Memory, Method, Refusal, scope, whole
from recipelang.values.composite import Chosen, SparsityPattern


def _refuses(chosen: Chosen, pattern: SparsityPattern) -> Refusal | None:
    if chosen.get("scope") == "global":
        help = "as many grow as are dropped in each tensor: write `erk`, `uniform` or `row`"
        return Refusal("method", "`rigl` does not rank over all targets", help)
    if chosen.get("fraction") == 0:
        return Refusal("method", "`rigl` swaps nothing with `fraction = 0%`", "write `fraction = 30%`")
    return None


METHOD = Method(
    "rigl",
    "weights are swapped at every event: small ones for masked ones of large gradient. It begins "
    "with the masks in force, or with random ones; `constant(80%, over = start..90%, every = 100 steps)` keeps a sparsity",
    (
        Argument(
            "fraction", Ratio(), Fraction(3, 10), "of the live weights swapped at first; 0 at last, a cosine between"
        ),
        whole("batches", 1, "mini-batches whose mean gradient is used"),
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

"""oBERT: weights in blocks, each with the inverse of its Fisher information."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from recipelang.kinds.choice import Argument
from recipelang.kinds.measures import Size
from recipelang.kinds.plain import Number, OrNone
from recipelang.methods.declaration import Memory, Method, Refusal, divides, scope, whole
from recipelang.pruning.passes import block_bytes, within
from recipelang.source.words import plural
from recipelang.values.composite import Chosen, SparsityPattern


def _scoring(args: Mapping[str, Any], sizes: Sequence[int]) -> tuple[int, int]:
    """The matrices of all blocks at once, unless the recipe allows less; where less is free, a run takes more passes."""
    block, memory = args["block"], args.get("memory")
    parts = within(sizes, block, memory or sum(sizes) * block_bytes(block))
    most = max(sum(piece.rows(block) for piece in part) for part in parts)
    return METHOD.memory.weight * sum(sizes) + most * block_bytes(block), len(parts)


def _cost(args: Mapping[str, Any], passes: int, room: str) -> str:
    """All blocks at once, or part by part with the same gradients drawn again."""
    drawn = args["recomputations"] * (2 * passes - 1)  # once for the scores, once for the update but for the last part
    times = f" {drawn} times" if drawn > 1 else ""
    parts = f"in {passes} passes" if passes > 1 else "in one pass"
    less = "" if "memory" in args else ", in more passes if less memory is free"
    drawn_text = f"{plural(args['gradients'], 'gradient')} of {plural(args['batch'], 'example')}{times}"
    return f"each event draws {drawn_text}; {room} {parts}{less}"


def _refuses(chosen: Chosen, pattern: SparsityPattern) -> Refusal | None:
    if pattern.kind == "N:M" and chosen.get("recomputations") != 1:
        help = "remove `recomputations`: all groups of an N:M pattern change at once"
        return Refusal("method", "an N:M pattern is reached in one round", help)
    return divides(chosen, pattern, "rows") if pattern.kind == "block" else None


METHOD = Method(
    "obert",
    "prunes the weights first whose removal changes the loss least when their neighbours compensate",
    (
        whole("block", 50, "block size of the Fisher matrix, in weights"),
        whole("gradients", 1024, "number of gradients for the Fisher matrix"),
        whole("batch", 16, "examples per gradient"),
        Argument("damp", Number(0, above=True), Fraction(1, 10**7), "value added to the diagonal"),
        whole("recomputations", 1, "number of rounds per event, each with new gradients"),
        Argument(
            "memory",
            OrNone(Size()),
            None,
            "memory limit of the matrices; a lower limit needs more passes, with the same result; `none`: most of the free memory",
        ),
        scope("global"),
    ),
    aliases="obs obc OBSPruningModifier second_order optimal_bert_surgeon",
    implementation="recipelang.pruning.scores.obert:Obert",
    sources=("arXiv 2203.07259",),
    looks_at="gradients",
    compensates=True,
    neighbours="block",
    memory=Memory(weight=4),
    scoring_of=_scoring,
    cost_of=_cost,
    refuses=_refuses,
    elsewhere="oBERT draws samples for gradients with the run's seed; SparseML used the next batches of a loader.",
)

"""Soft movement: a learned score a weight, its gradient and two moments."""

from fractions import Fraction

from recipelang.kinds.choice import Argument
from recipelang.kinds.plain import Number
from recipelang.methods.declaration import Memory, Method, scope

METHOD = Method(
    "soft_movement",
    "weights go first whose score, learned with them, is lowest: soft movement. As published the "
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
        scope("uniform"),
    ),
    aliases="soft_movement_pruning smvp sigmoied_threshold",
    implementation="recipelang.pruning.scores.soft_movement:SoftMovement",
    sources=("arXiv 2005.07683",),
    looks_at="steps",
    memory=Memory(weight=16),
)

"""Soft movement: a learned score a weight, its gradient and two moments."""

from fractions import Fraction

from recipelang.kinds.choice import Argument
from recipelang.kinds.plain import Number
from recipelang.methods.declaration import Memory, Method, scope

METHOD = Method(
    "soft_movement",
    "prunes the weights with the lowest scores first; the scores are learned in training. In the paper, the penalty decides at "
    "every step how many weights are pruned, and weights can return; here, the schedule decides the exact number at its "
    "events, and masked weights stay masked",
    (
        Argument(
            "learning_rate", Number(0, above=True), Fraction(1, 100), "constant learning rate of the scores (Adam)"
        ),
        Argument(
            "penalty",
            Number(0),
            Fraction(5, 10**6),
            "weight of the penalty Σ σ(S) over all scores; the published 400 applies to the mean, which is 4.7e-6 for the sum over BERT-base",
        ),
        scope("uniform"),
    ),
    aliases="soft_movement_pruning smvp sigmoied_threshold",
    implementation="recipelang.pruning.scores.soft_movement:SoftMovement",
    sources=("arXiv 2005.07683",),
    looks_at="steps",
    memory=Memory(weight=16),
)

"""Redrawn movement: a learned score a weight with gradient and moments, and the weight itself while it is masked."""

from fractions import Fraction

from recipelang.kinds.choice import Argument
from recipelang.kinds.plain import Number
from recipelang.methods.declaration import Memory, Method, scope

METHOD = Method(
    "redrawn_movement",
    "movement pruning as published: scores are learned beside the weights, and masks are drawn anew from them for every "
    "forward pass, so that masked weights return with their values; after the stage, masked weights stay masked",
    (
        Argument(
            "learning_rate", Number(0, above=True), Fraction(1, 100), "constant learning rate of the scores (Adam)"
        ),
        scope("uniform"),
    ),
    aliases="movement_redrawn published_movement",
    implementation="recipelang.pruning.scores.redrawn_movement:RedrawnMovement",
    sources=("arXiv 2005.07683",),
    looks_at="steps",
    masks="draws",
    regrows=True,
    shards=True,
    memory=Memory(weight=20),
)

"""Movement: a score a weight, summed over the steps of a stage."""

from recipelang.methods.declaration import Memory, Method, scope

METHOD = Method(
    "movement",
    "prunes the weights that training moves towards zero first",
    (scope("uniform"),),
    aliases="MovementPruningModifier movement_pruning",
    implementation="recipelang.pruning.scores.movement:Movement",
    sources=("arXiv 2005.07683",),
    looks_at="steps",
    shards=True,
    memory=Memory(weight=4),
)

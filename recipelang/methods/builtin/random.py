"""Random: the floor that others are measured against."""

from recipelang.methods.declaration import Method, scope

METHOD = Method(
    "random",
    "prunes weights in random order, drawn from the seed; a lower bound for comparisons",
    (scope("uniform"),),
    implementation="recipelang.pruning.scores.random:Random",
    shards=True,
)

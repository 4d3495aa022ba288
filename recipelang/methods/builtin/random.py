"""Random: the floor that others are measured against."""

from recipelang.methods.declaration import Method, scope

METHOD = Method(
    "random",
    "weights go in a random order drawn from the seed: a floor",
    (scope("uniform"),),
    implementation="recipelang.pruning.scores.random:Random",
    shards=True,
)

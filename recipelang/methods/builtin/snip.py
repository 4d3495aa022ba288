"""SNIP: one gradient, before the first event."""

from recipelang.methods.declaration import Memory, Method, scope, whole

METHOD = Method(
    "snip",
    "prunes the weights first whose removal changes the loss least, scored once",
    (whole("batches", 1, "number of mini-batches for the mean gradient"), scope("global")),
    implementation="recipelang.pruning.scores.snip:Snip",
    sources=("arXiv 1810.02340",),
    looks_at="gradients",
    shards=True,
    memory=Memory(weight=4),
)

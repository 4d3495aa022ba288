"""SNIP: one gradient, before the first event."""

from recipelang.methods.declaration import Memory, Method, scope, whole

METHOD = Method(
    "snip",
    "weights whose absence changes the loss least go first, judged once",
    (whole("batches", 1, "mini-batches whose mean gradient is used"), scope("global")),
    implementation="recipelang.pruning.scores.snip:Snip",
    sources=("arXiv 1810.02340",),
    looks_at="gradients",
    shards=True,
    memory=Memory(weight=4),
)

"""Release: what was masked may become other than zero."""

from recipelang.methods.declaration import Method

METHOD = Method(
    "release",
    "masks of earlier stages are taken off",
    implementation="recipelang.modifiers.prune:Release",
    masks="releases",
    shards=True,
)

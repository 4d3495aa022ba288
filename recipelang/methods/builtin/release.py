"""Release: what was masked may become other than zero."""

from recipelang.methods.declaration import Method

METHOD = Method(
    "release",
    "removes the masks of earlier stages",
    implementation="recipelang.modifiers.prune:Release",
    masks="releases",
    shards=True,
)

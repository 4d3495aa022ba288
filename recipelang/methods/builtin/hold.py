"""Hold: sparse transfer."""

from recipelang.methods.declaration import LlmCompressor, Method

METHOD = Method(
    "hold",
    "the zeros that the model came with stay, and no others come",
    implementation="recipelang.modifiers.prune:Hold",
    masks="keeps",
    shards=True,
    llm_compressor=LlmCompressor("ConstantPruningModifier", training_only=True),
)

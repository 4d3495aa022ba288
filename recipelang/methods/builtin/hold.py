"""Hold: sparse transfer."""

from recipelang.methods.declaration import LlmCompressor, Method

METHOD = Method(
    "hold",
    "keeps the zeros of the loaded model and adds none",
    implementation="recipelang.modifiers.prune:Hold",
    masks="keeps",
    shards=True,
    llm_compressor=LlmCompressor("ConstantPruningModifier", training_only=True),
)

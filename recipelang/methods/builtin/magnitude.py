"""Magnitude: small weights go first."""

from recipelang.methods.declaration import LlmCompressor, Method, scope

METHOD = Method(
    "magnitude",
    "the weights of smallest absolute value go first",
    (scope("uniform"),),
    aliases="gmp l1 l1_unstructured magnitude_pruning GMPruningModifier MagnitudePruningModifier global_magnitude",
    implementation="recipelang.pruning.scores.magnitude:Magnitude",
    shards=True,
    llm_compressor=LlmCompressor("MagnitudePruningModifier", training_only=True),
)

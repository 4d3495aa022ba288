"""Magnitude: small weights are pruned first."""

from recipelang.methods.declaration import LlmCompressor, Method, scope

METHOD = Method(
    "magnitude",
    "prunes the weights with the smallest absolute values first",
    (scope("uniform"),),
    aliases="gmp l1 l1_unstructured magnitude_pruning GMPruningModifier MagnitudePruningModifier global_magnitude",
    implementation="recipelang.pruning.scores.magnitude:Magnitude",
    shards=True,
    llm_compressor=LlmCompressor("MagnitudePruningModifier", training_only=True),
)

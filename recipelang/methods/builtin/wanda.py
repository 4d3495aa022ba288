"""Wanda: for each input of a layer one number, the sum of its squares."""

from recipelang.methods.declaration import LlmCompressor, Memory, Method, layerwise

#: of every method that goes through layers
ELSEWHERE = (
    "Layers are pruned one after another, each on the outputs of pruned layers, as llm-compressor does since February "
    "2025. Earlier, and in SparseML, a layer's inputs came from dense layers unless `sequential_update` was true."
)

METHOD = Method(
    "wanda",
    "prunes the weights first whose magnitude times the norm of their inputs is smallest, in one shot",
    (layerwise("row", "uniform", "erk"),),
    aliases="WandaPruningModifier",
    implementation="recipelang.pruning.scores.wanda:Wanda",
    sources=("arXiv 2306.11695",),
    looks_at="inputs",
    memory=Memory(input=8, fitted=8),
    llm_compressor=LlmCompressor("WandaPruningModifier", scope="row"),
    elsewhere=ELSEWHERE,
)

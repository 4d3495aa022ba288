"""SparseGPT: of the inputs of a layer a matrix of all pairs in single precision, and its inverse in double."""

from fractions import Fraction

from recipelang.kinds.choice import Argument
from recipelang.kinds.plain import Number
from recipelang.methods.builtin.wanda import ELSEWHERE
from recipelang.methods.declaration import LlmCompressor, Memory, Method, Refusal, divides, layerwise, whole
from recipelang.values.composite import Chosen, SparsityPattern


def _refuses(chosen: Chosen, pattern: SparsityPattern) -> Refusal | None:
    what = {"N:M": "groups", "block": "rows"}.get(pattern.kind)
    return divides(chosen, pattern, what) if what else None


METHOD = Method(
    "sparsegpt",
    "prunes the weights first whose removal changes the outputs of the layer least when the weights to their right compensate, in one shot",
    (
        whole("block", 128, "number of columns in which weights are ranked together"),
        Argument(
            "damp", Number(0, above=True), Fraction(1, 100), "value added to the diagonal, as a share of its mean"
        ),
        layerwise("uniform", "erk"),
    ),
    aliases="SparseGPTModifier sparse_gpt",
    implementation="recipelang.pruning.scores.sparsegpt:Sparsegpt",
    sources=("arXiv 2301.00774",),
    looks_at="inputs",
    compensates=True,
    memory=Memory(pair=4, made=8, fitted=8 + 8 + 4),  # the weights in double, a product as large, what comes of them
    refuses=_refuses,
    llm_compressor=LlmCompressor(
        "SparseGPTModifier", arguments=(("block_size", "block"), ("dampening_frac", "damp")), must_keep_zeros=True
    ),
    elsewhere=ELSEWHERE,
)

"""Modifiers that have no place in this language, each with the reason that is shown."""

from __future__ import annotations

from recipelang.source.suggest import closest

_QUANTISED = "recipelang does not quantise", "prune with this recipe, then quantise the result with a quantisation tool"
_SMOOTHED = (
    "it prepares weights for quantisation and does not change the model's function",
    "leave it to the tool that quantises",
)
_IMAGES = "it is for image models", None

#: name -> why, and what to do instead
LOST: dict[str, tuple[str, str | None]] = {
    **dict.fromkeys(
        (
            "QuantizationModifier", "LegacyQuantizationModifier", "vLLMQuantizationModifier", "GPTQModifier",
            "AWQModifier", "AutoRoundModifier", "QuIPModifier", "SpinQuantModifier", "QATModifier",
        ),
        _QUANTISED,
    ),
    **dict.fromkeys(("SmoothQuantModifier", "LogarithmicEqualizationModifier"), _SMOOTHED),
    "OutputDistillationModifier": (
        "outputs of named modules cannot be compared here",
        "write `distill { on = hidden(0..11, weight = 1) ... }` for the same layers",
    ),
    "PerLayerDistillationModifier": ("it learns projections of named modules", "`on = hidden(...)` is similar"),
    "MFACPruningModifier": ("M-FAC is not supported", "`method = obert(...)` is the nearest second-order method"),
    "ACDCPruningModifier": ("phases of dense and sparse training cannot be migrated", None),
    "RigLPruningModifier": ("its schedule has no defined end", "`method = rigl(...)` with a constant sparsity is similar"),
    "TopKASTPruningModifier": ("Top-KAST is not supported", None),
    "PowerpropagationModifier": ("training weights as powers is not supported", None),
    "StructuredPruningModifier": ("pruning filters and channels is not supported", "`shrink` removes neurons, heads and layers in a one-shot stage"),
    "LayerThinningModifier": ("pruning filters and channels is not supported", None),
    "REAPPruningModifier": ("pruning experts of a mixture is not supported", None),
    "ASRegModifier": ("regularising activations is not supported", None),
    "MFACGlobalPruningModifier": ("M-FAC is not supported", "`method = obert(...)` is the nearest second-order method"),
    "LearningRateModifier": ("torch schedule classes cannot be migrated", "write `learning_rate = [...]`"),
    "SetParamModifier": ("it sets parameter values directly", None),
    "GradualParamModifier": ("it sets parameter values directly", None),
    "TrainableBatchNormModifier": _IMAGES,
}  # fmt: skip

#: of these, what SparseML's last loader of `!Tag` lists does not have
NEWER = frozenset({
    "vLLMQuantizationModifier", "GPTQModifier", "AWQModifier", "AutoRoundModifier", "QuIPModifier", "SpinQuantModifier",
    "SmoothQuantModifier", "LogarithmicEqualizationModifier", "OutputDistillationModifier", "REAPPruningModifier",
    "MFACGlobalPruningModifier",
})  # fmt: skip

#: what only logged
IDLE = ("SparsificationLoggingModifier", "LoggingModifier")


def reason(name: str, known: tuple[str, ...]) -> tuple[str, str | None]:
    """Why a modifier cannot be migrated."""
    if name in LOST:
        return LOST[name]
    near = closest(name, (*known, *LOST))
    return "no loader of these recipes has it", f"did you mean `{near}`?" if near else None
